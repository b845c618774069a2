/** Lengths of time as they are typed. */
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../../src/text/duration.ts';

test.each<[string, number | undefined]>([
  ['90s', 90],
  ['30m', 1800],
  ['2h', 7200],
  ['1h30m', 5400],
  ['7d', 604_800],
  ['1w', 604_800],
  [' 2H ', 7200],
  ['', undefined],
  ['2', undefined],
  ['h', undefined],
  ['0s', undefined],
  ['-2h', undefined],
  ['2 h', 7200],
  ['2 min', 120],
  ['1 h 30 min', 5400],
  ['4min3s', 243],
  ['2 mins', undefined],
  ['2  ', undefined],
  ['1.5h', undefined],
  ['2y', undefined],
  ['2h30', undefined],
])('%j', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each([1, 59, 60, 3599, 7260, 90_000, 266_400])('reads what it writes: %i s', (seconds) => {
  expect(parseDuration(formatDuration(seconds))).toBe(seconds);
});
