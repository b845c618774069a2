/**
 * Nothing is shown before login. A session that ends later (idle, a new role, a gateway that was restarted) puts the
 * login over the page, which stays as it is, with all that was typed into it.
 */
import { Center, Container, Loader, Modal, VisuallyHidden } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useEffectEvent, useMemo, useState } from 'react';
import type { ReactNode } from 'react';
import { isKind } from '../data/api-problem.ts';
import { get, onUnauthenticated, request } from '../data/client.ts';
import { keys } from '../data/queries.ts';
import type { Session } from '../data/types.ts';
import { Failed } from '../parts/states.tsx';
import { Login, LoginPage } from './login.tsx';
import { SessionContext } from './session.ts';
import type { SessionAccess } from './session.ts';

export function SessionGate({ children }: { readonly children: ReactNode }): ReactNode {
  const client = useQueryClient();
  const [hasEnded, setEnded] = useState(false);
  const { data, error, isPending, refetch } = useQuery({
    queryKey: keys.session,
    queryFn: ({ signal }) => get<Session | null>('/v1/session', signal),
    staleTime: Infinity,
    gcTime: Infinity,
    refetchOnReconnect: false,
    // Until the gateway answers: afterwards other requests say whether the session goes on.
    refetchInterval: ({ state }) => (isKind(state.error, 'unreachable') ? 3000 : false),
  });
  useEffect(() => onUnauthenticated(() => setEnded(true)), []);
  useEscapeGuard(hasEnded);

  const begin = (session: Session): void => {
    client.setQueryData(keys.session, session);
    setEnded(false);
    void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' });
  };
  const access = useMemo((): SessionAccess | undefined => {
    if (data === undefined || data === null) return undefined;
    const logOut = async (): Promise<void> => {
      // A session that has ended by itself is as good.
      await request('DELETE', '/v1/session').catch(() => undefined);
      client.clear();
      client.setQueryData(keys.session, null);
      setEnded(false);
    };
    return { session: data, logOut };
  }, [data, client]);

  if (access !== undefined) {
    return (
      <SessionContext value={access}>
        {children}
        <SessionEnded opened={hasEnded} name={access.session.name} onLogin={begin} />
      </SessionContext>
    );
  }
  if (isPending) return <Starting />;
  if (data === null || isKind(error, 'unauthenticated')) return <LoginPage onLogin={begin} />;
  return (
    <Container size="xs" py="xl" component="main">
      <Failed error={error} onRetry={() => void refetch()} />
    </Container>
  );
}

/**
 * Dialogs listen for Escape on the window, those under the login too: an open review would close. The gate is there
 * before any page, so its listener is the first.
 */
function useEscapeGuard(isOn: boolean): void {
  const guard = useEffectEvent((event: KeyboardEvent): void => {
    if (isOn && event.key === 'Escape') event.stopImmediatePropagation();
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent): void => guard(event);
    window.addEventListener('keydown', listen, true);
    return () => window.removeEventListener('keydown', listen, true);
  }, []);
}

function Starting(): ReactNode {
  return (
    <Center h="100vh" role="status">
      <VisuallyHidden>Loading</VisuallyHidden>
      <Loader aria-hidden />
    </Center>
  );
}

interface SessionEndedProps {
  readonly opened: boolean;
  readonly name: string;
  readonly onLogin: (session: Session) => void;
}

function SessionEnded({ opened, name, onLogin }: SessionEndedProps): ReactNode {
  return (
    <Modal
      opened={opened}
      onClose={() => undefined}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      title="Log in again"
      centered
      zIndex={400}
      overlayProps={{ blur: 2 }}
    >
      <Login
        name={name}
        note="The session has ended. What you have typed is still there."
        onLogin={onLogin}
      />
    </Modal>
  );
}
