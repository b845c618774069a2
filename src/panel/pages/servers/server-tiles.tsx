/** A server in four numbers, with the last ten minutes as lines. */
import type { ReactNode } from 'react';
import type { Server, ServerHistory } from '../../data/types.ts';
import type { LiveStats } from '../../data/use-stats.ts';
import { formatBits, formatBytes, formatNumber, formatPackets } from '../../parts/format.ts';
import { Sparkline } from '../../parts/sparkline.tsx';
import { Tile } from '../../parts/tile.tsx';

export interface ServerTilesProps {
  readonly server: Server;
  readonly stats: LiveStats;
  /** Absent: there was no traffic. */
  readonly history: ServerHistory | undefined;
}

export function ServerTiles({ server, stats, history }: ServerTilesProps): ReactNode {
  const { name } = server;
  const firewalls = [
    ...server.templates,
    ...server.appliedTemplates.map(({ template }) => template),
  ];
  const without = server.observing ? 'what no rule allows passes' : 'all is dropped';
  const now = stats.servers.get(name);
  const totals = stats.latest?.servers?.[name];
  const sum = (judged: 'passed' | 'dropped', unit: 'bytes' | 'packets'): number =>
    (totals?.inbound[judged][unit] ?? 0) + (totals?.outbound[judged][unit] ?? 0);
  return (
    <>
      <Tile
        label="Traffic"
        value={formatBits(now?.passed.bytes ?? 0)}
        about={`${formatBytes(sum('passed', 'bytes'))} so far`}
      >
        <Sparkline values={history?.passed.bytes} tone="passed" />
      </Tile>
      <Tile
        label="Packets passed"
        value={formatPackets(now?.passed.packets ?? 0)}
        about={`${formatNumber(sum('passed', 'packets'))} so far`}
      >
        <Sparkline values={history?.passed.packets} tone="passed" />
      </Tile>
      <Tile
        label="Packets dropped"
        value={formatPackets(now?.dropped.packets ?? 0)}
        about={`${formatNumber(sum('dropped', 'packets'))} so far`}
      >
        <Sparkline values={history?.dropped.packets} tone="dropped" />
      </Tile>
      <Tile
        label="Firewalls"
        value={String(firewalls.length)}
        about={firewalls.length === 0 ? without : firewalls.join(', ')}
      />
    </>
  );
}
