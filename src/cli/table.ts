/**
 * Plain text tables: columns as wide as their widest cell, two blanks apart, no frame, so that the
 * output pastes into a ticket and splits with awk. Knows colours (they have no width), but not East Asian widths: the
 * output is addresses, names and numbers.
 */
import { stripVTControlCharacters } from 'node:util';

/** Renders rows under headings; every row has as many cells as there are headings. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const width = (cell: string): number => stripVTControlCharacters(cell).length;
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((line) => width(line[column] ?? ''))),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
