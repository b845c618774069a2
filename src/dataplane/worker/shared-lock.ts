/**
 * A mutex in shared memory, on futexes (Atomics.wait and notify).
 *
 * It guards the flow table between packet threads: one holds it while it judges a batch, tens of microseconds, while the
 * others are in the kernel reading and writing. With one thread it is one compare-and-exchange a batch.
 *
 * States: 0 free, 1 held, 2 held with waiters (Drepper, "Futexes are tricky", mutex 2).
 */
export class SharedLock {
  readonly #words: Int32Array;
  readonly #at: number;

  /** @param at index of the lock's word */
  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  acquire(): void {
    if (Atomics.compareExchange(this.#words, this.#at, 0, 1) === 0) return;
    // Batches are short: the lock is mostly free again before sleeping would have paid off.
    for (let spin = 0; spin < 100; spin++) {
      if (Atomics.compareExchange(this.#words, this.#at, 0, 1) === 0) return;
    }
    while (Atomics.exchange(this.#words, this.#at, 2) !== 0) {
      Atomics.wait(this.#words, this.#at, 2);
    }
  }

  release(): void {
    if (Atomics.sub(this.#words, this.#at, 1) === 1) return;
    Atomics.store(this.#words, this.#at, 0);
    Atomics.notify(this.#words, this.#at, 1);
  }
}
