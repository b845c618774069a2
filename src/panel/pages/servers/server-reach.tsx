/** Who can open what at a server, and what the server can open: exact sets, with the rules of both sides that say so. */
import { List, Stack, Table, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { placeText, trafficText } from '../../../text/rule-text.ts';
import { useReach } from '../../data/queries.ts';
import type { ReachEnd, ReachRow } from '../../data/types.ts';
import { formatNumber } from '../../parts/format.ts';
import { FirewallLink, ServerLink } from '../../parts/server-link.tsx';
import { Loaded } from '../../parts/states.tsx';

const sections = {
  to: { title: 'Who can open what here', other: 'From', none: 'Nobody: no rule lets anything in.' },
  from: { title: 'What it can open', other: 'To', none: 'Nothing: no rule lets anything out.' },
} as const;

export function ServerReach({ server }: { readonly server: string }): ReactNode {
  return (
    <Stack gap="lg">
      <Section server={server} end="to" />
      <Section server={server} end="from" />
    </Stack>
  );
}

interface SectionProps {
  readonly server: string;
  /** Which end of the connections the server is. */
  readonly end: 'from' | 'to';
}

function Section({ server, end }: SectionProps): ReactNode {
  const reach = useReach(server, end);
  const { title, none } = sections[end];
  return (
    <section aria-label={title}>
      <Title order={2} size="h4">
        {title}
      </Title>
      <Loaded query={reach}>
        {({ rows, more = 0 }) => (
          <>
            {rows.length === 0 ? (
              <Text size="sm" c="dimmed" mt="xs">
                {none}
              </Text>
            ) : (
              <ReachTable rows={rows} end={end} />
            )}
            {more > 0 && <Text size="sm">and {formatNumber(more)} more</Text>}
          </>
        )}
      </Loaded>
    </section>
  );
}

interface ReachTableProps extends Pick<SectionProps, 'end'> {
  readonly rows: readonly ReachRow[];
}

function ReachTable({ rows, end }: ReachTableProps): ReactNode {
  const { title, other } = sections[end];
  return (
    <Table className="data-table" mt="xs" aria-label={title}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{other}</Table.Th>
          <Table.Th>Traffic</Table.Th>
          <Table.Th>Because of</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {rows.map((row, index) => (
          <Table.Tr key={index}>
            <Table.Td data-label={other}>
              <End end={end === 'to' ? row.from : row.to} />
            </Table.Td>
            <Table.Td data-label="Traffic" fw={600}>
              {trafficText(row)}
            </Table.Td>
            <Table.Td data-label="Because of">
              <Rules row={row} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

/** How many addresses are shown of each end. */
const shownAddresses = 6;

function End({ end: { servers, addresses, more = 0 } }: { readonly end: ReachEnd }): ReactNode {
  const rest = Math.max(0, addresses.length - shownAddresses) + more;
  return (
    <div>
      {servers.map((name, index) => (
        <span key={name}>
          {index > 0 && ', '}
          <ServerLink name={name} />
        </span>
      ))}
      <Text size="xs" c="dimmed" className="mono address">
        {addresses.slice(0, shownAddresses).join(', ')}
        {rest > 0 && ` and ${formatNumber(rest)} more`}
      </Text>
    </div>
  );
}

function Rules({ row: { outbound, inbound } }: { readonly row: ReachRow }): ReactNode {
  return (
    <List size="sm" listStyleType="none">
      {[...outbound, ...inbound].map((rule) => (
        <List.Item key={placeText(rule.template, rule.line, rule.direction, rule.index)}>
          <FirewallLink name={rule.template} />: {rule.text}
        </List.Item>
      ))}
    </List>
  );
}
