/**
 * Sets of IPv4 addresses as sorted ranges that neither overlap nor touch.
 *
 * They lie in one `Uint32Array` as pairs of first and last address, since a public block list has a million of them. Each
 * operation passes once over both sets. (An import cuts small ranges out of large lists: `interop/rules/range-lists.ts`.)
 */

/** `[from, to, from, to, …]`, both ends included, ascending, at least one address between two ranges. */
export type Ranges = Uint32Array;

export interface Range {
  readonly from: number;
  readonly to: number;
}

export const noRanges: Ranges = new Uint32Array(0);
export const allAddresses: Ranges = Uint32Array.of(0, 0xffffffff);

/** So many pairs can be sorted: first address and place in the list fit into the 53 bits of a number. */
export const maxPairs: number = 2 ** 21;

/** The union of ranges in any order. */
export function rangesOf(list: readonly Range[]): Ranges {
  if (list.length === 1) return Uint32Array.of(list[0]!.from, list[0]!.to);
  const pairs = new Uint32Array(list.length * 2);
  list.forEach(({ from, to }, index) => {
    pairs[index * 2] = from;
    pairs[index * 2 + 1] = to;
  });
  return rangesOfPairs(pairs);
}

/** The union of at most {@link maxPairs} pairs of first and last address, in any order. */
export function rangesOfPairs(pairs: Uint32Array): Ranges {
  const writer = new RangeWriter(pairs.length / 2);
  for (const index of orderOfPairs(pairs)) writer.add(pairs[index * 2]!, pairs[index * 2 + 1]!);
  return writer.finish();
}

/** Indices of at most {@link maxPairs} pairs, ascending by first address; of equal ones in their order. */
export function orderOfPairs(pairs: Uint32Array): Float64Array {
  const count = pairs.length / 2;
  if (count > maxPairs) throw new RangeError(`more than ${maxPairs} ranges in one set`);
  const order = new Float64Array(count);
  for (let i = 0; i < count; i++) order[i] = pairs[i * 2]! * maxPairs + i;
  order.sort();
  for (let i = 0; i < count; i++) order[i]! %= maxPairs;
  return order;
}

/** The union of sets. */
export function unionRanges(sets: readonly Ranges[]): Ranges {
  if (sets.length === 1) return sets[0]!;
  if (sets.length === 2) return mergeRanges(sets[0]!, sets[1]!);
  if (sets.length === 0) return noRanges;
  const half = sets.length >> 1;
  return mergeRanges(unionRanges(sets.slice(0, half)), unionRanges(sets.slice(half)));
}

function mergeRanges(a: Ranges, b: Ranges): Ranges {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const writer = new RangeWriter((a.length + b.length) / 2);
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (j >= b.length || (i < a.length && a[i]! <= b[j]!)) {
      writer.add(a[i]!, a[i + 1]!);
      i += 2;
    } else {
      writer.add(b[j]!, b[j + 1]!);
      j += 2;
    }
  }
  return writer.finish();
}

/** What `a` has and `b` does not. */
export function subtractRanges(a: Ranges, b: Ranges): Ranges {
  if (b.length === 0) return a;
  const writer = new RangeWriter((a.length + b.length) / 2);
  let j = 0;
  for (let i = 0; i < a.length; i += 2) {
    let from = a[i]!;
    const to = a[i + 1]!;
    while (j < b.length && b[j + 1]! < from) j += 2;
    for (let k = j; k < b.length && b[k]! <= to && from <= to; k += 2) {
      if (b[k]! > from) writer.add(from, b[k]! - 1);
      from = b[k + 1]! + 1;
    }
    if (from <= to) writer.add(from, to);
  }
  return writer.finish();
}

/** What both have. */
export function intersectRanges(a: Ranges, b: Ranges): Ranges {
  const writer = new RangeWriter((a.length + b.length) / 2);
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    const from = Math.max(a[i]!, b[j]!);
    const to = Math.min(a[i + 1]!, b[j + 1]!);
    if (from <= to) writer.add(from, to);
    if (a[i + 1]! < b[j + 1]!) i += 2;
    else j += 2;
  }
  return writer.finish();
}

export function equalRanges(a: Ranges, b: Ranges): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** How many addresses. */
export function sizeOfRanges(ranges: Ranges): number {
  let size = 0;
  for (let at = 0; at < ranges.length; at += 2) size += ranges[at + 1]! - ranges[at]! + 1;
  return size;
}

/** Whether an address is in both. */
export function overlap(a: Ranges, b: Ranges): boolean {
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i]! <= b[j + 1]! && b[j]! <= a[i + 1]!) return true;
    if (a[i + 1]! < b[j + 1]!) i += 2;
    else j += 2;
  }
  return false;
}

/** Whether an address (unsigned) is in the set. */
export function hasAddress(ranges: Ranges, address: number): boolean {
  let [low, high] = [0, ranges.length / 2];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle * 2]! <= address) low = middle + 1;
    else high = middle;
  }
  return low > 0 && address <= ranges[low * 2 - 1]!;
}

/** Distance of an address to the nearest one of the set; 0 if it is in it, Infinity for an empty set. */
export function distanceToRanges(ranges: Ranges, address: number): number {
  let nearest = Infinity;
  for (let i = 0; i < ranges.length; i += 2) {
    const [from, to] = [ranges[i]!, ranges[i + 1]!];
    nearest = Math.min(nearest, address < from ? from - address : address > to ? address - to : 0);
  }
  return nearest;
}

/** Takes ranges in ascending order of their first address and joins those that overlap or touch. */
class RangeWriter {
  #pairs: Uint32Array;
  #length = 0;

  constructor(count: number) {
    this.#pairs = new Uint32Array(count * 2);
  }

  add(from: number, to: number): void {
    const length = this.#length;
    if (length > 0 && from <= this.#pairs[length - 1]! + 1) {
      if (to > this.#pairs[length - 1]!) this.#pairs[length - 1] = to;
      return;
    }
    this.#pairs[length] = from;
    this.#pairs[length + 1] = to;
    this.#length += 2;
  }

  finish(): Ranges {
    // A view of a larger buffer would keep all of it alive.
    return this.#length === this.#pairs.length ? this.#pairs : this.#pairs.slice(0, this.#length);
  }
}
