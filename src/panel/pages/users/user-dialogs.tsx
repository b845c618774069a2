/** What is done to a user: made, given a password, given and deprived of tokens. Errors of the API are at their fields. */
import {
  ActionIcon,
  Alert,
  Button,
  Checkbox,
  Code,
  CopyButton,
  Group,
  Modal,
  PasswordInput,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
} from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import type { ReactNode, SubmitEvent } from 'react';
import { roleWords } from '../../app/user-menu.tsx';
import { asProblem } from '../../data/api-problem.ts';
import { at, request } from '../../data/client.ts';
import { useChange } from '../../data/queries.ts';
import type { NewToken, User } from '../../data/types.ts';
import { Ago } from '../../parts/ago.tsx';
import { ProblemSummary } from '../../parts/problem-summary.tsx';

export const roleChoices = Object.entries(roleWords).map(([value, label]) => ({ value, label }));

interface DialogProps {
  readonly opened: boolean;
  readonly onClose: () => void;
}

interface FormProps {
  readonly fields: readonly string[];
  readonly action: string;
  readonly onSubmit: () => Promise<unknown>;
  readonly children: (errorOf: (field: string) => string | undefined) => ReactNode;
}

/** A form that shows the API's errors at its fields, and those without a field above them. */
function Form({ fields, action, onSubmit, children }: FormProps): ReactNode {
  const change = useChange(onSubmit);
  const problem = change.error === null ? undefined : asProblem(change.error);
  const elsewhere = problem?.errors.filter(({ path }) => !fields.includes(path)) ?? [];
  const errorOf = (field: string): string | undefined =>
    problem?.errors.find(({ path }) => path === field)?.message;
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    change.mutate(undefined);
  };
  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        {problem !== undefined && (problem.errors.length === 0 || elsewhere.length > 0) && (
          <ProblemSummary error={problem} errors={elsewhere} />
        )}
        {children(errorOf)}
        <Group justify="flex-end">
          <Button type="submit" loading={change.isPending}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

export function NewUserDialog({ opened, onClose }: DialogProps): ReactNode {
  const closeButtonProps = { 'aria-label': 'Close' };
  return (
    <Modal opened={opened} onClose={onClose} title="Add User" closeButtonProps={closeButtonProps}>
      <NewUser onClose={onClose} />
    </Modal>
  );
}

function NewUser({ onClose }: Pick<DialogProps, 'onClose'>): ReactNode {
  const [values, setValues] = useState({ name: '', role: 'member', password: '' });
  const { password, ...rest } = values;
  const create = async (): Promise<void> => {
    const body = { ...rest, name: rest.name.trim(), ...(password !== '' && { password }) };
    await request<User>('POST', '/v1/users', { body });
    onClose();
  };
  return (
    <Form fields={['name', 'role', 'password']} action="Add User" onSubmit={create}>
      {(errorOf) => (
        <>
          <TextInput
            label="Name"
            data-autofocus
            value={values.name}
            onChange={({ currentTarget }) => setValues({ ...values, name: currentTarget.value })}
            error={errorOf('name')}
          />
          <Select
            label="Role"
            data={roleChoices}
            value={values.role}
            onChange={(role) => setValues({ ...values, role: role ?? 'member' })}
            allowDeselect={false}
            error={errorOf('role')}
          />
          <PasswordInput
            label="Password"
            description="Without one the user cannot log in here, only use tokens."
            autoComplete="new-password"
            value={password}
            onChange={({ currentTarget }) =>
              setValues({ ...values, password: currentTarget.value })
            }
            error={errorOf('password')}
          />
        </>
      )}
    </Form>
  );
}

export interface PasswordFormProps {
  readonly name: string;
  /** One's own: with the one before. */
  readonly isOwn: boolean;
  /** Those the user has now: they outlive a new password, unless they are to end. */
  readonly tokens: User['tokens'];
  readonly onDone: () => void;
}

