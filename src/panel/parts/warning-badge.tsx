/** What must not be overlooked about a firewall or a server, in a few words. */
import { Badge } from '@mantine/core';
import type { IconWorld } from '@tabler/icons-react';
import type { ReactNode } from 'react';

export interface WarningBadgeProps {
  readonly icon: typeof IconWorld;
  readonly title: string;
  readonly children: ReactNode;
}

export function WarningBadge({ icon: Icon, title, children }: WarningBadgeProps): ReactNode {
  return (
    <Badge
      variant="light"
      radius="sm"
      color="orange"
      tt="none"
      leftSection={<Icon size={12} aria-hidden />}
      title={title}
      className="wraps"
    >
      {children}
    </Badge>
  );
}
