/** Rates out of counters, as the panel makes them: steps, restarts, gaps, and what is kept. */
import { describe, expect, it } from 'vitest';
import {
  emptyHistory,
  extended,
  historyLength,
  seeded,
  topReasons,
} from '../../../src/panel/data/rates.ts';
import type { StatsHistory } from '../../../src/panel/data/rates.ts';

type Stats = Parameters<typeof extended>[1];

const counted = (packets: number): { packets: number; bytes: number } => ({
  packets,
  bytes: packets * 100,
});

/** What the firewall answers at a second, when so many packets have passed and were dropped. */
function stats(second: number, passed: number, dropped = 0): Stats {
  const direction = { passed: counted(passed), dropped: counted(dropped) };
  return {
    at: new Date(second * 1000).toISOString(),
    epoch: 1,
    passed: counted(passed),
    dropped: counted(dropped),
    flows: { count: passed, capacity: 1000 },
    drops: { 'no-inbound-rule': dropped, land: 0 },
    servers: { web: { inbound: direction, outbound: direction } },
  } as unknown as Stats;
}

function history(...all: Stats[]): StatsHistory {
  return all.reduce(extended, emptyHistory);
}

describe('a rate', () => {
  it('is what two answers differ by, over the time between them', () => {
    const { moments, servers } = history(stats(1, 10), stats(3, 30, 4));
    expect(moments.at(-1)).toEqual({
      seconds: 3,
      flows: 30,
      rates: { passed: { packets: 10, bytes: 1000 }, dropped: { packets: 2, bytes: 200 } },
      drops: new Map([['no-inbound-rule', 2]]),
    });
    expect(servers.get('web')!.passed).toEqual({ packets: 20, bytes: 2000 });
  });

  it.each([
    ['the first answer', [stats(1, 10)]],
    ['an answer that was long in coming', [stats(1, 10), stats(9, 20)]],
    ['a firewall that was restarted', [stats(1, 10), stats(2, 3)]],
    ['an answer of the same moment', [stats(1, 10), stats(1, 10)]],
  ])('is not made of %s', (_, all) => {
    const { moments, servers } = history(...all);
    expect(moments).toHaveLength(all.length);
    expect(moments.at(-1)).not.toHaveProperty('rates');
    expect(servers.size).toBe(0);
  });

  it('of a server does not go on from before a gap', () => {
    expect(history(stats(1, 0), stats(2, 1), stats(3600, 2)).servers.size).toBe(0);
    const { servers } = history(stats(1, 0), stats(2, 1), stats(3600, 2), stats(3601, 5));
    expect(servers.get('web')!.passed.packets).toBe(6);
  });

  it('of servers needs two answers in a row that tell of them', () => {
    const totals = { ...stats(3, 30), servers: undefined } as unknown as Stats;
    const before = history(stats(1, 10), stats(2, 20), totals);
    expect(before.servers.size).toBe(0);
    expect(before.moments.at(-1)!.rates!.passed.packets).toBe(10);
    expect(extended(before, stats(4, 40)).servers.size).toBe(0);
    expect(history(stats(1, 10), totals, stats(4, 40), stats(5, 45)).servers.size).toBe(1);
  });
});

it('the history is bounded', () => {
  const all = Array.from({ length: historyLength + 100 }, (_, second) => stats(second, second));
  expect(history(...all).moments).toHaveLength(historyLength);
});

it('what the firewall has kept comes before what the page has seen, without a gap', () => {
  const steps = (...values: (number | null)[]) => values;
  const kept = {
    ...{ stepSeconds: 1, end: new Date(12_000).toISOString(), flows: steps(1, null, 3) },
    passed: { packets: steps(5, null, 7), bytes: steps(500, null, 700) },
    dropped: { packets: steps(0, null, 1), bytes: steps(0, null, 60) },
    changes: [{ at: new Date(11_500).toISOString(), epoch: 2 }],
  };
  // The page was opened at second 12, and has seen what followed.
  const { moments, changes } = seeded(history(stats(12, 10), stats(13, 19)), kept);
  expect(moments.map(({ seconds, rates }) => [seconds, rates?.passed.packets])).toEqual([
    [10, 5],
    [11, undefined],
    [12, 7],
    [13, 9],
  ]);
  expect(changes).toEqual([11.5]);
});

it('a change of the policy is marked when it is seen', () => {
  const later = { ...stats(2, 20), epoch: 2 };
  expect(history(stats(1, 10), later, { ...stats(3, 30), epoch: 2 }).changes).toEqual([2]);
});

it('reasons are those of now first, and gaps are no seconds without drops', () => {
  const some = history(stats(1, 0), stats(2, 0, 6), stats(60, 0, 6), stats(61, 0, 12));
  expect(topReasons(some, 60)).toEqual([{ reason: 'no-inbound-rule', rate: 6, total: 12 }]);
  expect(topReasons(emptyHistory, 60)).toEqual([]);
});
