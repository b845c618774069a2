/** Rates out of counters, as the panel makes them: steps, restarts, gaps, and what is kept. */
import { describe, expect, it } from 'vitest';
import {
  emptyHistory,
  extended,
  historyLength,
  serverHistoryLength,
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
    expect(servers.at(-1)!.get('web')!.passed).toEqual({ packets: 20, bytes: 2000 });
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
    expect(servers).toEqual([]);
  });

  it('of a server does not go on from before a gap', () => {
    const { servers } = history(stats(1, 0), stats(2, 1), stats(3600, 2), stats(3601, 5));
    expect(servers).toHaveLength(1);
  });

  it('of servers needs two answers in a row that tell of them', () => {
    const totals = { ...stats(3, 30), servers: undefined } as unknown as Stats;
    const before = history(stats(1, 10), stats(2, 20), totals);
    expect(before.servers).toEqual([]);
    expect(before.moments.at(-1)!.rates!.passed.packets).toBe(10);
    expect(extended(before, stats(4, 40)).servers).toEqual([]);
    expect(history(stats(1, 10), totals, stats(4, 40), stats(5, 45)).servers).toHaveLength(1);
  });
});

it('the history is bounded', () => {
  const all = Array.from({ length: 400 }, (_, second) => stats(second, second));
  const { moments, servers } = history(...all);
  expect([moments.length, servers.length]).toEqual([historyLength, serverHistoryLength]);
});

it('reasons are those of now first, and gaps are no seconds without drops', () => {
  const some = history(stats(1, 0), stats(2, 0, 6), stats(60, 0, 6), stats(61, 0, 12));
  expect(topReasons(some, 60)).toEqual([{ reason: 'no-inbound-rule', rate: 6, total: 12 }]);
  expect(topReasons(emptyHistory, 60)).toEqual([]);
});
