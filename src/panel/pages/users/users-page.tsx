/** Users, their roles and tokens. */
import { Table } from '@mantine/core';
import type { ReactNode } from 'react';
import { roleWords } from '../../app/user-menu.tsx';
import { useUsers } from '../../data/queries.ts';
import { Page } from '../../parts/page.tsx';
import { Loaded } from '../../parts/states.tsx';

export default function UsersPage(): ReactNode {
  const users = useUsers();
  return (
    <Page title="Users and tokens">
      <Loaded query={users}>
        {({ users: list }) => (
          <Table>
            <Table.Tbody>
              {list.map(({ name, role, tokens }) => (
                <Table.Tr key={name}>
                  <Table.Td>{name}</Table.Td>
                  <Table.Td>{roleWords[role]}</Table.Td>
                  <Table.Td>{tokens.map((token) => token.name).join(', ')}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
      </Loaded>
    </Page>
  );
}
