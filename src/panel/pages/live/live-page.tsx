/** What the firewall does at this moment, with the last five minutes of it, and the packets that it drops. */
import { Paper, SimpleGrid, Stack, Title } from '@mantine/core';
import { useMemo } from 'react';
import type { ReactNode } from 'react';
import { useServers, useStatus } from '../../data/queries.ts';
import { historyLength } from '../../data/rates.ts';
import type { Moment } from '../../data/rates.ts';
import { useStats } from '../../data/use-stats.ts';
import type { LiveStats } from '../../data/use-stats.ts';
import { DropStream } from '../../parts/drop-stream.tsx';
import { formatBits, formatPackets } from '../../parts/format.ts';
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
  const stats = useStats({ servers: false });
  const { stream, latest } = stats;
  return (
    <Page
      title="Live"
      about="Once a second, with the last five minutes."
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
      <Charts moments={stats.moments} stats={stats} />
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

interface ChartsProps {
  readonly moments: readonly Moment[];
  readonly stats: LiveStats;
}

function Charts({ moments, stats }: ChartsProps): ReactNode {
  const times = useMemo(() => moments.map(({ seconds }) => seconds), [moments]);
  const packets = useMemo(() => judged(moments, 'packets'), [moments]);
  const bytes = useMemo(() => judged(moments, 'bytes'), [moments]);
  const flows = useMemo(
    (): Series[] => [
      {
        ...{ label: 'Flows', tone: 'flows' },
        values: moments.map((moment) => (moment.rates === undefined ? null : moment.flows!)),
      },
    ],
    [moments],
  );
  const common = { times, seconds: historyLength };
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <TimeChart {...common} title="Packets" series={packets} format={formatPackets} />
      <TimeChart {...common} title="Bits" series={bytes} format={formatBits} />
      <TimeChart {...common} title="Live flows" series={flows} format={formatCount} />
      <Paper withBorder p="md" radius="md" component="section" aria-labelledby="reasons-title">
        <Title order={2} size="h5" mb="xs" id="reasons-title">
          Top drop reasons
        </Title>
        <DropReasons stats={stats} />
      </Paper>
    </SimpleGrid>
  );
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
