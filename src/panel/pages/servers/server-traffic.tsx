/** What passes to and from a server, and what is dropped: the number of now, and the last minute as a line. */
import { Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { serverHistoryLength } from '../../data/rates.ts';
import type { Judged, StatsHistory } from '../../data/rates.ts';
import { formatBits, formatPackets } from '../../parts/format.ts';
import { Sparkline } from '../../parts/sparkline.tsx';

export interface ServerTrafficProps {
  readonly stats: StatsHistory;
  readonly name: string;
}

const nothing: Judged = { passed: { packets: 0, bytes: 0 }, dropped: { packets: 0, bytes: 0 } };

/** A server that has seen nothing may be missing in the counters. */
function ratesOf({ stats, name }: ServerTrafficProps): readonly Judged[] {
  return stats.servers.map((servers) => servers.get(name) ?? nothing);
}

export function TrafficCell(props: ServerTrafficProps): ReactNode {
  const values = ratesOf(props).map(({ passed }) => passed.bytes);
  return <Cell values={values} format={formatBits} tone="passed" />;
}

export function DropsCell(props: ServerTrafficProps): ReactNode {
  const values = ratesOf(props).map(({ dropped }) => dropped.packets);
  return <Cell values={values} format={formatPackets} tone="dropped" />;
}

interface CellProps {
  readonly values: readonly number[];
  readonly format: (value: number) => string;
  readonly tone: 'passed' | 'dropped';
}

function Cell({ values, format, tone }: CellProps): ReactNode {
  const now = values.at(-1);
  return (
    <Group gap="xs" wrap="nowrap" className="spark-cell">
      <Sparkline values={values} length={serverHistoryLength} tone={tone} />
      <Text size="xs" className="number nowrap spark-number">
        {now === undefined ? '–' : format(now)}
      </Text>
    </Group>
  );
}
