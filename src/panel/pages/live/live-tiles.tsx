/** The numbers of now: what passes, what is dropped, flows, and the policy by which packets are judged. */
import { formatDuration } from '../../../text/duration.ts';
import { SimpleGrid } from '@mantine/core';
import type { ReactNode } from 'react';
import type { StatsHistory } from '../../data/rates.ts';
import type { Stats, Status } from '../../data/types.ts';
import { count, formatBits, formatNumber, formatPackets } from '../../parts/format.ts';
import { Tile } from '../../parts/tile.tsx';
import { formatCount } from '../../../text/numbers.ts';

export interface LiveTilesProps {
  readonly stats: StatsHistory;
  readonly status: Status | undefined;
}

export function LiveTiles({ stats: { latest, moments }, status }: LiveTilesProps): ReactNode {
  if (latest === undefined) return null;
  const rates = moments.at(-1)?.rates;
  const { passed, dropped, flows, epoch } = latest;
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="sm">
      <Tile
        label="Passed"
        value={rates === undefined ? '–' : formatBits(rates.passed.bytes)}
        about={`${rates === undefined ? '–' : formatPackets(rates.passed.packets)} · ${formatCount(passed.packets)} packets so far`}
      />
      <Tile
        label="Dropped"
        value={rates === undefined ? '–' : formatPackets(rates.dropped.packets)}
        about={`${rates === undefined ? '–' : formatBits(rates.dropped.bytes)} · ${formatCount(dropped.packets)} packets so far`}
      />
      <Tile label="Live flows" value={formatNumber(flows.count)} about={flowWords(flows)} />
      <Tile label="Policy" value={`Epoch ${formatNumber(epoch)}`} about={policyWords(status)} />
    </SimpleGrid>
  );
}

function flowWords({ capacity, cut }: Stats['flows']): string {
  const room = `room for ${formatCount(capacity)}`;
  return cut === 0 ? room : `${room} · ${formatCount(cut)} cut by changes`;
}

function policyWords(status: Status | undefined): string {
  if (status === undefined) return '';
  const { policy, reloadFailures = 0, reloadError, uptimeSeconds } = status;
  const rules = `${count(policy.rules, 'rule')} · ${count(policy.servers, 'server')}`;
  if (reloadError !== null) return 'the last reload failed: see above';
  if (reloadFailures > 0) return `${rules} · ${count(reloadFailures, 'failed reload')}`;
  return uptimeSeconds === undefined ? rules : `${rules} · up ${formatDuration(uptimeSeconds)}`;
}
