/**
 * Arithmetic of lists of ranges with both ends included: the sides of a box, which are ports, ICMP types or unsigned addresses.
 *
 * A *set* is an array of ranges that is sorted, with a gap between neighbours; everything but {@link mergeRanges} takes and
 * gives sets. An import subtracts small sets from large ones again and again, and inserts single ranges: what a small set
 * meets in a large one is found by halving, and a set that does not change is the same array afterwards. Sets of a policy are
 * made once and have a million addresses: `policy/ranges.ts` merges those in one pass, in one typed array.
 */
import type { Range } from '../../policy/ranges.ts';

export type { Range };

/** The set of what is in any of the ranges. */
export function mergeRanges(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to + 1) {
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, to) };
    } else {
      merged.push({ from, to });
    }
  }
  return merged;
}

/** Index of the first range that ends at `value` or behind it. */
function firstEndingFrom(set: readonly Range[], value: number): number {
  let [low, high] = [0, set.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (set[middle]!.to < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Calls `visit` for the common part of every two ranges, ascending, until it returns true; whether it did. */
function eachCommon(
  a: readonly Range[],
  b: readonly Range[],
  visit: (from: number, to: number) => boolean,
): boolean {
  const [few, many] = a.length <= b.length ? [a, b] : [b, a];
  for (const { from, to } of few) {
    for (let at = firstEndingFrom(many, from); at < many.length && many[at]!.from <= to; at++) {
      if (visit(Math.max(from, many[at]!.from), Math.min(to, many[at]!.to))) return true;
    }
  }
  return false;
}

/** Whether a set is one range around all of another: then the other is what they have in common. */
function surrounds(a: readonly Range[], b: readonly Range[]): boolean {
  const [only] = a;
  if (a.length !== 1 || b.length === 0) return false;
  return only!.from <= b[0]!.from && b.at(-1)!.to <= only!.to;
}

/** What is in both. */
export function intersectRanges(a: readonly Range[], b: readonly Range[]): readonly Range[] {
  if (a === b || surrounds(b, a)) return a;
  if (surrounds(a, b)) return b;
  const both: Range[] = [];
  eachCommon(a, b, (from, to) => {
    both.push({ from, to });
    return false;
  });
  return both;
}

/** Whether anything is in both. */
export function rangesMeet(a: readonly Range[], b: readonly Range[]): boolean {
  return eachCommon(a, b, () => true);
}

/** What is in `a` and not in `b`. */
export function subtractRanges(a: readonly Range[], b: readonly Range[]): Range[] {
  const rest: Range[] = [];
  for (const { from, to } of a) {
    let next = from;
    for (let at = firstEndingFrom(b, from); at < b.length && b[at]!.from <= to; at++) {
      if (b[at]!.from > next) rest.push({ from: next, to: b[at]!.from - 1 });
      next = b[at]!.to + 1;
    }
    if (next <= to) rest.push({ from: next, to });
  }
  return rest;
}

/** Whether everything of `inner` is in `outer`. */
export function rangesCover(outer: readonly Range[], inner: readonly Range[]): boolean {
  return inner.every(({ from, to }) => {
    const range = outer[firstEndingFrom(outer, from)];
    return range !== undefined && range.from <= from && to <= range.to;
  });
}

/** Puts a range into a set. */
export function insertRange(set: Range[], { from, to }: Range): void {
  // Neighbours without a gap become one.
  const first = firstEndingFrom(set, from - 1);
  let end = first;
  while (end < set.length && set[end]!.from <= to + 1) end++;
  const merged =
    end === first
      ? { from, to }
      : { from: Math.min(from, set[first]!.from), to: Math.max(to, set[end - 1]!.to) };
  set.splice(first, end - first, merged);
}
