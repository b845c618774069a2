/** The report of a run as one HTML file without any other: tables, and a plot for every figure. */
import { formatValue } from './interleave.ts';
import { chartPlot, escapeHtml, stripPlot } from './plot.ts';
import type { BenchmarkResults, Results } from './results.ts';
import { figureHeadings, figureRows, verdictHeadings, verdictRows } from './text-report.ts';

const style = `
:root { color-scheme: light dark; --fg:#1c2128; --bg:#fff; --dim:#667; --grid:#dde; --bad:#b42318; --good:#18794e;
  --c0:#0b6bcb; --c1:#d9730d; --c2:#2f9e44; --c3:#9c36b5; --c4:#c92a2a; --c5:#0c8599; }
@media (prefers-color-scheme: dark) { :root { --fg:#e6e8eb; --bg:#15181c; --dim:#9aa; --grid:#2c3238; --bad:#ff8a80;
  --good:#69db7c; --c0:#6cb6ff; --c1:#ffa94d; --c2:#8ce99a; --c3:#e599f7; --c4:#ff8787; --c5:#66d9e8; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-top: 1px solid var(--grid); padding-top: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; }
th, td { text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--dim); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; } .note { color: var(--dim); font-size: 13px; font-weight: 400; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--fg); }
svg .tick { fill: var(--dim); font-size: 11px; } .grid { stroke: var(--grid); }
.dot { fill: var(--c); fill-opacity: .45; } .median { stroke: var(--c); stroke-width: 3; }
.curve { fill: none; stroke: var(--c); stroke-width: 2; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); }
`;

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cell = (tag: string, content: string): string => {
    const mark = content === 'NOT MET' ? ' class="bad"' : content === 'met' ? ' class="good"' : '';
    return `<${tag}${mark}>${escapeHtml(content)}</${tag}>`;
  };
  const row = (tag: string, cells: readonly string[]): string =>
    `<tr>${cells.map((content) => cell(tag, content)).join('')}</tr>`;
  const body = rows.map((cells) => row('td', cells)).join('\n');
  return `<div class="scroll"><table>${row('th', headings)}\n${body}</table></div>`;
}

function section(benchmark: BenchmarkResults): string {
  const plots = [
    ...benchmark.figures.map(
      (figure) =>
        `<figure><figcaption>${escapeHtml(figure.title)}, ${escapeHtml(figure.unit)} ` +
        `<span class="note">(${figure.better} is better) ${escapeHtml(figure.note ?? '')}</span>` +
        `</figcaption>${stripPlot(figure)}</figure>`,
    ),
    ...benchmark.charts.map(
      (chart) =>
        `<figure><figcaption>${escapeHtml(chart.title)}</figcaption>${chartPlot(chart)}</figure>`,
    ),
  ];
  const error =
    benchmark.error === undefined
      ? ''
      : `<p class="bad">failed: ${escapeHtml(benchmark.error)}</p>`;
  return (
    `<h2 id="${benchmark.name}">${escapeHtml(benchmark.name)}</h2>` +
    `<p>${escapeHtml(benchmark.describe)}</p>${error}<div class="plots">${plots.join('\n')}</div>`
  );
}

export function htmlReport(results: Results): string {
  const { machine, benchmarks, skipped } = results;
  const figures = benchmarks.flatMap((benchmark) => benchmark.figures);
  const skippedList = skipped.map(
    ({ what, reason }) => `<li>${escapeHtml(what)}: ${escapeHtml(reason)}</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tunwall: benchmarks</title><style>${style}</style></head><body>
<h1>tunwall: benchmarks</h1>
<p>${escapeHtml(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ` +
      `Node ${machine.node}, commit ${machine.commit}, load before the run ${formatValue(machine.loadBefore)}. ` +
      `${results.pairs} interleaved rounds${results.quick ? ', quick' : ''}. ` +
      'A dot is a round, a bar the median. A ratio is tunwall ÷ peer, taken within each round.',
  )}</p>
<h2>Targets</h2>
${table(verdictHeadings, verdictRows(results))}
<h2>Figures</h2>
${table(figureHeadings, figures.flatMap(figureRows))}
${skippedList.length === 0 ? '' : `<h2>Skipped</h2><ul>${skippedList.join('')}</ul>`}
${benchmarks.map(section).join('\n')}
</body></html>
`;
}
