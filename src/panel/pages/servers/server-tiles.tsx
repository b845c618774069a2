/** A server in four numbers, each with the last minute as a line. */
import type { ReactNode } from 'react';
import { serverHistoryLength } from '../../data/rates.ts';
import type { Traffic } from '../../../text/rates.ts';
import type { Server } from '../../data/types.ts';
import type { LiveStats } from '../../data/use-stats.ts';
import { formatBits, formatBytes, formatNumber, formatPackets } from '../../parts/format.ts';
import { Sparkline } from '../../parts/sparkline.tsx';
import { Tile } from '../../parts/tile.tsx';

export interface ServerTilesProps {
  readonly server: Server;
  readonly stats: LiveStats;
}

export function ServerTiles({ server: { name, templates }, stats }: ServerTilesProps): ReactNode {
  const history = stats.servers.map((servers) => servers.get(name));
  const passed = history.map((rates) => rates?.passed);
  const dropped = history.map((rates) => rates?.dropped);
  const totals = stats.latest?.servers?.[name];
  const sum = (judged: 'passed' | 'dropped', unit: 'bytes' | 'packets'): number =>
    (totals?.inbound[judged][unit] ?? 0) + (totals?.outbound[judged][unit] ?? 0);
  return (
    <>
      <Tile
        label="Traffic"
        value={formatBits(passed.at(-1)?.bytes ?? 0)}
        about={`${formatBytes(sum('passed', 'bytes'))} so far`}
      >
        <Minute rates={passed} unit="bytes" tone="passed" />
      </Tile>
      <Tile
        label="Packets passed"
        value={formatPackets(passed.at(-1)?.packets ?? 0)}
        about={`${formatNumber(sum('passed', 'packets'))} so far`}
      >
        <Minute rates={passed} unit="packets" tone="passed" />
      </Tile>
      <Tile
        label="Packets dropped"
        value={formatPackets(dropped.at(-1)?.packets ?? 0)}
        about={`${formatNumber(sum('dropped', 'packets'))} so far`}
      >
        <Minute rates={dropped} unit="packets" tone="dropped" />
      </Tile>
      <Tile
        label="Firewalls"
        value={String(templates.length)}
        about={templates.length === 0 ? 'all is dropped' : templates.join(', ')}
      />
    </>
  );
}

interface MinuteProps {
  readonly rates: readonly (Traffic | undefined)[];
  readonly unit: keyof Traffic;
  readonly tone: 'passed' | 'dropped';
}

function Minute({ rates, unit, tone }: MinuteProps): ReactNode {
  const values = rates.map((rate) => rate?.[unit] ?? 0);
  return <Sparkline values={values} length={serverHistoryLength} tone={tone} />;
}
