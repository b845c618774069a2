/**
 * Slows down password guessing: per address, and per user over all addresses.
 *
 * After some free failures each further one doubles the wait, up to a limit; a count without attempts for a quarter of
 * an hour is deleted. An attempt is counted before its password is checked, so that concurrent attempts count as well,
 * and is uncounted if the password was right. Hashing takes memory and time, so it runs one at a time, and the queue is
 * bounded.
 */
import { LRUCache } from 'lru-cache';

const rememberMs = 15 * 60_000;
const maxRemembered = 10_000;
const maxWaiting = 8;

/** Free failures, and the longest wait. */
const limits = {
  /** Many people may share an address. */
  address: { free: 20, maxWaitMs: 15 * 60_000 },
  /** Any client can lock a user out, so the wait is short. Tokens and the socket are not affected. */
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

  /** Call it before the password is checked, and `finish` with the result. */
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

  /** One success does not clear the other failures of that address. */
  #takeBack(key: string): void {
    const known = this.#failures.get(key);
    if (known !== undefined) {
      this.#failures.set(key, { count: Math.max(0, known.count - 1), untilMs: 0 });
    }
  }
}
