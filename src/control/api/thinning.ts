/**
 * Reports in few lines what clients can cause as often as they like. The first event of a kind is reported, those of the
 * next minute are counted. Their count is reported with the next event, or on its own when the minute is over.
 *
 * A client can also invent kinds (addresses, names). So the total is limited, and what exceeds it is reported as a count.
 */
import { Budget } from './budget.ts';
import type { BudgetOptions } from './budget.ts';

/** The budget is of reports. */
export interface ThinningOptions<T> extends BudgetOptions {
  /** The clock, in ms. */
  readonly now: () => number;
  /** @param count how many events this report stands for */
  readonly tell: (value: T, count: number) => Promise<void> | void;
  /** Reports the number of events that exceeded the limit. */
  readonly tellLeftOut: (count: number) => Promise<void> | void;
}

const periodMs = 60_000;
const maxKinds = 4096;

interface Kind<T> {
  value: T;
  readonly sinceMs: number;
  /** Not reported yet. */
  repeats: number;
}

export class Thinning<T> {
  readonly #options: ThinningOptions<T>;
  /** Of the last minute, the oldest first. */
  readonly #kinds: Map<string, Kind<T>> = new Map();
  readonly #budget: Budget;
  #leftOut = 0;

  constructor(options: ThinningOptions<T>) {
    this.#options = options;
    this.#budget = new Budget(options.now, options);
  }

  /** Resolves when the event is reported or counted. */
  async add(kind: string, value: T): Promise<void> {
    const nowMs = this.#options.now();
    const known = this.#kinds.get(kind);
    if (known !== undefined && nowMs - known.sinceMs < periodMs) {
      known.repeats++;
      known.value = value;
      return;
    }
    this.#kinds.delete(kind);
    this.#kinds.set(kind, { value, sinceMs: nowMs, repeats: 0 });
    const reported = this.#tell(value, 1 + (known?.repeats ?? 0));
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size > maxKinds) await this.#forget(oldest!);
    await reported;
  }

  /** Reports the counts of kinds whose minute is over. Call it once a minute. */
  async sweep(): Promise<void> {
    const nowMs = this.#options.now();
    for (const [kind, { sinceMs }] of [...this.#kinds]) {
      if (nowMs - sinceMs < periodMs) break;
      await this.#forget(kind);
    }
    if (this.#leftOut > 0 && this.#budget.take()) await this.#tellLeftOut();
  }

  /** Reports all counts: at the end. What exceeds the limit is one more report. */
  async flush(): Promise<void> {
    for (const kind of [...this.#kinds.keys()]) await this.#forget(kind);
    if (this.#leftOut > 0) await this.#tellLeftOut();
  }

  async #tellLeftOut(): Promise<void> {
    const count = this.#leftOut;
    this.#leftOut = 0;
    await this.#options.tellLeftOut(count);
  }

  async #forget(kind: string): Promise<void> {
    const known = this.#kinds.get(kind);
    this.#kinds.delete(kind);
    if (known !== undefined && known.repeats > 0) await this.#tell(known.value, known.repeats);
  }

  async #tell(value: T, count: number): Promise<void> {
    if (this.#budget.take()) await this.#options.tell(value, count);
    else this.#leftOut += count;
  }
}
