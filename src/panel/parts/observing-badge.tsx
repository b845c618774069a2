/** That a server observes: what no rule allows passes there. Nothing is shown where rules are enforced. */
import { Badge } from '@mantine/core';
import { IconEye } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Server } from '../data/types.ts';
import { formatTime } from './format.ts';

export function ObservingBadge({
  server: { observing, until },
}: {
  readonly server: Pick<Server, 'observing' | 'until'>;
}): ReactNode {
  if (!observing) return null;
  return (
    <Badge
      variant="light"
      radius="sm"
      color="orange"
      tt="none"
      leftSection={<IconEye size={12} aria-hidden />}
      title="What no rule allows passes, and is listed as would-drop"
      className="wraps"
    >
      Observes{until !== undefined && ` until ${formatTime(until)}`}
    </Badge>
  );
}
