/** A firewall for viewers: its rules and its servers, without controls. */
import { Anchor, Group, Paper, Stack, Table, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import type { Template } from '../../data/types.ts';
import { Hits } from '../../parts/hits.tsx';
import { directions } from '../../../text/rule-text.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { AppliedServers } from './applied-servers.tsx';
import { directionWords } from '../../parts/rule-words.ts';
import { Peers } from '../../parts/peers.tsx';
import { RuleTraffic } from '../../parts/rule-traffic.tsx';
import '../../parts/live.css';
import './rules.css';

export function FirewallView({ template }: { readonly template: Template }): ReactNode {
  return (
    <Stack gap="md">
      {template.description !== undefined && <Text>{template.description}</Text>}
      {directions.map((direction) => (
        <Rules key={direction} {...{ direction, template }} />
      ))}
      <Paper withBorder radius="md" p="md" component="section">
        <Title order={2} size="h4" mb="xs">
          Servers
        </Title>
        <AppliedServers template={template} />
        {template.servers.length + template.appliedServers.length === 0 ? (
          <Text size="sm" className="no-rules">
            No server has this firewall.
          </Text>
        ) : (
          <Group gap="md">
            {template.servers.map((name) => (
              <Anchor key={name} component={Link} href={`/servers/${name}`} size="sm">
                {name}
              </Anchor>
            ))}
          </Group>
        )}
      </Paper>
    </Stack>
  );
}

interface RulesProps {
  readonly direction: RuleDirection;
  readonly template: Template;
}

function Rules({ direction, template }: RulesProps): ReactNode {
  const rules = template[direction];
  const { title, peers } = directionWords[direction];
  return (
    <Paper withBorder radius="md" p="md" component="section">
      <Title order={2} size="h4" mb="xs">
        {title} rules
      </Title>
      {rules.length === 0 ? (
        <Text size="sm" className="no-rules">
          No {direction} rules: nothing is let {direction === 'inbound' ? 'in' : 'out'}.
        </Text>
      ) : (
        <Table className="data-table" aria-label={`${title} rules`}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Traffic</Table.Th>
              <Table.Th>{peers}</Table.Th>
              <Table.Th>Comment</Table.Th>
              <Table.Th className="number">Hits</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rules.map((rule, index) => (
              <Table.Tr key={index}>
                <Table.Td data-label="Traffic" className="mono">
                  <RuleTraffic rule={rule} />
                </Table.Td>
                <Table.Td data-label={peers}>
                  <Peers peers={rule.sources ?? rule.destinations} except={rule.except} />
                </Table.Td>
                <Table.Td data-label="Comment">{rule.comment}</Table.Td>
                <Table.Td data-label="Hits" className="number">
                  <Hits rule={rule} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Paper>
  );
}
