/**
 * What comes again and again, by kind: so many kinds at most. When there are too many, the half that came least often goes, and is
 * counted as a sum. So a flood of invented sources takes the place of other rare ones, never that of what keeps coming.
 */
export class KeptKinds<Kind extends { readonly count: number; readonly lastMs: number }> {
  readonly #most: number;
  readonly #kinds: Map<string, Kind> = new Map<string, Kind>();
  #forgotten: number;

  /** @param forgotten before */
  constructor(most: number, forgotten = 0) {
    this.#most = most;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#kinds.size;
  }

  /** How often came what is of no kind any more. */
  get forgotten(): number {
    return this.#forgotten;
  }

  get(key: string): Kind | undefined {
    return this.#kinds.get(key);
  }

  /** One that is not there yet. */
  add(key: string, kind: Kind): void {
    if (this.#kinds.size >= this.#most) this.forgetHalf();
    this.#kinds.set(key, kind);
  }

  values(): Iterable<Kind> {
    return this.#kinds.values();
  }

  /** Forgets those that came least often; among them the oldest. */
  forgetHalf(): void {
    const kinds = [...this.#kinds].sort(
      ([, one], [, other]) => one.count - other.count || one.lastMs - other.lastMs,
    );
    for (const [key, { count }] of kinds.slice(0, Math.ceil(kinds.length / 2))) {
      this.#kinds.delete(key);
      this.#forgotten += count;
    }
  }
}
