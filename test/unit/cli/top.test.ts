/** `tunwall top` without its terminal: rates from counters, and lines that fit a screen. */
import fc from 'fast-check';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ratesBetween } from '../../../src/cli/top-rates.ts';
import type { StatsView } from '../../../src/cli/api-types.ts';
import { topLines } from '../../../src/cli/top-view.ts';
import { Line } from '../../../src/text/line.ts';
import type { Colour, Text } from '../../../src/text/line.ts';
import { seed } from '../../support/seed.ts';

const judged = (passed: number, dropped: number): StatsView['servers'][string]['inbound'] => ({
  passed: { packets: passed, bytes: 100 * passed },
  dropped: { packets: dropped, bytes: 100 * dropped },
});

function stats(second: number, more: Partial<StatsView> = {}): StatsView {
  return {
    at: new Date(1_900_000_000_000 + second * 1000).toISOString(),
    epoch: 3,
    ...judged(0, 0),
    drops: {},
    flows: { count: 0, capacity: 1000, opened: 0, cut: 0 },
    servers: {},
    ...more,
  };
}

const rule = (template: string, index: number, text: string, hits: number) => ({
  ...{ template, index, text, hits },
  direction: 'inbound' as const,
});

describe('rates', () => {
  it('are differences by the time that has passed', () => {
    const before = stats(0, {
      ...judged(100, 10),
      drops: { land: 4, martian: 0 },
      flows: { count: 7, capacity: 1000, opened: 50, cut: 1 },
      servers: { idle: { inbound: judged(9, 9), outbound: judged(9, 9) } },
      rules: [rule('web', 0, 'TCP: 80 from any', 10), rule('web', 1, 'ICMP from any', 5)],
    });
    const after = stats(2, {
      ...judged(300, 30),
      drops: { land: 8, martian: 0, 'no-server': 16 },
      flows: { count: 9, capacity: 1000, opened: 60, cut: 5 },
      servers: {
        idle: { inbound: judged(9, 9), outbound: judged(9, 9) },
        busy: { inbound: judged(20, 2), outbound: judged(40, 4) },
      },
      // Another rule was put in front: what moved has kept its count.
      rules: [
        rule('web', 0, 'UDP: 53 from any', 2),
        rule('web', 1, 'TCP: 80 from any', 20),
        rule('web', 2, 'ICMP from any', 5),
      ],
    });
    expect(ratesBetween(before, after)).toEqual({
      at: after.at,
      epoch: 3,
      passed: { packets: 100, bits: 80_000 },
      dropped: { packets: 10, bits: 8000 },
      flows: { count: 9, capacity: 1000, openedPerSecond: 5, cutPerSecond: 2 },
      servers: [
        {
          ...{ server: 'busy', dropped: 3 },
          inbound: { packets: 10, bits: 8000 },
          outbound: { packets: 20, bits: 16_000 },
        },
        {
          ...{ server: 'idle', dropped: 0 },
          inbound: { packets: 0, bits: 0 },
          outbound: { packets: 0, bits: 0 },
        },
      ],
      reasons: [
        { reason: 'no-server', perSecond: 8, total: 16 },
        { reason: 'land', perSecond: 2, total: 8 },
      ],
      rules: [
        { ...rule('web', 1, 'TCP: 80 from any', 20), perSecond: 5 },
        { ...rule('web', 0, 'UDP: 53 from any', 2), perSecond: 1 },
        { ...rule('web', 2, 'ICMP from any', 5), perSecond: 0 },
      ],
    });
  });

  it('of a firewall that was started again are not known', () => {
    const rates = ratesBetween(stats(0, judged(1000, 10)), stats(1, judged(5, 500)));
    expect(rates.passed.packets).toBe(0);
    expect(rates.dropped.packets).toBe(0);
  });

  it('without time in between are finite', () => {
    const rates = ratesBetween(stats(0), stats(0, judged(1, 0)));
    expect(Number.isFinite(rates.passed.packets)).toBe(true);
  });
});

describe('the screen', () => {
  const plain = (_: unknown, text: Text): Line => Line.of(text);
  const topText = (...args: Parameters<typeof topLines>): string[] =>
    topLines(...args).map((line) => line.plain);
  const many = (count: number): StatsView =>
    stats(1, {
      ...judged(100, 10),
      drops: Object.fromEntries(Array.from({ length: count }, (_, i) => [`reason-${i}`, i + 1])),
      servers: Object.fromEntries(
        Array.from({ length: count }, (_, i) => [
          `server-${i}`,
          { inbound: judged(i, i), outbound: judged(i, i) },
        ]),
      ),
      rules: Array.from({ length: count }, (_, i) => rule('web', i, `TCP: ${i} from any`, i + 1)),
    });

  it('shares its lines among the tables', () => {
    const rates = ratesBetween(stats(0), many(50));
    const lines = topText(rates, 'fw', plain, { columns: 80, rows: 24 });
    // 24 rows: one stays free, four are the head, two for each table.
    expect(lines).toHaveLength(23);
    const count = (word: string): number => lines.filter((line) => line.startsWith(word)).length;
    expect([count('server-'), count('reason-'), count('web ')]).toEqual([5, 4, 4]);
    expect(lines.find((line) => line.startsWith('server-'))).toContain('server-49');
  });

  it('leaves out tables without rows, and gives their lines to the others', () => {
    const some = { ...many(50), drops: {}, rules: [] };
    const lines = topText(ratesBetween(stats(0), some), 'fw', plain, { columns: 80, rows: 24 });
    expect(lines.filter((line) => line.startsWith('server-'))).toHaveLength(13);
    expect(lines.join('\n')).not.toContain('reason');
    expect(topLines(ratesBetween(stats(0), stats(1)), 'fw', plain)).toHaveLength(4);
  });

  it('is never left, whatever its size', () => {
    const coloured = (colour: Colour, text: Text): Line => Line.colour(colour, text);
    fc.assert(
      fc.property(
        ...([
          fc.integer({ min: 1, max: 200 }),
          fc.integer({ min: 2, max: 80 }),
          fc.nat(30),
        ] as const),
        (columns, rows, count) => {
          const rates = ratesBetween(stats(0), many(count));
          const lines = topLines(rates, 'fw', coloured, { columns, rows });
          expect(lines.length).toBeLessThan(rows);
          for (const line of lines) {
            expect(stripVTControlCharacters(line.coloured).length).toBeLessThanOrEqual(columns);
          }
        },
      ),
      { seed, numRuns: 200 },
    );
  });
});
