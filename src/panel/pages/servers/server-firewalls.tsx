/** The firewalls of a server: those that it names, and those that apply to its labels, with the reason. */
import { Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Server } from '../../data/types.ts';
import { FirewallLink } from '../../parts/server-link.tsx';

export function Firewalls({ server }: { readonly server: Server }): ReactNode {
  const { templates, appliedTemplates } = server;
  if (templates.length + appliedTemplates.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        none: all is dropped
      </Text>
    );
  }
  return (
    <Group gap={8}>
      {templates.map((name) => (
        <FirewallLink key={name} name={name} />
      ))}
      {appliedTemplates.map(({ template, selector }) => (
        <span key={template}>
          <FirewallLink name={template} />{' '}
          <Text span size="xs" c="dimmed">
            by {selector}
          </Text>
        </span>
      ))}
    </Group>
  );
}
