/** The rules of a server: those of all its firewalls, each with the firewall that it comes from, and its hits. */
import { Stack, Table, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { useServerRules } from '../../data/queries.ts';
import type { EffectiveRules as Rules } from '../../data/types.ts';
import { count } from '../../parts/format.ts';
import { Hits } from '../../parts/hits.tsx';
import { directions } from '../../../text/rule-text.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import { directionWords } from '../../parts/rule-words.ts';
import { Peers } from '../../parts/peers.tsx';
import { RuleTraffic } from '../../parts/rule-traffic.tsx';
import { FirewallLink } from '../../parts/server-link.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';

export interface EffectiveRulesProps {
  readonly server: string;
  /** Whether it has any firewall, named or by its labels. */
  readonly hasFirewall: boolean;
}

export function EffectiveRules({ server, hasFirewall }: EffectiveRulesProps): ReactNode {
  const rules = useServerRules(server);
  if (!hasFirewall) {
    return (
      <Empty title="No firewall, no rules">
        Everything to and from this server is dropped. Give it a firewall: with Edit here, or on the
        firewall’s page.
      </Empty>
    );
  }
  return (
    <Loaded query={rules}>
      {(data) => (
        <Stack gap="lg">
          {directions.map((direction) => (
            <Section key={direction} direction={direction} rules={data[direction]} />
          ))}
        </Stack>
      )}
    </Loaded>
  );
}

interface SectionProps {
  readonly direction: RuleDirection;
  readonly rules: Rules[RuleDirection];
}

function Section({ direction, rules }: SectionProps): ReactNode {
  const { title } = directionWords[direction];
  return (
    <section aria-label={`${title} rules`}>
      <Title order={2} size="h4">
        {title}{' '}
        <Text span c="dimmed" size="sm" fw={400}>
          {count(rules.length, 'rule')}
        </Text>
      </Title>
      {rules.length === 0 ? (
        <Text size="sm" c="dimmed" mt="xs">
          No rule: nothing may {direction === 'inbound' ? 'open a flow to' : 'be opened by'} this
          server.
        </Text>
      ) : (
        <RuleTable direction={direction} rules={rules} />
      )}
    </section>
  );
}

function RuleTable({ direction, rules }: SectionProps): ReactNode {
  const { title, peers } = directionWords[direction];
  return (
    <Table className="data-table" mt="xs" aria-label={`${title} rules`}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Allowed</Table.Th>
          <Table.Th>{peers}</Table.Th>
          <Table.Th>Firewall</Table.Th>
          <Table.Th>Comment</Table.Th>
          <Table.Th className="number">Hits</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rules.map((rule) => (
          <Table.Tr key={`${rule.template} ${rule.index}`}>
            <Table.Td data-label="Allowed" fw={600}>
              <RuleTraffic rule={rule} />
            </Table.Td>
            <Table.Td data-label={peers}>
              <Peers peers={rule.sources ?? rule.destinations} except={rule.except} />
            </Table.Td>
            <Table.Td data-label="Firewall">
              <FirewallLink name={rule.template} />
              {rule.selector !== undefined && (
                <Text size="xs" c="dimmed">
                  by {rule.selector}
                </Text>
              )}
            </Table.Td>
            <Table.Td data-label="Comment" c="dimmed">
              {rule.comment}
            </Table.Td>
            <Table.Td data-label="Hits" className="number">
              <Hits rule={rule} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}
