/** What the firewall does at this moment, with the last minutes, hour or day of it, and the packets that it drops. */
import { Group, Paper, SegmentedControl, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { useMemo } from 'react';
import type { ReactNode } from 'react';
import { useSearchParams } from 'wouter';
import { useServers, useStatus } from '../../data/queries.ts';
import { momentsOf } from '../../data/rates.ts';
import type { Moment } from '../../data/rates.ts';
import { useDay, useStats } from '../../data/use-stats.ts';
import type { LiveStats } from '../../data/use-stats.ts';
import { DropStream } from '../../parts/drop-stream.tsx';
import { count, formatBits, formatClock, formatPackets } from '../../parts/format.ts';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';
import { Failed, Loading } from '../../parts/states.tsx';
import { StreamNote } from '../../parts/stream-note.tsx';
import { DropReasons } from './drop-reasons.tsx';
import { LiveTiles } from './live-tiles.tsx';
import { TimeChart } from './time-chart.tsx';
import type { Series } from './time-chart.tsx';
import { formatCount } from '../../../text/numbers.ts';

export default function LivePage(): ReactNode {
  const stats = useStats({ servers: false, history: true });
  const { stream, latest } = stats;
  return (
    <Page
      title="Live"
      about="Once a second. The firewall keeps the last hour by the second, and the last day by the minute, since it was started."
      actions={<StreamNote state={stream.state} />}
    >
      {stream.problem !== undefined && <Failed error={stream.problem} />}
      {latest === undefined ? (
        stream.problem === undefined && <Loading />
      ) : (
        <Content stats={stats} />
      )}
    </Page>
  );
}

function Content({ stats }: { readonly stats: LiveStats }): ReactNode {
  const status = useStatus();
  const servers = useServers();
  return (
    <Stack gap="lg">
      <LiveTiles stats={stats} status={status.data} />
      <Charts stats={stats} />
      <section aria-labelledby="drops-title">
        <Title order={2} size="h4" mb="sm" id="drops-title">
          Dropped packets
        </Title>
        <DropStream
          servers={(servers.data?.servers ?? []).map(({ name }) => name)}
          reasons={Object.keys(stats.latest?.drops ?? {})}
        />
      </section>
    </Stack>
  );
}

const ranges = [
  { value: '300', label: '5 minutes' },
  { value: '3600', label: '1 hour' },
  { value: '86400', label: '1 day' },
];
const daySeconds = 86_400;

function Charts({ stats }: { readonly stats: LiveStats }): ReactNode {
  const [search, setSearch] = useSearchParams();
  const range = ranges.find(({ value }) => value === search.get('seconds')) ?? ranges[0]!;
  const seconds = Number(range.value);
  const day = useDay(seconds === daySeconds);
  const moments = useMemo(() => {
    if (seconds === daySeconds) return day.data === undefined ? [] : momentsOf(day.data);
    return stats.moments.slice(-seconds - 1);
  }, [seconds, day.data, stats.moments]);
  const columns = useMemo(() => seriesOf(moments), [moments]);
  const marks = stats.changes;
  const since = (moments.at(-1)?.seconds ?? 0) - seconds;
  const changes = marks.filter((mark) => mark >= since);
  const common = { times: columns.times, seconds, marks };
  return (
    <Stack gap="sm">
      <Group justify="space-between" gap="xs">
        <SegmentedControl
          aria-label="How far back"
          size="xs"
          data={ranges}
          value={range.value}
          onChange={(value) => setSearch({ seconds: value }, { replace: true })}
        />
        <Text size="sm" c="dimmed">
          {changesText(changes)}
        </Text>
      </Group>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <TimeChart {...common} title="Packets" series={columns.packets} format={formatPackets} />
        <TimeChart {...common} title="Bits" series={columns.bytes} format={formatBits} />
        <TimeChart {...common} title="Live flows" series={columns.flows} format={formatCount} />
        <Paper withBorder p="md" radius="md" component="section" aria-labelledby="reasons-title">
          <Title order={2} size="h5" mb="xs" id="reasons-title">
            Top drop reasons
          </Title>
          <DropReasons stats={stats} />
        </Paper>
      </SimpleGrid>
    </Stack>
  );
}

function changesText(changes: readonly number[]): string {
  const last = changes.at(-1);
  if (last === undefined) return 'The policy has not changed in this time.';
  const at = new Date(last * 1000).toISOString();
  return `Dashed: ${count(changes.length, 'change')} of the policy, the last at ${formatClock(at)}.`;
}

interface Columns {
  readonly times: readonly number[];
  readonly packets: readonly Series[];
  readonly bytes: readonly Series[];
  readonly flows: readonly Series[];
}

function seriesOf(moments: readonly Moment[]): Columns {
  const flows = moments.map(({ rates, flows: live }) => (rates === undefined ? null : live!));
  return {
    times: moments.map(({ seconds }) => seconds),
    packets: judged(moments, 'packets'),
    bytes: judged(moments, 'bytes'),
    flows: [{ label: 'Flows', tone: 'flows', values: flows }],
  };
}

function judged(moments: readonly Moment[], unit: 'packets' | 'bytes'): Series[] {
  return [
    {
      ...{ label: 'Passed', tone: 'passed' },
      values: moments.map(({ rates }) => rates?.passed[unit] ?? null),
    },
    {
      ...{ label: 'Dropped', tone: 'dropped' },
      values: moments.map(({ rates }) => rates?.dropped[unit] ?? null),
    },
  ];
}
