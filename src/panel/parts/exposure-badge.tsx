/** What is open to the world, where it cannot be overlooked. Nothing is shown where nothing is. */
import { Badge } from '@mantine/core';
import { IconWorld } from '@tabler/icons-react';
import type { ReactNode } from 'react';

export function ExposureBadge({ exposure }: { readonly exposure: readonly string[] }): ReactNode {
  if (exposure.length === 0) return null;
  return (
    <Badge
      variant="light"
      radius="sm"
      color="orange"
      tt="none"
      leftSection={<IconWorld size={12} aria-hidden />}
      title="Open to the whole Internet, or to most of it"
      className="wraps"
    >
      Open: {exposure.join('; ')}
    </Badge>
  );
}
