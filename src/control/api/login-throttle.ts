/**
 * Guessing passwords is made slow: per address, and per user whatever the address.
 *
 * After some free failures each further one doubles the wait, up to a limit; what nobody tried for a quarter of an hour is
 * forgotten. An attempt counts before its password is looked at, so that many at once count as well, and is taken back if
 * it was right. Hashing takes memory and time, one at a time: only so many may wait for their turn.
 */
import { LRUCache } from 'lru-cache';

const rememberMs = 15 * 60_000;
const maxRemembered = 10_000;
const maxWaiting = 8;

/** Failures that cost nothing, and how long one may have to wait at most. */
const limits = {
  /** Many people may share one. */
  address: { free: 20, maxWaitMs: 15 * 60_000 },
  /** Anybody can lock a user out: not for long. Tokens and the socket work all the same. */
  user: { free: 10, maxWaitMs: 60_000 },
} as const;

interface Failures {
  count: number;
  untilMs: number;
}

export type Attempt =
  | { readonly allowed: true; readonly finish: (right: boolean) => void }
  | { readonly allowed: false; readonly waitMs: number };

export class LoginThrottle {
  readonly #failures: LRUCache<string, Failures>;
  readonly #now: () => number;
  #waiting = 0;

  /** @param now in ms */
  constructor(now: () => number) {
    this.#now = now;
    this.#failures = new LRUCache({
      max: maxRemembered,
      ttl: rememberMs,
      perf: { now },
      ttlResolution: 0,
    });
  }

  /** To be called before the password is looked at; `finish` tells what came of it. */
  begin(address: string, user: string): Attempt {
    const keys = [`address ${address}`, `user ${user}`] as const;
    const nowMs = this.#now();
    const waitMs = Math.max(
      ...keys.map((key) => (this.#failures.get(key)?.untilMs ?? 0) - nowMs),
      this.#waiting >= maxWaiting ? 1000 : 0,
    );
    if (waitMs > 0) return { allowed: false, waitMs };
    this.#waiting++;
    this.#count(keys[0], limits.address);
    this.#count(keys[1], limits.user);
    return {
      allowed: true,
      finish: (right) => {
        this.#waiting--;
        if (!right) return;
        this.#takeBack(keys[0]);
        this.#failures.delete(keys[1]);
      },
    };
  }

  #count(key: string, { free, maxWaitMs }: (typeof limits)['address' | 'user']): void {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const waitMs = count < free ? 0 : Math.min(maxWaitMs, 1000 * 2 ** (count - free));
    this.#failures.set(key, { count, untilMs: this.#now() + waitMs });
  }

  /** One right guess does not make the others of that address good. */
  #takeBack(key: string): void {
    const known = this.#failures.get(key);
    if (known !== undefined) {
      this.#failures.set(key, { count: Math.max(0, known.count - 1), untilMs: 0 });
    }
  }
}
