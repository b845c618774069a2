/** A limited number at once, and a number per second after that. */
export interface BudgetOptions {
  readonly burst: number;
  readonly perSecond: number;
}

export class Budget {
  readonly #options: BudgetOptions;
  readonly #now: () => number;
  #left: number;
  #refilledMs: number;

  /** @param now the clock, in ms */
  constructor(now: () => number, options: BudgetOptions) {
    this.#now = now;
    this.#options = options;
    this.#left = options.burst;
    this.#refilledMs = now();
  }

  /** Takes one, if there is one. */
  take(): boolean {
    const { burst, perSecond } = this.#options;
    const nowMs = this.#now();
    const refill = (Math.max(0, nowMs - this.#refilledMs) * perSecond) / 1000;
    this.#left = Math.min(burst, this.#left + refill);
    this.#refilledMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
