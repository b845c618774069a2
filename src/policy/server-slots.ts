/**
 * Which slot a server's traffic is counted under (flow/server-totals.ts): a small number that stays with its name.
 *
 * Flows carry slots, so the slot of a removed server is reused as late as possible: a server that comes back gets its
 * own again, and only when all slots were used is the one reused that was freed longest ago. Servers beyond the number
 * of slots are not counted one by one.
 */
import { serverSlotCount } from '../dataplane/flow/server-totals.ts';

export class ServerSlots {
  readonly #slots: Map<string, number> = new Map();
  readonly #names: string[] = [];
  readonly #limit: number;
  /** Called for a slot that gets a name: what was counted for it belongs to no server any more. */
  readonly #onTake: (slot: number, name: string) => void;
  /** Names that no policy has any more, oldest first. */
  readonly #gone: Set<string> = new Set();

  /** @param slots number of slots, slot 0 included */
  constructor(
    onTake: (slot: number, name: string) => void = () => undefined,
    slots: number = serverSlotCount,
  ) {
    this.#onTake = onTake;
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

  /** The present or last name of a slot; undefined if it never had one. */
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
    }
    this.#onTake(slot, name);
    this.#slots.set(name, slot);
    this.#names[slot] = name;
    return slot;
  }
}
