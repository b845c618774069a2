/**
 * Plots as SVG text, for the report: every round of every subject as a dot with the median as a bar, and curves.
 *
 * Colours come from the page (`--c0` to `--c5`), so that they follow its light or dark scheme.
 */
import type { Chart, Figure } from './benchmark.ts';
import { formatValue } from './interleave.ts';
import { median, valuesOf } from './statistics.ts';

const width = 640;
const labelWidth = 170;
const rightMargin = 70;
const rowHeight = 26;

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escapeHtml(content)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number, attributes: string): string {
  const ends = [x1, y1, x2, y2].map((each) => each.toFixed(1));
  return `<line x1="${ends[0]!}" y1="${ends[1]!}" x2="${ends[2]!}" y2="${ends[3]!}" ${attributes}/>`;
}

function svg(height: number, label: string, parts: readonly string[]): string {
  const name = escapeHtml(label);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">${parts.join('')}</svg>`;
}

/** Round numbers from 0 to at least `max`, four to eight of them. */
export function ticks(max: number): number[] {
  if (!(max > 0)) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(max));
  const step = [0.2, 0.5, 1, 2].map((each) => each * power).find((each) => max / each <= 7)!;
  const count = Math.ceil(max / step);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** One row a subject. */
export function stripPlot(figure: Figure): string {
  const all = figure.series.flatMap((series) => valuesOf(series));
  const axis = ticks(Math.max(...all));
  const end = axis.at(-1)!;
  const x = (value: number): number =>
    labelWidth + (value / end) * (width - labelWidth - rightMargin);
  const bottom = figure.series.length * rowHeight + 4;
  const parts = axis.flatMap((tick) => [
    line(x(tick), 2, x(tick), bottom, 'class="grid"'),
    text(x(tick), bottom + 14, formatValue(tick), 'text-anchor="middle" class="tick"'),
  ]);
  figure.series.forEach((series, row) => {
    const middle = row * rowHeight + rowHeight / 2 + 2;
    const colour = `style="--c:var(--c${row % 6})"`;
    const values = valuesOf(series);
    const mid = median(values);
    parts.push(text(labelWidth - 10, middle + 4, series.subject, 'text-anchor="end"'));
    for (const value of values) {
      const title = escapeHtml(`${formatValue(value)} ${figure.unit}`);
      parts.push(
        `<circle cx="${x(value).toFixed(1)}" cy="${middle}" r="4" class="dot" ${colour}>` +
          `<title>${title}</title></circle>`,
      );
    }
    parts.push(line(x(mid), middle - 10, x(mid), middle + 10, `class="median" ${colour}`));
    parts.push(text(width - rightMargin + 8, middle + 4, formatValue(mid), 'class="value"'));
  });
  return svg(bottom + 22, figure.title, parts);
}

const chartHeight = 260;
const chartLeft = 80;
const chartBottom = chartHeight - 44;

/** Curves over a common axis. */
export function chartPlot(chart: Chart): string {
  const points = chart.lines.flatMap((each) => each.points);
  const xs = points.map(([x]) => x);
  const yTicks = ticks(Math.max(...points.map(([, y]) => y)));
  const xTicks =
    chart.logarithmicX === true ? [...new Set(xs)].sort((a, b) => a - b) : ticks(Math.max(...xs));
  const scale = (value: number): number => (chart.logarithmicX === true ? Math.log(value) : value);
  const low = scale(xTicks[0]!);
  const span = scale(xTicks.at(-1)!) - low || 1;
  const x = (value: number): number =>
    chartLeft + ((scale(value) - low) / span) * (width - chartLeft - 150);
  const y = (value: number): number => chartBottom - (value / yTicks.at(-1)!) * (chartBottom - 14);
  const parts = [
    ...yTicks.flatMap((tick) => [
      line(chartLeft, y(tick), width - 150, y(tick), 'class="grid"'),
      text(chartLeft - 8, y(tick) + 4, formatValue(tick), 'text-anchor="end" class="tick"'),
    ]),
    ...xTicks.map((tick) =>
      text(x(tick), chartBottom + 16, formatValue(tick), 'text-anchor="middle" class="tick"'),
    ),
    text((width - 70) / 2, chartHeight - 8, chart.xLabel, 'text-anchor="middle" class="tick"'),
    text(4, 10, chart.yLabel, 'class="tick"'),
  ];
  chart.lines.forEach((each, index) => {
    const colour = `style="--c:var(--c${index % 6})"`;
    const path = each.points.map(([px, py]) => `${x(px).toFixed(1)},${y(py).toFixed(1)}`);
    parts.push(`<polyline points="${path.join(' ')}" class="curve" ${colour}/>`);
    for (const at of path) {
      const [cx, cy] = at.split(',');
      parts.push(`<circle cx="${cx!}" cy="${cy!}" r="3" class="dot" ${colour}/>`);
    }
    const legendY = 24 + index * 18;
    parts.push(
      line(width - 140, legendY - 4, width - 124, legendY - 4, `class="median" ${colour}`),
    );
    parts.push(text(width - 118, legendY, each.subject));
  });
  return svg(chartHeight, chart.title, parts);
}
