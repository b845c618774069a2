/** The menu: the overview, then as the service has it: Services, and in it Firewalls. */
import { NavLink, Stack, Text } from '@mantine/core';
import {
  IconActivity,
  IconArrowsLeftRight,
  IconFlame,
  IconHistory,
  IconLayoutDashboard,
  IconGitCommit,
  IconListDetails,
  IconRouter,
  IconServer,
  IconUsers,
  IconZoomQuestion,
} from '@tabler/icons-react';
import type { ComponentType, ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useSession } from './session.ts';

interface Entry {
  readonly path: string;
  readonly label: string;
  readonly icon: ComponentType<{ size?: number; 'aria-hidden'?: boolean }>;
}

const overview: Entry = { path: '/', label: 'Overview', icon: IconLayoutDashboard };
const services: readonly Entry[] = [
  { path: '/firewalls', label: 'Firewalls', icon: IconFlame },
  { path: '/servers', label: 'Servers', icon: IconServer },
  { path: '/sets', label: 'Sets', icon: IconListDetails },
  { path: '/changes', label: 'Changes', icon: IconGitCommit },
  { path: '/gateways', label: 'Gateways', icon: IconRouter },
];
const traffic: readonly Entry[] = [
  { path: '/live', label: 'Live', icon: IconActivity },
  { path: '/flows', label: 'Flows', icon: IconArrowsLeftRight },
  { path: '/explain', label: 'Explain', icon: IconZoomQuestion },
];
const administration: readonly Entry[] = [
  { path: '/audit', label: 'Audit', icon: IconHistory },
  { path: '/users', label: 'Users and tokens', icon: IconUsers },
];

export function Menu(): ReactNode {
  const { may } = useSession().session;
  return (
    <Stack gap="lg" py="xs" component="nav" aria-label="Sections">
      {may.view && <MenuEntry entry={overview} />}
      <Section title="Services" entries={services} />
      <Section title="Traffic" entries={traffic} />
      {may.change && <Section title="Administration" entries={administration} />}
    </Stack>
  );
}

interface SectionProps {
  readonly title: string;
  readonly entries: readonly Entry[];
}

function Section({ title, entries }: SectionProps): ReactNode {
  return (
    <div>
      <Text size="xs" fw={700} c="dimmed" tt="uppercase" px="sm" mb={4}>
        {title}
      </Text>
      {entries.map((entry) => (
        <MenuEntry key={entry.path} entry={entry} />
      ))}
    </div>
  );
}

function MenuEntry({ entry: { path, label, icon: Icon } }: { readonly entry: Entry }): ReactNode {
  const [location] = useLocation();
  const isHere = location === path || location.startsWith(`${path}/`);
  return (
    <NavLink
      component={Link}
      href={path}
      label={label}
      leftSection={<Icon size={18} aria-hidden />}
      active={isHere}
      aria-current={isHere ? 'page' : undefined}
      className="menu-entry"
    />
  );
}
