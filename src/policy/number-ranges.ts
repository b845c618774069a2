/** Gives out ranges of whole numbers from 0 on, the lowest that is free. */
export class NumberRanges {
  /** Free ranges below the end, ascending; no two of them touch. */
  readonly #free: { from: number; count: number }[] = [];
  #end = 0;

  /** Above all numbers that are in use. */
  get end(): number {
    return this.#end;
  }

  /** The first number of a range. */
  take(count: number): number {
    const index = this.#free.findIndex((each) => each.count >= count);
    if (index < 0) {
      this.#end += count;
      return this.#end - count;
    }
    const range = this.#free[index]!;
    const { from } = range;
    range.from += count;
    range.count -= count;
    if (range.count === 0) this.#free.splice(index, 1);
    return from;
  }

  give(from: number, count: number): void {
    if (count === 0) return;
    const free = this.#free;
    let at = free.findIndex((each) => each.from > from);
    if (at < 0) at = free.length;
    const before = free[at - 1];
    const joined = before !== undefined && before.from + before.count === from;
    if (joined) before.count += count;
    else free.splice(at, 0, { from, count });
    const own = joined ? at - 1 : at;
    const range = free[own]!;
    const after = free[own + 1];
    if (after !== undefined && range.from + range.count === after.from) {
      range.count += after.count;
      free.splice(own + 1, 1);
    }
    const last = free.at(-1)!;
    if (last.from + last.count === this.#end) {
      this.#end = last.from;
      free.pop();
    }
  }
}
