/** How often users may change their own accounts: ten times at once, then once a minute. */
import { LRUCache } from 'lru-cache';
import { Budget } from './budget.ts';

const budget = { burst: 10, perSecond: 1 / 60 };
const maxRemembered = 10_000;

export class OwnChanges {
  readonly #now: () => number;
  readonly #budgets: LRUCache<string, Budget> = new LRUCache({ max: maxRemembered });

  /** @param now in ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether this user may make another one now. */
  take(user: string): boolean {
    const own = this.#budgets.get(user) ?? new Budget(this.#now, budget);
    this.#budgets.set(user, own);
    return own.take();
  }
}
