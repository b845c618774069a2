/**
 * Undoes changes that nobody has confirmed in time.
 *
 * A change that comes while this process runs has its time by this process's own clock: neither a clock that is set nor another
 * gateway's clock makes it shorter or longer. At a start only the calendar can tell how much of it is left.
 */
import type { Logger } from 'pino';
import { undoOverdue } from '../store/confirmation.ts';
import { StoreError } from '../store/store.ts';
import type { PolicyStore, Unconfirmed } from '../store/store.ts';

/** After how long it is tried again, if it could not be undone. */
const againMs = 5000;

export interface ConfirmationsOptions {
  readonly store: Pick<PolicyStore, 'change' | 'unconfirmed' | 'setAside'>;
  readonly log: Pick<Logger, 'warn'>;
  /** The store has the state before: puts it in force. */
  readonly onUndone: () => Promise<unknown>;
  /** By a clock that nobody sets, in ms. */
  readonly nowMs?: () => number;
}

export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #nowMs: () => number;
  #known: { readonly number: number; readonly dueMs: number } | undefined;
  #looking: Promise<void> | undefined;
  /** What is seen later has come while this process ran. */
  #hasLooked = false;
  #againMs = -Infinity;
  /** What was logged last, to log nothing twice. */
  #trouble = '';
  #undone = 0;

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Whether a change waits. */
  get waits(): boolean {
    return this.#known !== undefined;
  }

  get undone(): number {
    return this.#undone;
  }

  /** Once a second, and never two at a time. Never throws. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const waiting = await this.#options.store.unconfirmed();
      if (waiting === undefined) this.#known = undefined;
      else if (waiting.number !== this.#known?.number) this.#note(waiting);
      this.#hasLooked = true;
      if (this.#known !== undefined && this.#nowMs() >= this.#againMs) await this.#undoDue();
      if (this.#known === undefined) this.#trouble = '';
    } catch (error) {
      this.#failed(error);
    }
  }

  #note(waiting: Unconfirmed): void {
    const wholeMs = Date.parse(waiting.until) - Date.parse(waiting.at);
    const leftMs = this.#hasLooked ? wholeMs : Date.parse(waiting.until) - Date.now();
    const dueMs = this.#nowMs() + Math.min(wholeMs, leftMs);
    this.#known = { number: waiting.number, dueMs };
    this.#againMs = -Infinity;
  }

  async #undoDue(): Promise<void> {
    const known = this.#known;
    const isDue = ({ number }: Unconfirmed): boolean =>
      number === known?.number && this.#nowMs() >= known.dueMs;
    let undone: Unconfirmed | undefined;
    try {
      undone = await undoOverdue(this.#options.store, isDue);
    } catch (error) {
      await this.#setAside();
      throw error;
    }
    if (undone === undefined) return;
    this.#known = undefined;
    this.#undone++;
    const { number, back, actor, summary } = undone;
    this.#options.log.warn(
      { revision: number, back, user: actor.name, change: summary },
      'the change was not confirmed in time: the policy is again what it was before',
    );
    await this.#options.onUndone();
  }

  /** What cannot be undone is not to be in force here, at least. */
  async #setAside(): Promise<void> {
    const known = this.#known;
    if (known === undefined || this.#nowMs() < known.dueMs) return;
    if ((await this.#options.store.setAside?.(known.number)) !== true) return;
    this.#options.log.warn(
      { revision: known.number },
      'the change was not confirmed in time, and cannot be undone for all: this gateway has gone back to the policy before it',
    );
    await this.#options.onUndone();
  }

  #failed(error: unknown): void {
    this.#againMs = this.#nowMs() + againMs;
    // While the store is away this is known, and reported, already.
    const isAway =
      error instanceof StoreError &&
      error.failures.some(({ kind }) => kind === 'store-unavailable');
    if (isAway) return;
    const reason = error instanceof Error ? error.message : String(error);
    if (reason === this.#trouble) return;
    this.#trouble = reason;
    this.#options.log.warn(
      `the change that nobody has confirmed cannot be undone: ${reason}; it is tried again`,
    );
  }
}
