/** What is open to the world, where it cannot be overlooked. Nothing is shown where nothing is. */
import { IconWorld } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { WarningBadge } from './warning-badge.tsx';

export function ExposureBadge({ exposure }: { readonly exposure: readonly string[] }): ReactNode {
  if (exposure.length === 0) return null;
  return (
    <WarningBadge icon={IconWorld} title="Open to the whole Internet, or to most of it">
      Open: {exposure.join('; ')}
    </WarningBadge>
  );
}
