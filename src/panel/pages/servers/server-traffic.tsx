/** What passes to and from a server, and what is dropped: the number of now, and the last ten minutes as a line. */
import { Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Judged } from '../../data/rates.ts';
import type { ServerHistory } from '../../data/types.ts';
import { formatBits, formatPackets } from '../../parts/format.ts';
import { Sparkline } from '../../parts/sparkline.tsx';

export interface ServerTrafficProps {
  /** Absent: it is not known yet. A server that has seen nothing may be missing in the counters. */
  readonly now: Judged | undefined;
  /** Absent: there was none. */
  readonly history: ServerHistory | undefined;
}

export function TrafficCell({ now, history }: ServerTrafficProps): ReactNode {
  return (
    <Cell values={history?.passed.bytes} now={formatBits(now?.passed.bytes ?? 0)} tone="passed" />
  );
}

export function DropsCell({ now, history }: ServerTrafficProps): ReactNode {
  const dropped = formatPackets(now?.dropped.packets ?? 0);
  return <Cell values={history?.dropped.packets} now={dropped} tone="dropped" />;
}

interface CellProps {
  readonly values: readonly (number | null)[] | undefined;
  readonly now: string;
  readonly tone: 'passed' | 'dropped';
}

function Cell({ values, now, tone }: CellProps): ReactNode {
  return (
    <Group gap="xs" className="spark-cell">
      <Sparkline values={values} tone={tone} />
      <Text size="xs" className="number nowrap spark-number">
        {now}
      </Text>
    </Group>
  );
}
