/** The tables at the end of a run, as text. */
import { formatTable } from '../../src/text/table.ts';
import type { Figure, Series } from './benchmark.ts';
import { formatValue } from './interleave.ts';
import type { Results } from './results.ts';
import { median, ratios, spread, valuesOf } from './statistics.ts';

/** Headings of the table of figures; {@link figureRows} has the rows. */
export const figureHeadings: readonly string[] = [
  'figure',
  'unit',
  'value',
  'CPU µs/packet',
  'peer',
  'value',
  'CPU µs/packet',
  'ratio min / median / max',
  'CPU ratio',
];

function cpuCell(series: Series): string {
  const values = valuesOf(series, 'cpuUs');
  return values.length === 0 ? '' : formatValue(median(values));
}

function ratioCell(values: readonly number[]): string {
  if (values.length === 0) return '';
  const { min, median: middle, max } = spread(values);
  return `${min.toFixed(2)} / ${middle.toFixed(2)} / ${max.toFixed(2)}`;
}

/** One row a peer; a figure without peers has one row. */
export function figureRows(figure: Figure): string[][] {
  const [subject, ...peers] = figure.series;
  if (subject === undefined) return [];
  const head = [
    figure.title,
    figure.unit,
    formatValue(median(valuesOf(subject))),
    cpuCell(subject),
  ];
  if (peers.length === 0) return [[...head, '', '', '', '', '']];
  return peers.map((peer, index) => {
    const cpu = ratios(subject, peer, 'cpuUs');
    return [
      ...(index === 0 ? head : ['', '', '', '']),
      peer.subject,
      formatValue(median(valuesOf(peer))),
      cpuCell(peer),
      ratioCell(ratios(subject, peer)),
      cpu.length === 0 ? '' : median(cpu).toFixed(2),
    ];
  });
}

export const verdictHeadings: readonly string[] = ['target', 'wanted', 'measured', ''];

export function verdictRows({ verdicts }: Results): string[][] {
  return verdicts.map(({ target, value, met }) => [
    target.title,
    `${target.bound} ${formatValue(target.limit)} ${target.unit}`.trim(),
    value === undefined ? 'not measured' : formatValue(value),
    met === undefined ? '' : met ? 'met' : 'NOT MET',
  ]);
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return formatTable(headings, rows)
    .map(({ plain }) => plain)
    .join('\n');
}

export function textReport(results: Results): string {
  const figures = results.benchmarks.flatMap((benchmark) => benchmark.figures);
  const parts = [table(figureHeadings, figures.flatMap(figureRows))];
  if (results.skipped.length > 0) {
    const lines = results.skipped.map(({ what, reason }) => `  ${what}: ${reason}`);
    parts.push(`skipped:\n${lines.join('\n')}`);
  }
  const failed = results.benchmarks.filter(({ error }) => error !== undefined);
  if (failed.length > 0) {
    parts.push(`failed:\n${failed.map(({ name, error }) => `  ${name}: ${error!}`).join('\n')}`);
  }
  if (results.verdicts.some(({ value }) => value !== undefined)) {
    parts.push(table(verdictHeadings, verdictRows(results)));
  }
  return parts.join('\n\n');
}
