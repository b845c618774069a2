/**
 * Plain text tables: columns as wide as their widest cell, two blanks apart, no frame, so that the output pastes into a ticket
 * and splits with awk.
 */
import { Line } from './line.ts';
import type { Text } from './line.ts';

/** Rows under headings, a line each; every row has as many cells as there are headings. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly Text[])[],
): Line[] {
  const lines = [headings, ...rows].map((row) => row.map((cell) => Line.of(cell)));
  const widths = headings.map((_, column) =>
    lines.reduce((widest, row) => Math.max(widest, row[column]?.plain.length ?? 0), 0),
  );
  return lines.map((row) => {
    let last = row.length - 1;
    while (last > 0 && row[last]!.plain === '') last--;
    const cells = row.slice(0, last + 1);
    return Line.join(
      cells.map((cell, column) => (column === last ? cell : cell.padEnd(widths[column] ?? 0))),
      '  ',
    );
  });
}
