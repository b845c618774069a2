/** Errors of the configuration, on every page: until they are corrected, the previous policy stays in force. */
import { Alert, List, Text } from '@mantine/core';
import { IconFileAlert } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Status } from '../data/types.ts';

export function ConfigurationProblems({ status }: { readonly status: Status }): ReactNode {
  const { reloadError, problems, epoch } = status;
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (reloadError === null && errors.length === 0) return null;
  return (
    <Alert
      mb="md"
      color="red"
      icon={<IconFileAlert aria-hidden />}
      title="Degraded: the configuration has errors"
    >
      <Text size="sm">
        Packets are judged by epoch {epoch}, the last good policy. Changes are refused until the
        errors are mended.
      </Text>
      <List size="sm" mt="xs">
        {errors.map(({ file, line, column, path, message }) => (
          <List.Item key={`${file}:${line}:${column}:${path}:${message}`}>
            <span className="mono">{`${file}:${line}:${column}`}</span> {path}: {message}
          </List.Item>
        ))}
        {errors.length === 0 && <List.Item>{reloadError}</List.Item>}
      </List>
    </Alert>
  );
}
