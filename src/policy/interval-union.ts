/** Unions of address ranges, with the first rule that covers each part. */
import { orderOfPairs } from './ranges.ts';
import type { Ranges } from './ranges.ts';

/** The addresses of a rule, and what the rule is called in the union: not 0. */
export interface RuleRanges {
  readonly ranges: Ranges;
  readonly value: number;
}

/** Sorted starts from 0 on, and for each the value of the rule that holds until the next start, or 0. */
export interface IntervalSet {
  readonly starts: Uint32Array;
  readonly values: Int32Array;
}

const lastKey = 0xffffffff;

/** Where ranges overlap, the rule that comes first in the list holds. */
export function unionOf(rules: readonly RuleRanges[]): IntervalSet {
  const count = rules.reduce((sum, { ranges }) => sum + ranges.length / 2, 0);
  const writer = new IntervalWriter(count);
  const flat = rules.length === 1 ? rules[0]!.ranges : undefined;
  if (flat !== undefined) {
    const { value } = rules[0]!;
    for (let i = 0; i < flat.length; i += 2) writer.add(flat[i]!, flat[i + 1]!, value);
    return writer.finish();
  }
  const pairs = new Uint32Array(count * 2);
  const owners = new Int32Array(count);
  let at = 0;
  rules.forEach(({ ranges }, rule) => {
    pairs.set(ranges, at * 2);
    owners.fill(rule, at, at + ranges.length / 2);
    at += ranges.length / 2;
  });
  sweep(pairs, owners, orderOfPairs(pairs), (from, to, rule) =>
    writer.add(from, to, rules[rule]!.value),
  );
  return writer.finish();
}

/** Visits the parts of the union in ascending order; a heap of the open ranges gives the rule of each. */
function sweep(
  pairs: Uint32Array,
  owners: Int32Array,
  order: Float64Array,
  put: (from: number, to: number, rule: number) => void,
): void {
  const open = new RangeHeap(owners);
  let next = 0;
  let key = 0;
  for (;;) {
    while (!open.isEmpty && pairs[open.top * 2 + 1]! < key) open.pop();
    if (open.isEmpty) {
      if (next === order.length) return;
      key = Math.max(key, pairs[order[next]! * 2]!);
    }
    while (next < order.length && pairs[order[next]! * 2]! <= key) open.push(order[next++]!);
    // The next change is where the holder ends or a range begins that may take over.
    const end = pairs[open.top * 2 + 1]!;
    const nextStart = next < order.length ? pairs[order[next]! * 2]! : lastKey + 1;
    const to = Math.min(end, nextStart - 1);
    put(key, to, owners[open.top]!);
    key = to + 1;
    if (key > lastKey) return;
  }
}

/** Takes disjoint ranges in ascending order. */
class IntervalWriter {
  readonly #starts: Uint32Array;
  readonly #values: Int32Array;
  #length = 1;
  /** Behind the last range. */
  #end = 0;

  /** @param count of ranges, before they are cut by others: each of them adds two starts at most */
  constructor(count: number) {
    this.#starts = new Uint32Array(count * 2 + 1);
    this.#values = new Int32Array(count * 2 + 1);
  }

  add(from: number, to: number, value: number): void {
    if (from > this.#end) this.#put(this.#end, 0);
    this.#put(from, value);
    this.#end = to + 1;
  }

  finish(): IntervalSet {
    if (this.#end <= lastKey) this.#put(this.#end, 0);
    return {
      starts: this.#starts.subarray(0, this.#length),
      values: this.#values.subarray(0, this.#length),
    };
  }

  #put(start: number, value: number): void {
    const last = this.#length - 1;
    if (start === this.#starts[last]) this.#values[last] = value;
    else if (value !== this.#values[last]) {
      this.#starts[this.#length] = start;
      this.#values[this.#length] = value;
      this.#length++;
    }
  }
}

/** A binary heap of ranges, the one of the first rule on top. */
class RangeHeap {
  readonly #items: number[] = [];
  readonly #owners: Int32Array;

  constructor(owners: Int32Array) {
    this.#owners = owners;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  get top(): number {
    return this.#items[0]!;
  }

  push(range: number): void {
    const items = this.#items;
    const owner = this.#owners[range]!;
    let at = items.length;
    items.push(range);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#owners[items[parent]!]! <= owner) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = range;
  }

  pop(): void {
    const items = this.#items;
    const moved = items.pop();
    if (items.length === 0 || moved === undefined) return;
    const owner = this.#owners[moved]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = child + 1;
      if (right < items.length && this.#owners[items[right]!]! < this.#owners[items[child]!]!)
        child++;
      if (this.#owners[items[child]!]! >= owner) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = moved;
  }
}
