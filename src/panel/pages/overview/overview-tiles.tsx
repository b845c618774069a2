/** The gateway, the flow table, traffic and drops in a number each. */
import { SimpleGrid } from '@mantine/core';
import type { ReactNode } from 'react';
import { formatDuration } from '../../../text/duration.ts';
import { formatCount } from '../../../text/numbers.ts';
import { topReasons } from '../../data/rates.ts';
import type { StatsHistory } from '../../data/rates.ts';
import type { Status } from '../../data/types.ts';
import { count, formatBits, formatPackets } from '../../parts/format.ts';
import { Tile } from '../../parts/tile.tsx';

export interface OverviewTilesProps {
  readonly status: Status;
  readonly stats: StatsHistory;
}

export function OverviewTiles({ status, stats }: OverviewTilesProps): ReactNode {
  const { flows, policy, device, queues = 1, uptimeSeconds } = status;
  const rates = stats.moments.at(-1)?.rates;
  const [top] = topReasons(stats, 60);
  const live = stats.latest?.flows.count ?? flows?.count ?? 0;
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="sm">
      <Tile label="Gateway" value={gatewayValue(status)} about={gatewayWords(status)} />
      <Tile
        label="Device"
        value={device ?? '–'}
        about={[
          count(queues, 'queue'),
          ...(uptimeSeconds === undefined ? [] : [`up ${formatDuration(uptimeSeconds)}`]),
          `${count(policy.rules, 'rule')}, ${count(policy.servers, 'server')}`,
        ].join(' · ')}
      />
      <Tile
        label="Flow table"
        value={flows === undefined ? '–' : percent(live / flows.capacity)}
        about={
          flows === undefined
            ? 'no firewall is running'
            : `${count(live, 'flow')}, room for ${formatCount(flows.capacity)}`
        }
      />
      <Tile
        label="Dropped now"
        value={rates === undefined ? '–' : formatPackets(rates.dropped.packets)}
        about={[
          ...(top === undefined || top.rate === 0 ? [] : [`most in a minute: ${top.reason}`]),
          ...(rates === undefined ? [] : [`passed ${formatBits(rates.passed.bytes)}`]),
        ].join(' · ')}
      />
    </SimpleGrid>
  );
}

/** `0 %`, `< 1 %`, `37 %`. */
function percent(share: number): string {
  if (share > 0 && share < 0.01) return '< 1 %';
  return `${Math.round(100 * share)} %`;
}

function gatewayValue({ running, gateway, problems, reloadError }: Status): string {
  if (!running) return 'No firewall';
  if (gateway !== undefined && gateway.state !== 'ok') return gateway.state;
  const isBroken = reloadError !== null || problems.some(({ severity }) => severity === 'error');
  if (isBroken) return 'not in force';
  return gateway === undefined ? 'running' : 'ok';
}

const watchWords = {
  running: 'watched and repaired',
  'report-only': 'watched, not repaired',
  stale: 'the watch is silent',
  absent: 'not watched: run tunwall gateway watch',
} as const;

function gatewayWords({ gateway, store }: Status): string {
  const words = gateway === undefined ? 'not looked at yet' : watchWords[gateway.watch];
  if (store === undefined) return words;
  return `${words} · ${store.connected ? `store ${store.name}` : 'the store does not answer'}`;
}
