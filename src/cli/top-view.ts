/** Lays out `tunwall top` as lines that fit a screen. */
import type { Output } from './output.ts';
import { Line, line } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { formatTable } from '../text/table.ts';
import type { Rates } from './top-rates.ts';
import { formatCount, formatRate } from '../text/numbers.ts';

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** For output of unlimited height. */
const linesWithoutScreen = 10;
/** Blank line and headings above a table. */
const tableOverhead = 2;

export function topLines(
  rates: Rates,
  target: string,
  style: Output['style'],
  screen?: ScreenSize,
): Line[] {
  const { passed, dropped, flows, epoch, at } = rates;
  const full = flows.capacity === 0 ? 0 : Math.round((100 * flows.count) / flows.capacity);
  const head = [
    line`${style('bold', 'tunwall top')}  ${target}  ${at}  epoch ${epoch}`,
    line`passed  ${formatRate(passed.packets)} packets/s, ${formatRate(passed.bits)}bit/s`,
    line`dropped ${dropText(dropped.packets, style)} packets/s, ${formatRate(dropped.bits)}bit/s`,
    Line.of(
      `flows   ${flows.count} of ${formatCount(flows.capacity)} (${full} %), ` +
        `${formatRate(flows.openedPerSecond)} opened/s, ${formatRate(flows.cutPerSecond)} cut/s`,
    ),
  ];
  const tables = [serverTable(rates, style), reasonTable(rates, style), ruleTable(rates)];
  const rows = share(
    tables.map((table) => table.rows.length),
    screen === undefined
      ? linesWithoutScreen * tables.length
      : // The last line stays free: a line break after it would scroll.
        screen.rows - head.length - 1 - tables.length * tableOverhead,
  );
  const lines = [...head];
  tables.forEach(({ headings, rows: all }, index) => {
    const shown = all.slice(0, rows[index]);
    if (shown.length === 0) return;
    lines.push(Line.of(''), ...formatTable(headings, shown));
  });
  return screen === undefined
    ? lines
    : // Cut off at the edge: a line that wraps moves all that are below it.
      lines.slice(0, screen.rows - 1).map((each) => each.clip(screen.columns));
}

interface Table {
  readonly headings: readonly string[];
  readonly rows: readonly (readonly Text[])[];
}

function dropText(perSecond: number, style: Output['style']): Text {
  return perSecond > 0 ? style('red', formatRate(perSecond)) : formatRate(perSecond);
}

function serverTable({ servers }: Rates, style: Output['style']): Table {
  return {
    headings: ['server', 'in p/s', 'in bit/s', 'out p/s', 'out bit/s', 'dropped/s'],
    rows: servers.map(({ server, inbound, outbound, dropped }) => [
      server,
      formatRate(inbound.packets),
      formatRate(inbound.bits),
      formatRate(outbound.packets),
      formatRate(outbound.bits),
      dropText(dropped, style),
    ]),
  };
}

function reasonTable({ reasons }: Rates, style: Output['style']): Table {
  return {
    headings: ['drop reason', 'packets/s', 'in all'],
    rows: reasons.map(({ reason, perSecond, total }) => [
      reason,
      dropText(perSecond, style),
      formatCount(total),
    ]),
  };
}

function ruleTable({ rules }: Rates): Table {
  return {
    headings: ['template', 'rule', 'opened/s', 'in all', 'allows'],
    rows: rules.map(({ template, direction, index, perSecond, hits, text }) => [
      template,
      `${direction}[${index}]`,
      formatRate(perSecond),
      formatCount(hits),
      text,
    ]),
  };
}

/** Shares lines among tables: lines that one does not need go to the others. */
function share(wanted: readonly number[], lines: number): number[] {
  const given = wanted.map(() => 0);
  let left = Math.max(0, lines);
  while (left > 0) {
    const hungry = wanted.flatMap((rows, index) => (given[index]! < rows ? [index] : []));
    if (hungry.length === 0) break;
    for (const index of hungry.slice(0, left)) given[index]!++;
    left -= Math.min(left, hungry.length);
  }
  return given;
}
