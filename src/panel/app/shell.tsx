/** Menu, header and main part around every page, and what concerns all of them: a gateway that does not answer. */
import { Alert, AppShell, Burger, Container, Group, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlugConnectedX } from '@tabler/icons-react';
import { useEffect } from 'react';
import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { isKind } from '../data/api-problem.ts';
import { useStatus } from '../data/queries.ts';
import { whichGateway } from '../../text/regions.ts';
import { useQueryClient } from '@tanstack/react-query';
import { ConfigurationProblems } from './configuration-problems.tsx';
import { ObservingServers } from './observing-servers.tsx';
import { Brand } from './brand.tsx';
import { GatewayProblems } from './gateway-problems.tsx';
import { Menu } from './menu.tsx';
import { SchemeSwitch } from './scheme-switch.tsx';
import { useSession } from './session.ts';
import { Unconfirmed } from './unconfirmed.tsx';
import { UserMenu } from './user-menu.tsx';

export function Shell({ children }: { readonly children: ReactNode }): ReactNode {
  const [opened, { toggle, close }] = useDisclosure(false);
  const [path] = useLocation();
  const { session } = useSession();
  useEffect(close, [path, close]);
  return (
    <AppShell
      header={{ height: 56 }}
      navbar={{ width: 232, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding={{ base: 'md', sm: 'lg' }}
    >
      <a className="skip-link" href="#main">
        Skip to the content
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={opened ? 'Close the menu' : 'Open the menu'}
              aria-expanded={opened}
            />
            <Link href="/" className="brand" aria-label="tunwall: overview">
              <Brand />
            </Link>
            {session.may.view && <ThisGateway />}
          </Group>
          <Group gap="xs" wrap="nowrap">
            <SchemeSwitch />
            <UserMenu />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" aria-label="Main">
        <Menu />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <Container size={1280} px={0}>
          {session.may.view && (
            <>
              <Connection />
              <Unconfirmed />
            </>
          )}
          {children}
        </Container>
      </AppShell.Main>
    </AppShell>
  );
}

/** Of several gateways one has to know which one this is. */
function ThisGateway(): ReactNode {
  const { data } = useStatus();
  const text = data === undefined ? '' : whichGateway(data);
  if (text === '') return null;
  return (
    <Text size="sm" c="dimmed" truncate title="This gateway">
      {text}
    </Text>
  );
}

/** When the gateway is back, everything on the page is read again. */
function Connection(): ReactNode {
  const { error, data } = useStatus();
  const client = useQueryClient();
  const isGone = isKind(error, 'unreachable');
  useEffect(() => {
    if (!isGone) return;
    return () => void client.invalidateQueries();
  }, [isGone, client]);
  if (isGone) {
    return (
      <Alert
        mb="md"
        color="orange"
        icon={<IconPlugConnectedX aria-hidden />}
        title="The gateway does not answer"
      >
        What you see may be old. The page tries again by itself.
      </Alert>
    );
  }
  if (data === undefined) return null;
  return (
    <>
      <GatewayProblems status={data} />
      <ConfigurationProblems status={data} />
      <ObservingServers status={data} />
    </>
  );
}
