/**
 * Where clients reach the firewall. Packets come first: an address that cannot be listened on stops no packet, it is tried
 * again until it is free.
 */

/** How long until the next try. */
const retryMs = 5000;

/** Where what happens is said. */
export interface Tell {
  readonly warn: (message: string) => void;
  readonly info: (message: string) => void;
}

export class Listeners {
  readonly #tell: Tell;
  /** Why it is not open, by name. */
  readonly #closed = new Map<string, string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #failures = 0;

  constructor(tell: Tell) {
    this.#tell = tell;
  }

  /** Tries that have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** What is not open at present, and why. */
  get error(): string | undefined {
    return this.#closed.size === 0 ? undefined : [...this.#closed.values()].join('; ');
  }

  /**
   * Listens, now or as soon as it can be done. Never throws.
   *
   * @param listen throws an Error in words
   */
  async open(name: string, listen: () => Promise<void>): Promise<void> {
    const before = this.#closed.get(name);
    try {
      await listen();
      this.#closed.delete(name);
      if (before !== undefined) this.#tell.info(`${name} is open now`);
    } catch (error) {
      const { message } = error as Error;
      this.#failures++;
      this.#closed.set(name, message);
      if (message !== before) {
        const seconds = retryMs / 1000;
        this.#tell.warn(`no ${name}: ${message}; it is tried again every ${seconds} seconds`);
      }
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        void this.open(name, listen);
      }, retryMs);
      this.#timers.add(timer);
    }
  }

  /** Ends the tries. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
