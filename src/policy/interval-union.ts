/** Unions of address ranges, with the lowest rule that covers each part. */

/** A range of keys, both ends included, unsigned 32-bit, and the rule that brings it. */
export interface RuleRange {
  readonly from: number;
  readonly to: number;
  readonly rule: number;
}

/** Sorted starts from 0 on, and for each the rule + 1 that holds until the next start, or 0. */
export interface IntervalSet {
  readonly starts: number[];
  readonly values: number[];
}

const lastKey = 0xffffffff;

/** Sweeps over the ranges' starts; a heap of the open ones, lowest rule first, gives the rule of the next part. */
export function unionOf(ranges: readonly RuleRange[]): IntervalSet {
  const byStart = [...ranges].sort((a, b) => a.from - b.from);
  const open = new RuleHeap();
  const starts: number[] = [];
  const values: number[] = [];
  const put = (start: number, value: number): void => {
    if (values.length > 0 && values.at(-1) === value) return;
    if (starts.at(-1) === start) {
      values[values.length - 1] = value;
      if (values.length > 1 && values.at(-2) === value) {
        starts.pop();
        values.pop();
      }
      return;
    }
    starts.push(start);
    values.push(value);
  };

  put(0, 0);
  let next = 0;
  let key = 0;
  while (key <= lastKey) {
    while (next < byStart.length && byStart[next]!.from <= key) open.push(byStart[next++]!);
    while (open.top !== undefined && open.top.to < key) open.pop();
    const holder = open.top;
    put(key, holder === undefined ? 0 : holder.rule + 1);
    const end = holder === undefined ? lastKey : holder.to;
    // The next change is where the holder ends or a range begins that may take over.
    const nextStart = next < byStart.length ? byStart[next]!.from : Infinity;
    key = Math.min(end + 1, nextStart);
  }
  return { starts, values };
}

/** A binary heap of ranges by rule. */
class RuleHeap {
  readonly #items: RuleRange[] = [];

  get top(): RuleRange | undefined {
    return this.#items[0];
  }

  push(range: RuleRange): void {
    const items = this.#items;
    let at = items.length;
    items.push(range);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]!.rule <= range.rule) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = range;
  }

  pop(): void {
    const items = this.#items;
    const moved = items.pop();
    if (items.length === 0 || moved === undefined) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]!.rule < items[child]!.rule) child++;
      if (items[child]!.rule >= moved.rule) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = moved;
  }
}
