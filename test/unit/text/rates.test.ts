/** Rates from two readings of counters. The command line and the panel each make their own of them. */
import { expect, it } from 'vitest';
import { hasRestarted, millisecondsBetween, rateOf, trafficRate } from '../../../src/text/rates.ts';

type Reading = Parameters<typeof hasRestarted>[0];
const reading = (second: number, passed: number, dropped = 0, opened = 0): Reading => ({
  at: new Date(second * 1000).toISOString(),
  passed: { packets: passed, bytes: 0 },
  dropped: { packets: dropped, bytes: 0 },
  flows: { opened },
});

it('are differences by the time between them', () => {
  const milliseconds = millisecondsBetween(reading(1, 0), reading(3, 0));
  expect(milliseconds).toBe(2000);
  expect(rateOf(10, 30, milliseconds)).toBe(10);
  expect(rateOf(undefined, 30, milliseconds)).toBe(15);
  expect(rateOf(30, 10, milliseconds)).toBe(0);
  const now = { packets: 4, bytes: 400 };
  expect(trafficRate({ packets: 2, bytes: 100 }, now, 500)).toEqual({ packets: 4, bytes: 600 });
  expect(trafficRate(undefined, now, 500)).toEqual({ packets: 8, bytes: 800 });
});

it.each<[string, Reading, boolean]>([
  ['nothing', reading(2, 5, 5, 5), false],
  ['more of all', reading(2, 6, 6, 6), false],
  ['fewer passed', reading(2, 4, 6, 6), true],
  ['fewer dropped', reading(2, 6, 4, 6), true],
  ['fewer flows', reading(2, 6, 6, 4), true],
])('%s since the reading before', (_, now, restarted) => {
  expect(hasRestarted(reading(1, 5, 5, 5), now)).toBe(restarted);
});
