/**
 * Few products that cover pairs, and no other pair: each product is a rule, its rows are ports and its columns peers.
 *
 * To find the fewest for certain takes exponential time (they are a biclique cover of a bipartite graph). Here three covers are
 * made, and the smallest is taken: rows with the same columns together, columns with the same rows together, and those
 * products first that cover most of what is left. So there are never more than rows or columns that differ.
 */
export interface Product<Column> {
  /** Indices of rows, ascending. */
  readonly rows: readonly number[];
  /** In the order in which rows name them first. */
  readonly columns: readonly Column[];
}

/** The same input in the same order gives the same products. */
export function fewProducts<Column>(rows: readonly ReadonlySet<Column>[]): Product<Column>[] {
  const columns: Columns<Column> = new Map();
  rows.forEach((row, index) => {
    for (const column of row) {
      const known = columns.get(column);
      if (known === undefined) columns.set(column, new Set([index]));
      else known.add(index);
    }
  });
  const order = new Map([...columns.keys()].map((column, index) => [column, index]));
  const byRow = alike(rows.entries(), (each) => order.get(each)!).map(
    ({ keys, values }): Product<Column> => ({ rows: keys, columns: values }),
  );
  const byColumn = alike(columns, (each) => each).map(({ keys, values }): Product<Column> => ({
    rows: values,
    columns: keys,
  }));
  const widest = [
    ...byRow.map((each) => ({ ...each, rows: rowsWith(each.columns, columns) })),
    ...byColumn.map((each) => ({ ...each, columns: columnsOf(each.rows, rows) })),
  ];
  return [byRow, byColumn, largestFirst(widest, order)].reduce((best, each) =>
    each.length < best.length ? each : best,
  );
}

type Columns<Column> = Map<Column, Set<number>>;

/** Keys that have the same values. */
function alike<Key, Value>(
  all: Iterable<readonly [Key, ReadonlySet<Value>]>,
  numberOf: (value: Value) => number,
): { readonly keys: readonly Key[]; readonly values: readonly Value[] }[] {
  const groups = new Map<string, { readonly keys: Key[]; readonly values: readonly Value[] }>();
  for (const [key, set] of all) {
    if (set.size === 0) continue;
    const values = [...set].sort((a, b) => numberOf(a) - numberOf(b));
    const name = values.map(numberOf).join();
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { keys: [key], values });
    else group.keys.push(key);
  }
  return [...groups.values()];
}

/** Rows that have all of these columns, and perhaps more. */
function rowsWith<Column>(wanted: readonly Column[], columns: Columns<Column>): number[] {
  const [first, ...others] = wanted
    .map((each) => columns.get(each)!)
    .sort((a, b) => a.size - b.size);
  return [...first!].filter((row) => others.every((each) => each.has(row))).sort((a, b) => a - b);
}

/** Columns that all of these rows have. */
function columnsOf<Column>(
  wanted: readonly number[],
  rows: readonly ReadonlySet<Column>[],
): Column[] {
  const [first, ...others] = wanted.map((each) => rows[each]!);
  return [...first!].filter((column) => others.every((each) => each.has(column)));
}

function largestFirst<Column>(
  candidates: readonly Product<Column>[],
  order: ReadonlyMap<Column, number>,
): Product<Column>[] {
  const covered = new Set<number>();
  let left = candidates.map((product) => ({
    product,
    pairs: product.rows.flatMap((row) =>
      product.columns.map((column) => row * order.size + order.get(column)!),
    ),
  }));
  const chosen: Product<Column>[] = [];
  for (;;) {
    left = left
      .map(({ product, pairs }) => ({ product, pairs: pairs.filter((each) => !covered.has(each)) }))
      .filter(({ pairs }) => pairs.length > 0);
    if (left.length === 0) return chosen;
    const best = left.reduce((most, each) => (each.pairs.length > most.pairs.length ? each : most));
    chosen.push(best.product);
    for (const pair of best.pairs) covered.add(pair);
  }
}
