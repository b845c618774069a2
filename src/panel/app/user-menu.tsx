/** The user and role of the session, and the way to log out. */
import { Button, Menu, Text } from '@mantine/core';
import { IconKey, IconLogout, IconUser } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { Session } from '../data/types.ts';
import { useSession } from './session.ts';

export const roleWords: Readonly<Record<Session['role'], string>> = {
  owner: 'Owner',
  member: 'Member',
  'billing-member': 'Billing Member',
  'billing-admin': 'Billing Admin',
};

export function UserMenu(): ReactNode {
  const { session, logOut } = useSession();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconUser size={16} aria-hidden />}>
          <Text span inherit truncate maw={{ base: 96, sm: 240 }}>
            {session.name}
          </Text>
          <Text span c="dimmed" size="sm" ml={6} visibleFrom="sm">
            {roleWords[session.role]}
          </Text>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.name}: {roleWords[session.role]}
        </Menu.Label>
        <Menu.Item component={Link} href="/account" leftSection={<IconKey size={16} aria-hidden />}>
          Password and tokens
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={logOut}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
