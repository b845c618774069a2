/**
 * Which slot a server's traffic is counted under (flow/server-totals.ts): a small number that stays with its name.
 *
 * Flows carry slots, so the number of a server that is gone is given to another one as late as possible: a server that
 * comes back has its own again, and only when all were used once does the one go that was given up longest ago. Servers
 * beyond the number of slots are not counted one by one.
 */
import { serverSlotCount } from '../dataplane/flow/server-totals.ts';

export class ServerSlots {
  readonly #slots: Map<string, number> = new Map();
  readonly #names: string[] = [];
  readonly #limit: number;
  /** Told of a slot that gets another name: what was counted under it is nobody's any more. */
  readonly #onReuse: (slot: number) => void;
  /** Names that no policy has any more, oldest first. */
  readonly #gone: Set<string> = new Set();

  /** @param slots with the one that is nobody */
  constructor(onReuse: (slot: number) => void = () => undefined, slots: number = serverSlotCount) {
    this.#onReuse = onReuse;
    this.#limit = slots;
  }

  /**
   * The slots of a policy's servers; servers that are not among them are gone.
   *
   * @returns one for each name; 0 for those that had to be left out
   */
  assign(names: readonly string[]): number[] {
    const wanted = new Set(names);
    for (const name of this.#slots.keys()) {
      if (wanted.has(name)) this.#gone.delete(name);
      else this.#gone.add(name);
    }
    return names.map((name) => this.#slots.get(name) ?? this.#take(name));
  }

  /** Behind the last slot that was ever given to a name. */
  get end(): number {
    return this.#slots.size + 1;
  }

  /** Whose slot it is, or was last; undefined for nobody. */
  nameOf(slot: number): string | undefined {
    return this.#names[slot];
  }

  /** 0 if the name never had one. */
  slotOf(name: string): number {
    return this.#slots.get(name) ?? 0;
  }

  #take(name: string): number {
    let slot = this.#slots.size + 1;
    if (slot >= this.#limit) {
      const [oldest] = this.#gone;
      if (oldest === undefined) return 0;
      slot = this.#slots.get(oldest)!;
      this.#gone.delete(oldest);
      this.#slots.delete(oldest);
      this.#onReuse(slot);
    }
    this.#slots.set(name, slot);
    this.#names[slot] = name;
    return slot;
  }
}
