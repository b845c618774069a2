/**
 * Browser sessions: the cookie holds an id, memory holds only its SHA-256, so that the memory is of no use to a thief.
 * A session ends after 30 minutes without a request, after 12 hours in any case, at logout, and when its user gets
 * another role or password (`User.generation`) or is removed. It does not survive a restart.
 */
import { createHash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { User } from '../store/store.ts';

export const idleMs: number = 30 * 60_000;
export const lifetimeMs: number = 12 * 60 * 60_000;
/** A user with more sessions loses the oldest. */
const maxSessions = 4096;

interface Session {
  readonly name: string;
  generation: string;
  readonly endsMs: number;
}

export class Sessions {
  readonly #sessions: LRUCache<string, Session>;
  readonly #now: () => number;

  /** @param now in ms since 1970 */
  constructor(now: () => number) {
    this.#now = now;
    this.#sessions = new LRUCache({
      max: maxSessions,
      ttl: idleMs,
      updateAgeOnGet: true,
      perf: { now },
      ttlResolution: 0,
    });
  }

  /** @returns the id, which is the secret, and when the session ends at the latest */
  begin(user: User): { readonly id: string; readonly endsMs: number } {
    const id = randomBytes(32).toString('base64url');
    const endsMs = this.#now() + lifetimeMs;
    this.#sessions.set(keyOf(id), { name: user.name, generation: user.generation, endsMs });
    return { id, endsMs };
  }

  /** The user of a valid session; an invalid one is ended. */
  find(id: string, users: readonly User[]): { user: User; endsMs: number } | undefined {
    const key = keyOf(id);
    const session = this.#sessions.get(key);
    if (session === undefined) return undefined;
    const user = users.find(({ name }) => name === session.name);
    if (user?.generation === session.generation && this.#now() < session.endsMs) {
      return { user, endsMs: session.endsMs };
    }
    this.#sessions.delete(key);
    return undefined;
  }

  /**
   * The user has set their own password in this session: it continues, the user's other sessions end.
   *
   * @param generation the result of this change, not of a later one
   */
  renew(id: string, { generation }: User): void {
    const session = this.#sessions.get(keyOf(id));
    if (session !== undefined) session.generation = generation;
  }

  end(id: string): void {
    this.#sessions.delete(keyOf(id));
  }
}

function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}
