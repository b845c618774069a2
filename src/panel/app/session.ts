/** The logged-in user, for every page. */
import { createContext, use } from 'react';
import type { Session } from '../data/types.ts';

export interface SessionAccess {
  readonly session: Session;
  readonly logOut: () => Promise<void>;
}

export const SessionContext = createContext<SessionAccess | undefined>(undefined);

export function useSession(): SessionAccess {
  const access = use(SessionContext);
  if (access === undefined) throw new Error('a page outside of the session');
  return access;
}

/** Whether there are controls: an owner's. */
export function useMayChange(): boolean {
  return useSession().session.may.change;
}
