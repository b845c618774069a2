/** A server in four numbers, each with the last minute as a line. */
import { Paper, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { serverHistoryLength } from '../../data/rates.ts';
import type { Server } from '../../data/types.ts';
import type { LiveStats } from '../../data/use-stats.ts';
import { formatBits, formatBytes, formatNumber, formatPackets } from '../../parts/format.ts';
import { Sparkline } from '../../parts/sparkline.tsx';

export interface ServerTilesProps {
  readonly server: Server;
  readonly stats: LiveStats;
}

export function ServerTiles({ server: { name, templates }, stats }: ServerTilesProps): ReactNode {
  const history = stats.servers.map((servers) => servers.get(name));
  const passed = history.map((rates) => rates?.passed);
  const dropped = history.map((rates) => rates?.dropped);
  const totals = stats.latest?.servers[name];
  const sum = (judged: 'passed' | 'dropped', unit: 'bytes' | 'packets'): number =>
    (totals?.inbound[judged][unit] ?? 0) + (totals?.outbound[judged][unit] ?? 0);
  return (
    <>
      <Tile
        label="Traffic"
        value={formatBits(passed.at(-1)?.bytes ?? 0)}
        about={`${formatBytes(sum('passed', 'bytes'))} so far`}
        values={passed.map((rate) => rate?.bytes ?? 0)}
        tone="passed"
      />
      <Tile
        label="Packets passed"
        value={formatPackets(passed.at(-1)?.packets ?? 0)}
        about={`${formatNumber(sum('passed', 'packets'))} so far`}
        values={passed.map((rate) => rate?.packets ?? 0)}
        tone="passed"
      />
      <Tile
        label="Packets dropped"
        value={formatPackets(dropped.at(-1)?.packets ?? 0)}
        about={`${formatNumber(sum('dropped', 'packets'))} so far`}
        values={dropped.map((rate) => rate?.packets ?? 0)}
        tone="dropped"
      />
      <Tile
        label="Firewalls"
        value={String(templates.length)}
        about={templates.length === 0 ? 'all is dropped' : templates.join(', ')}
      />
    </>
  );
}

interface TileProps {
  readonly label: string;
  readonly value: string;
  readonly about: string;
  readonly values?: readonly number[];
  readonly tone?: 'passed' | 'dropped';
}

function Tile({ label, value, about, values, tone = 'passed' }: TileProps): ReactNode {
  return (
    <Paper withBorder p="sm" radius="md">
      <Text size="xs" c="dimmed" fw={600}>
        {label}
      </Text>
      <div className="tile-value">{value}</div>
      <Text size="xs" c="dimmed" className="address">
        {about}
      </Text>
      {values !== undefined && (
        <Sparkline values={values} length={serverHistoryLength} tone={tone} />
      )}
    </Paper>
  );
}
