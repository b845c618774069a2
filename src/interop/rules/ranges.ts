/** Arithmetic of ranges with both ends included: ports and unsigned addresses. */

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** The same values in as few ranges as possible, ascending. */
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

/** What is in both. */
export function intersectRanges<T extends Range>(
  a: readonly T[],
  b: readonly Range[],
  make: (from: number, to: number, of: T) => T,
): T[] {
  return a.flatMap((one) =>
    b.flatMap((other) => {
      const from = Math.max(one.from, other.from);
      const to = Math.min(one.to, other.to);
      return from > to ? [] : [make(from, to, one)];
    }),
  );
}

/** Whether every value of `inner` is in `outer`. */
export function rangesCover(outer: readonly Range[], inner: readonly Range[]): boolean {
  const merged = mergeRanges(outer);
  return inner.every(({ from, to }) =>
    merged.some((range) => range.from <= from && to <= range.to),
  );
}
