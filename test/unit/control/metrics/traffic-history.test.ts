/** What charts are drawn of: rates by the step, gaps, clocks that are set, bounds. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  TrafficHistory,
  historyLength,
  historySteps,
  mostServersKept,
} from '../../../../src/control/metrics/traffic-history.ts';
import { seed } from '../../../support/seed.ts';
import type { ServerReading } from '../../../../src/control/metrics/traffic-history.ts';

const beginMs = Date.UTC(2030, 0, 1);

/** Counters that grow evenly: ten packets of 100 bytes a second, and one dropped. */
class Run {
  readonly history: TrafficHistory;
  wallMs: number;
  monotonicMs = 5000;

  /** @param memory of a process before, @param afterMs when this one begins */
  constructor(memory = new SharedArrayBuffer(historyLength), afterMs = 300) {
    this.history = new TrafficHistory(memory);
    this.wallMs = beginMs + afterMs;
    this.look();
  }

  look(): void {
    const packets = this.monotonicMs / 100;
    this.history.sample(this, {
      passed: { packets, bytes: 100 * packets },
      dropped: { packets: packets / 10, bytes: 6 * packets },
      flows: 7,
    });
  }

  /** @param wallMs what the clock shows more afterwards */
  after(ms: number, wallMs = ms): this {
    this.monotonicMs += ms;
    this.wallMs += wallMs;
    this.look();
    return this;
  }

  /** Packets a second that have passed. */
  passed(step: 'second' | 'minute' = 'second', most = 3600): readonly (number | null)[] {
    return this.history.read(step, this.wallMs, most).columns[0]!;
  }
}

describe('the history of traffic', () => {
  it('has rates of what two readings differ by', () => {
    const run = new Run().after(1000).after(1000);
    const { columns, endMs, stepSeconds } = run.history.read('second', run.wallMs, 10);
    expect(columns).toEqual([
      [10, 10],
      [1000, 1000],
      [1, 1],
      [60, 60],
      [7, 7],
    ]);
    expect([endMs, stepSeconds]).toEqual([beginMs + 2000, 1]);
  });

  it('is empty before the second reading', () => {
    expect(new Run().passed()).toEqual([]);
  });

  it('has every second of a reading that came late, and none twice', () => {
    expect(new Run().after(4000).passed()).toEqual([10, 10, 10, 10]);
    expect(new Run().after(1000).after(200).passed()).toEqual([10]);
    expect(new Run().after(1000).after(200).after(800).passed()).toEqual([10, 10]);
  });

  it('has a gap where the clock was set forward, and no rate that never was', () => {
    const run = new Run().after(1000).after(1000, 5000).after(1000);
    expect(run.passed()).toEqual([10, null, null, null, null, 10, 10]);
  });

  it('goes on when the clock was set back', () => {
    const run = new Run().after(1000).after(1000).after(1000, -60_000).after(1000);
    expect(run.passed().slice(-2)).toEqual([10, 10]);
    expect(run.passed().filter((rate) => rate !== null && rate !== 10)).toEqual([]);
  });

  it('never has a rate below zero', () => {
    const run = new Run().after(1000);
    const nothing = { packets: 0, bytes: 0 };
    run.history.sample(
      { wallMs: run.wallMs + 1000, monotonicMs: run.monotonicMs + 1000 },
      { passed: nothing, dropped: nothing, flows: 0 },
    );
    expect(run.history.read('second', run.wallMs + 1000, 1).columns[0]).toEqual([0]);
  });

  it('keeps an hour by the second and a day by the minute, in memory that does not grow', () => {
    const run = new Run();
    const { bytes } = run.history;
    for (let minute = 0; minute < 1500; minute++) run.after(60_000);
    expect(run.passed()).toHaveLength(historySteps.second);
    expect(run.passed('minute')).toHaveLength(historySteps.minute);
    expect(new Set(run.passed('minute'))).toEqual(new Set([10]));
    expect(run.passed('second', 5)).toHaveLength(5);
    expect(run.history.bytes).toBe(bytes);
    expect(bytes).toBeLessThan(200_000);
  });

  it('marks changes of the policy, the last 256', () => {
    const { history } = new Run();
    for (let epoch = 1; epoch <= 300; epoch++) history.mark({ atMs: beginMs + epoch, epoch });
    expect(history.marksSince(0)).toHaveLength(256);
    expect(history.marksSince(beginMs + 300)).toEqual([{ atMs: beginMs + 300, epoch: 300 }]);
  });
});

