/** The first cell of a row: the name as a link, and what is said about it. */
import { Anchor, Table, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';

export interface NameCellProps {
  readonly path: string;
  readonly name: string;
  readonly description: string | undefined;
  /** Below it. */
  readonly children?: ReactNode;
}

export function NameCell({ path, name, description, children }: NameCellProps): ReactNode {
  return (
    <Table.Th scope="row" fw={600} fz="sm" c="var(--mantine-color-text)">
      <div>
        <Anchor
          component={Link}
          href={`${path}/${encodeURIComponent(name)}`}
          inherit
          underline="always"
        >
          {name}
        </Anchor>
        {description !== undefined && (
          <Text size="sm" c="dimmed" fw={400} lineClamp={2}>
            {description}
          </Text>
        )}
        {children}
      </div>
    </Table.Th>
  );
}
