/** Everybody's own: password and tokens. */
import { Paper, SimpleGrid, Stack, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useSession } from '../../app/session.ts';
import { roleWords } from '../../app/user-menu.tsx';
import { at, get } from '../../data/client.ts';
import { keys } from '../../data/queries.ts';
import type { User } from '../../data/types.ts';
import { Page } from '../../parts/page.tsx';
import { Loaded } from '../../parts/states.tsx';
import { PasswordForm, Tokens } from './user-dialogs.tsx';

export default function AccountPage(): ReactNode {
  const { name, role } = useSession().session;
  const user = useQuery({
    queryKey: [...keys.users, name],
    queryFn: ({ signal }) => get<User>(at`/v1/users/${name}`, signal),
  });
  const done = (): void => {
    notifications.show({ message: 'The password was changed', color: 'teal' });
  };
  return (
    <Page title="Your account" about={`You are ${name}, ${roleWords[role]}.`}>
      <Loaded query={user}>
        {(self) => (
          <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
            <Part title="Password">
              <PasswordForm name={name} isOwn tokens={self.tokens} onDone={done} />
            </Part>
            <Part title="API tokens">
              <Tokens user={self} />
            </Part>
          </SimpleGrid>
        )}
      </Loaded>
    </Page>
  );
}

function Part({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <Paper withBorder p="md" radius="md">
      <Stack>
        <Title order={2} size="h4">
          {title}
        </Title>
        {children}
      </Stack>
    </Paper>
  );
}
