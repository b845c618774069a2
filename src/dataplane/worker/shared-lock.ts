/**
 * A mutex in shared memory, on futexes (Atomics.wait and notify).
 *
 * It guards the flow table between packet threads: one holds it while it judges a batch, tens of microseconds, while the
 * others are in the kernel reading and writing. With one thread it is one compare-and-exchange a batch.
 *
 * A holder that fails leaves the flow table half changed. The lock is lost then: every thread that asks for it or waits for it
 * gets a {@link LockLostError}, and the process ends (data-plane.ts). A holder fails by throwing, or by ending without a chance
 * to throw, as when memory runs out; a waiter therefore checks now and then whether the holder still runs.
 *
 * States: 0 free, 1 held, 2 held with waiters (Drepper, "Futexes are tricky", mutex 2).
 */
import { hasEnded, ownThread } from './thread-life.ts';

/** Words of a lock, from its first one. */
const LockWord = {
  state: 0,
  /** The holder's thread (thread-life.ts); 0 = unknown. */
  holder: 1,
  /** 1: a holder has failed. */
  lost: 2,
} as const;

export const lockWords = 3;

/** How often a waiter checks whether the holder still runs. */
const lookAgainMs = 100;

/** The flow table may be half changed. */
export class LockLostError extends Error {
  override name = 'LockLostError';

  constructor() {
    super('a thread has failed while it held the flow table');
  }
}

export class SharedLock {
  readonly #words: Int32Array;
  readonly #state: number;
  readonly #holder: number;
  readonly #lost: number;
  readonly #thread: number = ownThread();

  /** To be constructed by the thread that uses it. @param at index of the first of {@link lockWords} words, all 0 */
  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#state = at + LockWord.state;
    this.#holder = at + LockWord.holder;
    this.#lost = at + LockWord.lost;
  }

  /** Runs `work` under the lock. Throws what `work` throws, and a {@link LockLostError} when the lock is lost. */
  hold(work: () => void): void {
    this.#acquire();
    try {
      work();
      this.#release();
    } catch (error) {
      this.#lose();
      throw error;
    }
  }

  #acquire(): void {
    const words = this.#words;
    const at = this.#state;
    // Batches are short: the lock is mostly free again before sleeping would have paid off.
    for (let spin = 0; spin < 100; spin++) {
      if (Atomics.compareExchange(words, at, 0, 1) === 0) {
        words[this.#holder] = this.#thread;
        return;
      }
    }
    while (Atomics.exchange(words, at, 2) !== 0) {
      if (Atomics.load(words, this.#lost) !== 0) throw new LockLostError();
      const woken = Atomics.wait(words, at, 2, lookAgainMs);
      if (woken === 'timed-out' && hasEnded(words[this.#holder]!)) this.#lose();
    }
    words[this.#holder] = this.#thread;
  }

  #release(): void {
    const words = this.#words;
    words[this.#holder] = 0;
    if (Atomics.sub(words, this.#state, 1) === 1) return;
    Atomics.store(words, this.#state, 0);
    Atomics.notify(words, this.#state, 1);
  }

  /** The lock stays held for good; all waiters wake up and see why. */
  #lose(): void {
    Atomics.store(this.#words, this.#lost, 1);
    Atomics.notify(this.#words, this.#state);
  }
}
