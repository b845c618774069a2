/** That a server observes: what no rule allows passes there. Nothing is shown where rules are enforced. */
import { IconEye } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Server } from '../data/types.ts';
import { formatTime } from './format.ts';
import { WarningBadge } from './warning-badge.tsx';

export function ObservingBadge({
  server: { observing, until },
}: {
  readonly server: Pick<Server, 'observing' | 'until'>;
}): ReactNode {
  if (!observing) return null;
  return (
    <WarningBadge icon={IconEye} title="What no rule allows passes, and is listed as would-drop">
      Observes{until !== undefined && ` until ${formatTime(until)}`}
    </WarningBadge>
  );
}
