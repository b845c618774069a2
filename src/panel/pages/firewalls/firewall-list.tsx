/** All firewalls, which the API calls templates. */
import { Anchor, Button, Table } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useMayChange } from '../../app/session.ts';
import { useTemplates } from '../../data/queries.ts';
import { Ago } from '../../parts/ago.tsx';
import { formatNumber } from '../../parts/format.ts';
import { Page } from '../../parts/page.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';

export default function FirewallList(): ReactNode {
  const templates = useTemplates();
  const mayChange = useMayChange();
  const create = (
    <Button component={Link} href="/firewalls/new" leftSection={<IconPlus size={16} aria-hidden />}>
      Create Firewall
    </Button>
  );
  return (
    <Page title="Firewalls" {...(mayChange && { actions: create })}>
      <Loaded query={templates}>
        {({ templates: list }) =>
          list.length === 0 ? (
            <Empty title="No firewalls yet">
              A firewall is a set of rules for any number of servers.
            </Empty>
          ) : (
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Name</Table.Th>
                  <Table.Th className="number">Servers</Table.Th>
                  <Table.Th className="number">Rules</Table.Th>
                  <Table.Th className="number">Hits</Table.Th>
                  <Table.Th>Last change</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {list.map(({ name, servers, ruleCount, hits, changed }) => (
                  <Table.Tr key={name}>
                    <Table.Td>
                      <Anchor component={Link} href={`/firewalls/${name}`}>
                        {name}
                      </Anchor>
                    </Table.Td>
                    <Table.Td className="number">{formatNumber(servers.length)}</Table.Td>
                    <Table.Td className="number">{formatNumber(ruleCount)}</Table.Td>
                    <Table.Td className="number">{hits ?? '–'}</Table.Td>
                    <Table.Td>{changed !== undefined && <Ago at={changed.at} />}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          )
        }
      </Loaded>
    </Page>
  );
}
