/** What the firewall says about its gateway: from what it sees, and what the watch says. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isHint } from '../../../src/host/lookout.ts';
import { observed, type Seen } from '../../../src/host/observer.ts';
import type { GatewayProblem } from '../../../src/host/problems.ts';
import { hasEnded, pidNamespace, type WatchStatus } from '../../../src/host/watch-status.ts';

const nowMs = Date.parse('2030-01-31T12:00:00Z');
const right: Seen = {
  state: 'ok',
  problems: [],
  device: 'fw0',
  bypassPackets: undefined,
  fastPath: { mode: 'off', interfaces: [], why: [] } as const,
};
const rule: GatewayProblem = {
  ...{ what: 'rule 20', wanted: 'from all lookup 100', found: 'missing' },
  ...{ kind: 'rule', repairable: true },
};
const guard: GatewayProblem = { ...rule, what: 'nft table inet tunwall-guard', kind: 'guard' };
const degraded: Seen = { ...right, state: 'degraded', problems: [rule] };
const status: WatchStatus = {
  version: 1,
  pid: 1,
  pidNamespace: 'pid:[4026531836]',
  device: 'fw0',
  startedAt: '2030-01-31T11:00:00Z',
  lookedAt: '2030-01-31T11:59:57Z',
  aliveAt: '2030-01-31T11:59:58Z',
  validMs: 10_000,
  reportOnly: false,
  state: 'ok',
  problems: [],
  bypass: { packets: 7 },
  repairs: 3,
  recent: [],
};

describe('the gateway as the firewall sees it', () => {
  const whats = (problems: readonly { what: string }[]): string[] =>
    problems.map(({ what }) => what);

  it.each<[string, Seen, WatchStatus | string | undefined, string, string[], string]>([
    ['right, watched', right, status, 'ok', [], 'running'],
    ['right, not watched', right, undefined, 'ok', [], 'absent'],
    ['right, reported on', right, { ...status, reportOnly: true }, 'ok', [], 'report-only'],
    ['without a rule', degraded, undefined, 'degraded', ['rule 20'], 'absent'],
    [
      'without a guard',
      right,
      { ...status, problems: [guard] },
      'degraded',
      [guard.what],
      'running',
    ],
    [
      'both, each told once',
      degraded,
      { ...status, problems: [rule, guard] },
      'degraded',
      ['rule 20', guard.what],
      'running',
    ],
    [
      'the watch hangs',
      right,
      { ...status, validMs: 1999 },
      'degraded',
      ['gateway watch'],
      'stale',
    ],
    [
      'the clock was set back',
      right,
      { ...status, aliveAt: '2030-02-01T12:00:00Z' },
      'degraded',
      ['gateway watch'],
      'stale',
    ],
    [
      'a file that is not root’s',
      right,
      'it belongs to user 7',
      'degraded',
      ['gateway watch'],
      'stale',
    ],
    ['down', { ...right, state: 'down' }, undefined, 'down', [], 'absent'],
    [
      'of another device',
      { ...right, device: 'fw1' },
      undefined,
      'degraded',
      ['device of the gateway'],
      'absent',
    ],
  ])('%s', (_, seen, watched, state, problems, watch) => {
    const gateway = observed('fw0', seen, watched, nowMs);
    expect([gateway.state, whats(gateway.problems), gateway.watch]).toEqual([
      state,
      problems,
      watch,
    ]);
  });

  it('takes counts from a watch that lives, and from nobody else', () => {
    const counts = (watched: WatchStatus | string | undefined, seen = right): unknown[] => {
      const { bypassPackets, repairs } = observed('fw0', seen, watched, nowMs);
      return [bypassPackets, repairs];
    };
    expect(counts(status)).toEqual([7, 3]);
    expect(counts({ ...status, validMs: 1 })).toEqual([undefined, undefined]);
    expect(counts('no')).toEqual([undefined, undefined]);
    expect(counts(undefined)).toEqual([undefined, undefined]);
    // As root it sees the guard itself.
    expect(counts(undefined, { ...right, bypassPackets: 9 })).toEqual([9, undefined]);
  });
});

it.each([
  ['[RULE]Deleted 20:\tfrom all lookup 100 proto 116', true],
  ['[LINK]4: fw0: <POINTOPOINT,MULTICAST,NOARP,UP> mtu 1500 qdisc mq state DOWN group 0 ', true],
  ['[NETCONF]inet fw0 rp_filter loose ', true],
  ['[ROUTE]default dev fw0 table 100 scope 253 linkdown ', true],
  ['[ROUTE]192.0.2.0/24 via 198.51.100.9 dev eth0 proto 186 ', false],
  ['[ROUTE]192.0.2.0/24 dev eth0 table 1000 ', false],
  ['delete table inet tunwall-guard', true],
  ['add rule ip filter FORWARD drop', true],
  ['add element inet fail2ban banned { 192.0.2.7 }', false],
  ['# new generation 7 by process 4711 (nft)', false],
])('%j makes the watch look: %s', (line, looks) => {
  expect(isHint(line)).toBe(looks);
});

it('a watch has ended when its process is gone, as far as that can be known', () => {
  const here = { ...status, pidNamespace: pidNamespace() };
  const { pid: gone } = spawnSync('true');
  expect(hasEnded({ ...here, pid: process.pid })).toBe(false);
  expect(hasEnded({ ...here, pid: gone })).toBe(true);
  // In a PID namespace of its own, its number says nothing here.
  expect(hasEnded({ ...here, pid: gone, pidNamespace: 'pid:[1]' })).toBe(false);
});
