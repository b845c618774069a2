/** The login: a page of its own at first, a dialog over the page when a session has ended. */
import { Button, Center, Paper, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useEffect, useState } from 'react';
import type { SubmitEvent, ReactNode } from 'react';
import { request } from '../data/client.ts';
import type { Session } from '../data/types.ts';
import { ProblemSummary } from '../parts/problem-summary.tsx';
import { Brand } from './brand.tsx';

export interface LoginProps {
  readonly name?: string;
  readonly note?: string;
  readonly onLogin: (session: Session) => void;
}

export function Login({ name: known = '', note, onLogin }: LoginProps): ReactNode {
  const [name, setName] = useState(known);
  const [password, setPassword] = useState('');
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const logIn = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      onLogin(await request<Session>('POST', '/v1/session', { body: { name, password } }));
    } catch (failure) {
      setPassword('');
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={logIn}>
      <Stack>
        {note !== undefined && <Text size="sm">{note}</Text>}
        {error !== undefined && <ProblemSummary error={error} />}
        <TextInput
          label="Name"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          withAsterisk={false}
          value={name}
          onChange={({ currentTarget }) => setName(currentTarget.value)}
          {...(known === '' && { 'data-autofocus': true })}
        />
        <PasswordInput
          label="Password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={password}
          onChange={({ currentTarget }) => setPassword(currentTarget.value)}
          visibilityToggleButtonProps={{ 'aria-label': 'Show the password' }}
          {...(known !== '' && { 'data-autofocus': true })}
        />
        <Button type="submit" loading={isBusy} fullWidth>
          Log in
        </Button>
      </Stack>
    </form>
  );
}

export function LoginPage({ onLogin }: Pick<LoginProps, 'onLogin'>): ReactNode {
  useEffect(() => {
    document.title = 'Log in · tunwall';
  }, []);
  return (
    <Center component="main" mih="100vh" p="md">
      <Paper withBorder shadow="sm" radius="lg" p="xl" w="100%" maw={380}>
        <Stack gap="lg">
          <Brand />
          <div>
            <Title order={1} size="h3">
              Log in
            </Title>
            <Text size="sm" c="dimmed" mt={4}>
              At the first start, the firewall’s log tells the password of the user <b>owner</b>.
            </Text>
          </div>
          <Login onLogin={onLogin} />
        </Stack>
      </Paper>
    </Center>
  );
}
