/** Servers that observe, on every page: what no rule allows passes there. */
import { Alert, Text } from '@mantine/core';
import { IconEye } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Status } from '../data/types.ts';
import { formatTime } from '../parts/format.ts';
import { ServerLink } from '../parts/server-link.tsx';

/** So many are named. */
const mostNamed = 10;

export function ObservingServers({ status }: { readonly status: Status }): ReactNode {
  const { observing = [] } = status;
  if (observing.length === 0) return null;
  const more = observing.length - mostNamed;
  return (
    <Alert
      mb="md"
      color="orange"
      icon={<IconEye aria-hidden />}
      title="Observed, not enforced: what no rule allows passes"
    >
      {observing.slice(0, mostNamed).map(({ server, until }) => (
        <Text key={server} size="sm">
          <ServerLink name={server} /> until {formatTime(until)}
        </Text>
      ))}
      {more > 0 && <Text size="sm">and {more} more</Text>}
    </Alert>
  );
}
