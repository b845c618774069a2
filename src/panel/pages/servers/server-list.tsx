/** All servers, with their addresses and firewalls. */
import { Anchor, Table } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useServers } from '../../data/queries.ts';
import { Page } from '../../parts/page.tsx';
import { Empty, Loaded } from '../../parts/states.tsx';

export default function ServerList(): ReactNode {
  const servers = useServers();
  return (
    <Page title="Servers">
      <Loaded query={servers}>
        {({ servers: list }) =>
          list.length === 0 ? (
            <Empty title="No servers yet">Whatever is no server is forwarded to nobody.</Empty>
          ) : (
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Name</Table.Th>
                  <Table.Th>Addresses</Table.Th>
                  <Table.Th>Firewalls</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {list.map(({ name, addresses, templates }) => (
                  <Table.Tr key={name}>
                    <Table.Td>
                      <Anchor component={Link} href={`/servers/${name}`}>
                        {name}
                      </Anchor>
                    </Table.Td>
                    <Table.Td className="mono">{addresses.join(', ')}</Table.Td>
                    <Table.Td>{templates.join(', ')}</Table.Td>
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
