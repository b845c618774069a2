/** Readings, and what settling leaves of them, against asking one packet at a time under every truth of the conditions. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { boxesMeet, cutBox, everything } from '../../../../src/interop/rules/box.ts';
import type { Box } from '../../../../src/interop/rules/box.ts';
import {
  insertRange,
  mergeRanges,
  rangesMeet,
  subtractRanges,
} from '../../../../src/interop/rules/range-lists.ts';
import type { Range } from '../../../../src/interop/rules/range-lists.ts';
import { settle } from '../../../../src/interop/rules/reading.ts';
import type { Condition, Reading } from '../../../../src/interop/rules/reading.ts';
import { seed } from '../../../support/seed.ts';

const runs = { seed, numRuns: 400 };
const ranges = fc.array(
  fc
    .tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 8 }))
    .map(([from, size]): Range => ({ from, to: from + size })),
  { maxLength: 6 },
);
const all = Array.from({ length: 45 }, (_, value) => value);
const has = (set: readonly Range[], value: number): boolean =>
  set.some(({ from, to }) => from <= value && value <= to);

it('ranges subtract, meet and grow like sets', () => {
  fc.assert(
    fc.property(ranges, ranges, (a, b) => {
      const [left, right] = [mergeRanges(a), mergeRanges(b)];
      const rest = subtractRanges(left, right);
      for (const value of all) expect(has(rest, value)).toBe(has(a, value) && !has(b, value));
      expect(mergeRanges(rest)).toEqual(rest);
      expect(rangesMeet(left, right)).toBe(all.some((value) => has(a, value) && has(b, value)));
      const grown = [...left];
      for (const range of b) insertRange(grown, range);
      expect(grown).toEqual(mergeRanges([...a, ...b]));
    }),
    runs,
  );
});

// Few values, so that boxes meet: three ports, three sources (of which none is a martian), two conditions.
const base = 0x0a000000;
const points = [0, 1, 2];
const someOf = fc.subarray(points, { minLength: 1 });
const set = (values: readonly number[], from: number): Range[] =>
  mergeRanges(values.map((value) => ({ from: from + value, to: from + value })));
const box = fc.tuple(someOf, someOf).map(([ports, sources]): Box => ({
  ...everything[1]!,
  ports: set(ports, 1),
  sources: set(sources, base),
}));
const conditions = fc
  .subarray(['a', 'b'])
  .chain((keys) =>
    fc.tuple(
      ...keys.map((key) =>
        fc.boolean().map((negated): Condition => ({ key, negated, words: key })),
      ),
    ),
  );
const reading = fc
  .record({
    action: fc.constantFrom('allow', 'allow', 'deny', 'unknown'),
    pieces: fc.array(fc.record({ box, when: conditions }), { minLength: 1, maxLength: 2 }),
  })
  .map((each): Reading => ({ ...each, place: 'line 1', name: 'x' }));

const deniedBoxes = ({ action, pieces }: Reading): Box[] =>
  action === 'deny' ? pieces.map((piece) => piece.box) : [];

const subtractAll = (boxes: readonly Box[], by: readonly Box[]): Box[] =>
  by.reduce<Box[]>(
    (left, each) => left.flatMap((one) => (boxesMeet(one, each) ? cutBox(one, each).rest : [one])),
    [...boxes],
  );

it('nothing is allowed that may be denied, and what surely is allowed is', () => {
  const seen = { allowed: 0, denied: 0, doubtful: 0 };
  fc.assert(
    fc.property(fc.array(reading, { maxLength: 6 }), (readings) => {
      const settled = settle(readings, () => undefined);
      const unknown = readings.flatMap(({ action }, at) => (action === 'unknown' ? [at] : []));
      for (const port of points) {
        for (const source of points) {
          const isIn = (each: Box): boolean =>
            has(each.ports, 1 + port) && has(each.sources, base + source);
          // What a packet meets if a, b and the unknown ones are as these bits say.
          const verdict = (bits: number): boolean => {
            const first = readings.map((each, at) => {
              const truth = ({ key, negated }: Condition): boolean =>
                ((bits & (key === 'a' ? 1 : 2)) !== 0) !== negated;
              const applies =
                each.action !== 'unknown' || (bits & (4 << unknown.indexOf(at))) !== 0;
              const meets = each.pieces.some((piece) => isIn(piece.box) && piece.when.every(truth));
              return applies && meets ? each.action : undefined;
            });
            return first.find((action) => action !== undefined) === 'allow';
          };
          const verdicts = Array.from({ length: 4 << unknown.length }, (_, bits) => verdict(bits));
          const certain = verdicts.every(Boolean);
          const isAllowed = settled.some(({ boxes }) => boxes.some(isIn));
          expect(isAllowed).toBe(certain);
          seen[isAllowed ? 'allowed' : verdicts.some(Boolean) ? 'doubtful' : 'denied']++;
        }
      }
      // Where nothing is reported as lost, all of it is imported, or allowed by another reading.
      for (const { reading, lost, takenBy } of settled) {
        if (lost.length > 0 || takenBy !== undefined) continue;
        const denied = readings.slice(0, readings.indexOf(reading)).flatMap(deniedBoxes);
        const left = subtractAll(
          reading.pieces.map((piece) => piece.box),
          [...settled.flatMap(({ boxes }) => boxes), ...denied],
        );
        expect(left).toEqual([]);
      }
    }),
    runs,
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(200);
});