export function PasswordForm({ name, isOwn, tokens, onDone }: PasswordFormProps): ReactNode {
  const [password, setPassword] = useState('');
  const [current, setCurrent] = useState('');
  const [revokeTokens, setRevokeTokens] = useState(false);
  const save = async (): Promise<void> => {
    const body = { password, ...(isOwn && { current }), ...(revokeTokens && { revokeTokens }) };
    await request<User>('PUT', at`/v1/users/${name}/password`, { body });
    setPassword('');
    setCurrent('');
    setRevokeTokens(false);
    onDone();
  };
  return (
    <Form fields={['password', 'current']} action="Set Password" onSubmit={save}>
      {(errorOf) => (
        <>
          {isOwn && (
            <PasswordInput
              label="Current password"
              autoComplete="current-password"
              value={current}
              onChange={({ currentTarget }) => setCurrent(currentTarget.value)}
              error={errorOf('current')}
            />
          )}
          <PasswordInput
            label="New password"
            description={isOwn ? 'All your other sessions end.' : 'All sessions of the user end.'}
            autoComplete="new-password"
            value={password}
            onChange={({ currentTarget }) => setPassword(currentTarget.value)}
            error={errorOf('password')}
          />
          {tokens.length > 0 && (
            <Checkbox
              label="End the API tokens as well"
              description={`They stay valid otherwise: ${tokens.map((token) => token.name).join(', ')}`}
              checked={revokeTokens}
              onChange={({ currentTarget }) => setRevokeTokens(currentTarget.checked)}
            />
          )}
        </>
      )}
    </Form>
  );
}

/** A user's API tokens. A new one is shown once, here. */
export function Tokens({ user }: { readonly user: User }): ReactNode {
  const [name, setName] = useState('');
  const [made, setMade] = useState<NewToken>();
  const revoke = useChange((token: string) =>
    request('DELETE', at`/v1/users/${user.name}/tokens/${token}`),
  );
  const create = async (): Promise<void> => {
    const body = { name: name.trim() };
    setMade(await request<NewToken>('POST', at`/v1/users/${user.name}/tokens`, { body }));
    setName('');
  };
  return (
    <Stack>
      {revoke.error !== null && <ProblemSummary error={revoke.error} />}
      {made !== undefined && <MadeToken made={made} />}
      {user.tokens.length === 0 ? (
        <Text size="sm" c="dimmed">
          No tokens. Scripts use one instead of a password.
        </Text>
      ) : (
        <Table aria-label={`Tokens of ${user.name}`}>
          <Table.Tbody>
            {user.tokens.map((token) => (
              <Table.Tr key={token.name}>
                <Table.Td>{token.name}</Table.Td>
                <Table.Td>{token.created !== undefined && <Ago at={token.created} />}</Table.Td>
                <Table.Td ta="right">
                  <ActionIcon
                    variant="subtle"
                    color="red"
                    aria-label={`Revoke ${token.name}`}
                    loading={revoke.isPending && revoke.variables === token.name}
                    onClick={() => revoke.mutate(token.name)}
                  >
                    <IconTrash size={16} aria-hidden />
                  </ActionIcon>
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
      <Form fields={['name']} action="Make Token" onSubmit={create}>
        {(errorOf) => (
          <TextInput
            label="Name of a new token"
            placeholder="deploy"
            value={name}
            onChange={({ currentTarget }) => setName(currentTarget.value)}
            error={errorOf('name')}
          />
        )}
      </Form>
    </Stack>
  );
}

function MadeToken({ made: { name, token } }: { readonly made: NewToken }): ReactNode {
  return (
    <Alert color="teal" title={`Token "${name}": copy it now, it is not shown again`}>
      <Stack gap="xs" align="flex-start">
        <Code block className="address" aria-label="The token">
          {token}
        </Code>
        <CopyButton value={token}>
          {({ copied, copy }) => (
            <Button size="xs" variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy'}
            </Button>
          )}
        </CopyButton>
      </Stack>
    </Alert>
  );
}
