/** Numbers, counts and lengths of time for people. */
import { expect, it, test } from 'vitest';
import { formatDuration } from '../../../src/text/duration.ts';
import { counted, formatCount, formatRate, grouped } from '../../../src/text/numbers.ts';

test('numbers for people', () => {
  expect([0, 7, 999, 999.6, 1000, 34_567, 999_949, 999_950, 5e9, 2e18].map(formatCount)).toEqual([
    ...['0', '7', '999', '1.0k', '1.0k', '34.6k', '999.9k', '1.0M', '5.0G', '2000.0P'],
  ]);
  expect([0, 0.01, 0.5, 9.94, 10, 1234].map(formatRate)).toEqual([
    '0',
    '<0.1',
    '0.5',
    '9.9',
    '10',
    '1.2k',
  ]);
  expect([0, 59.9, 60, 3599, 3600, 86_399, 86_400, 432_000].map(formatDuration)).toEqual([
    ...[
      '0 s',
      '59 s',
      '1 min 0 s',
      '59 min 59 s',
      '1 h 0 min',
      '23 h 59 min',
      '1 d 0 h',
      '5 d 0 h',
    ],
  ]);
});

it.each([
  [counted(1, 'rule'), '1 rule'],
  [counted(0, 'rule'), '0 rules'],
  [counted(2, 'entry', 'entries'), '2 entries'],
  [counted(12_345, 'address', 'addresses', grouped(12_345)), '12,345 addresses'],
])('%s', (text, expected) => {
  expect(text).toBe(expected);
});
