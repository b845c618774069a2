/** Users with their roles and tokens: a page for owners. */
import { Button, Group, Modal, Select, Table, Text } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useSession } from '../../app/session.ts';
import { at, request } from '../../data/client.ts';
import { useChange, useUsers } from '../../data/queries.ts';
import type { User } from '../../data/types.ts';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { count } from '../../parts/format.ts';
import '../../parts/live.css';
import { Page } from '../../parts/page.tsx';
import { ProblemSummary } from '../../parts/problem-summary.tsx';
import { Loaded } from '../../parts/states.tsx';
import { NewUserDialog, PasswordForm, Tokens, roleChoices } from './user-dialogs.tsx';

const about =
  'Owners change everything. Members and billing members see firewalls, servers and traffic. Billing admins see nothing of them.';

/** What is open, and of whom. */
interface Open {
  readonly what: 'password' | 'tokens' | 'destroy';
  readonly name: string;
}

export default function UsersPage(): ReactNode {
  const users = useUsers();
  const [isCreating, setCreating] = useState(false);
  const create = (
    <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setCreating(true)}>
      Add User
    </Button>
  );
  return (
    <Page title="Users and tokens" about={about} actions={create}>
      <Loaded query={users}>{({ users: list }) => <Users list={list} />}</Loaded>
      <NewUserDialog opened={isCreating} onClose={() => setCreating(false)} />
    </Page>
  );
}

function Users({ list }: { readonly list: readonly User[] }): ReactNode {
  const [open, setOpen] = useState<Open>();
  const { session } = useSession();
  const role = useChange(({ name, role: next }: { name: string; role: string }) =>
    request<User>('PUT', at`/v1/users/${name}/role`, { body: { role: next } }),
  );
  const destroy = useChange((name: string) => request('DELETE', at`/v1/users/${name}`));
  const close = (): void => setOpen(undefined);
  const user = list.find(({ name }) => name === open?.name);
  const isOpen = (what: Open['what']): boolean => user !== undefined && open?.what === what;
  return (
    <>
      {role.error !== null && <ProblemSummary error={role.error} />}
      <Table className="data-table" aria-label="Users">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>Role</Table.Th>
            <Table.Th>Logs in with</Table.Th>
            <Table.Th aria-label="Actions" />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {list.map((each) => (
            <UserRow
              key={each.name}
              user={each}
              isSelf={each.name === session.name}
              onRole={(next) => role.mutate({ name: each.name, role: next })}
              onOpen={(what) => setOpen({ what, name: each.name })}
            />
          ))}
        </Table.Tbody>
      </Table>
      <Dialog title={`Password of ${open?.name ?? ''}`} opened={isOpen('password')} onClose={close}>
        {user !== undefined && (
          <PasswordForm
            name={user.name}
            isOwn={user.name === session.name}
            tokens={user.tokens}
            onDone={close}
          />
        )}
      </Dialog>
      <Dialog title={`Tokens of ${open?.name ?? ''}`} opened={isOpen('tokens')} onClose={close}>
        {user !== undefined && <Tokens user={user} />}
      </Dialog>
      <ConfirmDialog
        title={`Destroy ${open?.name ?? ''}?`}
        action="Destroy"
        dangerous
        opened={isOpen('destroy')}
        onClose={close}
        onConfirm={() => destroy.mutateAsync(open?.name ?? '')}
      >
        The sessions and tokens of this user end at once.
      </ConfirmDialog>
    </>
  );
}

interface DialogProps {
  readonly title: string;
  readonly opened: boolean;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

function Dialog(props: DialogProps): ReactNode {
  return <Modal closeButtonProps={{ 'aria-label': 'Close' }} {...props} />;
}

interface UserRowProps {
  readonly user: User;
  readonly isSelf: boolean;
  readonly onRole: (role: string) => void;
  readonly onOpen: (what: Open['what']) => void;
}

function UserRow({ user, isSelf, onRole, onOpen }: UserRowProps): ReactNode {
  const { name, role, hasPassword, tokens } = user;
  const ways = [
    ...(hasPassword ? ['a password'] : []),
    ...(tokens.length > 0 ? [count(tokens.length, 'token')] : []),
  ];
  return (
    <Table.Tr>
      <Table.Td data-label="Name">
        <div>
          {name}
          {isSelf && (
            <Text span size="sm" c="dimmed">
              {' '}
              (you)
            </Text>
          )}
        </div>
      </Table.Td>
      <Table.Td data-label="Role">
        <Select
          aria-label={`Role of ${name}`}
          data={roleChoices}
          value={role}
          onChange={(next) => next !== null && onRole(next)}
          allowDeselect={false}
          w={170}
        />
      </Table.Td>
      <Table.Td data-label="Logs in with">
        {ways.length === 0 ? 'nothing yet' : ways.join(', ')}
      </Table.Td>
      <Table.Td data-label="">
        <Group gap="xs" justify="flex-end" wrap="nowrap">
          <Button size="xs" variant="default" onClick={() => onOpen('password')}>
            Password
          </Button>
          <Button size="xs" variant="default" onClick={() => onOpen('tokens')}>
            Tokens
          </Button>
          <Button size="xs" variant="subtle" color="red" onClick={() => onOpen('destroy')}>
            Destroy
          </Button>
        </Group>
      </Table.Td>
    </Table.Tr>
  );
}
