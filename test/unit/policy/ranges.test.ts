/** Sets of addresses, against sets of small numbers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  distanceToRanges,
  hasAddress,
  rangesOf,
  subtractRanges,
  unionRanges,
} from '../../../src/policy/ranges.ts';
import type { Range, Ranges } from '../../../src/policy/ranges.ts';
import { seed } from '../../support/seed.ts';

/** Numbers at both ends of the address space, where arithmetic of 32 bits goes wrong. */
const edge = fc.oneof(
  fc.integer({ min: 0, max: 12 }),
  fc.integer({ min: 0xfffffff4, max: 0xffffffff }),
);
const range = fc
  .tuple(edge, edge)
  .map(([a, b]): Range => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const list = fc.array(range, { maxLength: 8 });
const probes = [
  ...Array.from({ length: 14 }, (_, i) => i),
  ...Array.from({ length: 14 }, (_, i) => 0xfffffff2 + i),
];

const has = (ranges: readonly Range[], address: number): boolean =>
  ranges.some(({ from, to }) => from <= address && address <= to);

function expectWellFormed(ranges: Ranges): void {
  for (let i = 0; i < ranges.length; i += 2) {
    expect(ranges[i]!).toBeLessThanOrEqual(ranges[i + 1]!);
    if (i > 0) expect(ranges[i]!).toBeGreaterThan(ranges[i - 1]! + 1);
  }
}

describe('ranges', () => {
  it('unite, subtract and are looked up as sets are', () => {
    fc.assert(
      fc.property(list, list, (one, other) => {
        const [a, b] = [rangesOf(one), rangesOf(other)];
        const results = [a, b, unionRanges([a, b]), unionRanges([a, b, a]), subtractRanges(a, b)];
        results.forEach(expectWellFormed);
        for (const address of probes) {
          const [inOne, inOther] = [has(one, address), has(other, address)];
          const expected = [inOne, inOther, inOne || inOther, inOne || inOther, inOne && !inOther];
          expect(results.map((each) => hasAddress(each, address))).toEqual(expected);
          expect(distanceToRanges(a, address) === 0).toBe(inOne);
        }
      }),
      { seed, numRuns: 2000 },
    );
  });

  it('of nothing are nothing', () => {
    expect(unionRanges([])).toEqual(new Uint32Array(0));
    expect(hasAddress(rangesOf([]), 0)).toBe(false);
    expect(distanceToRanges(rangesOf([]), 5)).toBe(Infinity);
  });
});