describe('the history of a process before', () => {
  it('goes on, and what nobody has measured in between is a gap', () => {
    const memory = new SharedArrayBuffer(historyLength);
    const before = new Run(memory).after(1000).after(1000);
    before.history.mark({ atMs: beginMs + 1500, epoch: 7 });
    const run = new Run(memory, 5300).after(1000);
    expect(run.passed()).toEqual([10, 10, null, null, null, 10]);
    for (let epoch = 1; epoch <= 255; epoch++) {
      run.history.mark({ atMs: beginMs + 6000 + epoch, epoch });
    }
    expect(run.history.marksSince(0).slice(0, 2)).toEqual([
      { atMs: beginMs + 1500, epoch: 7 },
      { atMs: beginMs + 6001, epoch: 1 },
    ]);
    run.history.mark({ atMs: beginMs + 7000, epoch: 256 });
    expect(run.history.marksSince(0)[0]).toEqual({ atMs: beginMs + 6001, epoch: 1 });
  });

  it('has nothing that nobody measured, whichever bits were changed', () => {
    const memory = new SharedArrayBuffer(historyLength);
    const before = new Run(memory);
    for (let second = 0; second < 3700; second++) before.after(1000);
    for (let epoch = 1; epoch <= 300; epoch++) before.history.mark({ atMs: 1000 * epoch, epoch });
    const bit = fc.tuple(fc.nat(historyLength - 1), fc.nat(7));
    fc.assert(
      fc.property(fc.array(bit, { minLength: 1, maxLength: 20 }), (flips) => {
        const damaged = memory.slice(0);
        for (const [at, shift] of flips) new Uint8Array(damaged)[at]! ^= 1 << shift;
        const history = new TrafficHistory(damaged);
        for (const step of ['second', 'minute'] as const) {
          const { columns } = history.read(step, before.wallMs, 3600);
          const seen = columns.map((values) => new Set(values.filter((value) => value !== null)));
          expect(seen.every(({ size }) => size <= 1)).toBe(true);
          expect(columns[0]!.filter((value) => value === null).length).toBeLessThan(21);
        }
        for (const { atMs, epoch } of history.marksSince(0)) expect(atMs).toBe(1000 * epoch);
      }),
      { numRuns: 100, seed },
    );
  });
});

describe('the history of servers', () => {
  const at = (seconds: number) => ({
    wallMs: beginMs + 1000 * seconds,
    monotonicMs: 1000 * seconds,
  });
  const reading = (count: number): ServerReading => [count, 100 * count, count / 10];

  it('has ten minutes in steps of ten seconds', () => {
    const { servers } = new TrafficHistory();
    servers.sample(at(0), new Map([['web', reading(500)]]));
    expect([servers.isDue(beginMs + 9999), servers.isDue(beginMs + 10_000)]).toEqual([false, true]);
    servers.sample(at(10), new Map([['web', reading(600)]]));
    // A server is first told of when it has traffic.
    servers.sample(at(20), new Map([['web', reading(600)], ['db', reading(100)]])); // prettier-ignore
    const { wallMs } = at(20);
    expect(servers.read('web', wallMs)!.columns).toEqual([
      [10, 0],
      [1000, 0],
      [1, 0],
    ]);
    expect(servers.read('db', wallMs)!.columns[0]).toEqual([0, 10]);
    expect(servers.read('nobody', wallMs)).toBeUndefined();
    for (let step = 3; step < 100; step++) {
      servers.sample(at(10 * step), new Map([['web', reading(600)]]));
    }
    expect(servers.read('web', at(990).wallMs)!.columns[0]).toHaveLength(60);
    // It was destroyed.
    expect(servers.read('db', at(990).wallMs)).toBeUndefined();
  });

  it('is bounded', () => {
    const { servers } = new TrafficHistory();
    const many = Array.from({ length: mostServersKept + 10 }, (_, n) => [`s${n}`, reading(n)]);
    servers.sample(at(0), new Map(many as [string, ServerReading][]));
    expect(servers.bytes).toBeLessThan(8_000_000);
    expect(servers.read(`s${mostServersKept}`, at(0).wallMs)).toBeUndefined();
  });
});
