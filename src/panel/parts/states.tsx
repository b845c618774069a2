/** What a list shows when it has nothing (yet): that it comes, that there is none and what to do, or what went wrong. */
import {
  Alert,
  Button,
  Group,
  Paper,
  Skeleton,
  Stack,
  Text,
  Title,
  VisuallyHidden,
} from '@mantine/core';
import { IconAlertTriangle, IconRefresh } from '@tabler/icons-react';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { asProblem } from '../data/api-problem.ts';

export function Loading({ rows = 5 }: { readonly rows?: number }): ReactNode {
  return (
    <Stack gap="sm" role="status">
      <VisuallyHidden>Loading</VisuallyHidden>
      {Array.from({ length: rows }, (_, row) => (
        <Skeleton key={row} height={36} radius="sm" />
      ))}
    </Stack>
  );
}

export interface EmptyProps {
  readonly icon?: ReactNode;
  readonly title: string;
  /** What to do. */
  readonly children: ReactNode;
  readonly action?: ReactNode;
}

export function Empty({ icon, title, children, action }: EmptyProps): ReactNode {
  return (
    <Paper withBorder p="xl" radius="md">
      <Stack align="center" gap="xs" maw={460} mx="auto" ta="center">
        {icon}
        <Title order={2} size="h4">
          {title}
        </Title>
        <Text c="dimmed" size="sm" component="div">
          {children}
        </Text>
        {action !== undefined && <Group mt="sm">{action}</Group>}
      </Stack>
    </Paper>
  );
}

export interface FailedProps {
  readonly error: unknown;
  readonly onRetry?: () => void;
}

export function Failed({ error, onRetry }: FailedProps): ReactNode {
  const { title, message } = asProblem(error);
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title={title}>
      <Stack gap="sm" align="flex-start">
        <Text size="sm">{message}</Text>
        {onRetry !== undefined && (
          <Button
            size="xs"
            variant="default"
            leftSection={<IconRefresh size={14} aria-hidden />}
            onClick={onRetry}
          >
            Retry
          </Button>
        )}
      </Stack>
    </Alert>
  );
}

export interface LoadedProps<T> {
  readonly query: UseQueryResult<T>;
  readonly rows?: number;
  readonly children: (data: T) => ReactNode;
}

/**
 * What a query has: data also when reading it again has failed, since an old list is better than none (the shell tells that
 * the gateway does not answer).
 */
export function Loaded<T>({ query, rows, children }: LoadedProps<T>): ReactNode {
  if (query.data !== undefined) return children(query.data);
  if (query.isPending) return <Loading {...(rows !== undefined && { rows })} />;
  return <Failed error={query.error} onRetry={() => void query.refetch()} />;
}
