/** A number of now, large, with what it means and what else belongs to it. */
import { Paper, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import './live.css';

export interface TileProps {
  readonly label: string;
  readonly value: string;
  readonly about: string;
  /** Below: a line of the last minute. */
  readonly children?: ReactNode;
}

export function Tile({ label, value, about, children }: TileProps): ReactNode {
  return (
    <Paper withBorder p="sm" radius="md">
      <Text size="xs" c="dimmed" fw={600}>
        {label}
      </Text>
      <div className="tile-value">{value}</div>
      <Text size="xs" c="dimmed" className="address">
        {about}
      </Text>
      {children}
    </Paper>
  );
}
