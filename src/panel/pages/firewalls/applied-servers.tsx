/** Servers that have a firewall by their labels, each with the selector that is the reason. */
import { Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Template } from '../../data/types.ts';
import { ServerLink } from '../../parts/server-link.tsx';

export function AppliedServers({ template }: { readonly template: Template }): ReactNode {
  const { appliedServers } = template;
  if (appliedServers.length === 0) return null;
  return (
    <Group gap="md">
      <Text size="sm">By their labels:</Text>
      {appliedServers.map(({ server, selector }) => (
        <Text key={server} size="sm">
          <ServerLink name={server} />{' '}
          <Text span c="dimmed">
            {selector}
          </Text>
        </Text>
      ))}
    </Group>
  );
}
