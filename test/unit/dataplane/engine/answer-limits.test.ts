/** How often the firewall answers, against token buckets that remember every source for ever. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createAnswerMemory,
  sourceBucketCount,
} from '../../../../src/dataplane/engine/answer-memory.ts';
import { AnswerLimits, Limit } from '../../../../src/dataplane/engine/answer-limits.ts';
import { seed } from '../../../support/seed.ts';

const key = [0x01234567, 0x89abcdef] as const;

function limits(gatewayRate: number, sourceRate: number, memory = createAnswerMemory(key)) {
  const made = new AnswerLimits(memory);
  made.setRates(gatewayRate, sourceRate);
  return made;
}

/** A bucket of `rate` tokens that fills in a second. */
class NaiveBucket {
  #level: number;
  #atMs: number | undefined;
  readonly #rate: number;

  constructor(rate: number) {
    this.#rate = rate;
    this.#level = rate;
  }

  level(nowMs: number): number {
    const elapsed = this.#atMs === undefined ? 0 : nowMs - this.#atMs;
    this.#atMs = nowMs;
    this.#level = Math.min(this.#rate, this.#level + (elapsed * this.#rate) / 1000);
    return this.#level;
  }

  take(): void {
    this.#level -= 1;
  }
}

/** Within one thousandth of a token, which decimal fractions miss. */
const enough = (level: number): boolean => level > 1 - 1e-6;

describe('a token for each answer', () => {
  it('is granted as a naive pair of buckets would', () => {
    const step = fc.record({
      waitMs: fc.oneof(fc.constant(0), fc.nat(30), fc.nat(3000)),
      source: fc.integer({ min: 1, max: 12 }),
      burst: fc.integer({ min: 1, max: 30 }),
    });
    const rate = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(
        rate,
        rate,
        fc.nat(0xffffffff),
        fc.array(step),
        (gateway, source, start, steps) => {
          const ours = limits(gateway, source);
          const own = new NaiveBucket(gateway);
          const sources = new Map<number, NaiveBucket>();
          let nowMs = 0;
          for (const { waitMs, source: from, burst } of steps) {
            nowMs += waitMs;
            if (!sources.has(from)) sources.set(from, new NaiveBucket(source));
            for (let i = 0; i < burst; i++) {
              let expected: number = Limit.granted;
              if (!enough(sources.get(from)!.level(nowMs))) expected = Limit.source;
              else if (!enough(own.level(nowMs))) expected = Limit.gateway;
              if (expected === Limit.granted) {
                sources.get(from)!.take();
                own.take();
              }
              expect(ours.takeFor(from, (start + nowMs) | 0)).toBe(expected);
            }
          }
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  it('a flood of forged sources gets no more than the gateway allows, and each source its share at most', () => {
    const [gateway, source] = [1000, 20];
    const ours = limits(gateway, source);
    const counts = new Map<number, number>();
    let granted = 0;
    const durationMs = 3000;
    for (let nowMs = 0; nowMs < durationMs; nowMs++) {
      for (let i = 0; i < 100; i++) {
        // Some sources send all the time, most only once.
        const from = i < 50 ? 1 + (i % 10) : 1000 + nowMs * 100 + i;
        if (ours.takeFor(from, nowMs) !== Limit.granted) continue;
        granted++;
        counts.set(from, (counts.get(from) ?? 0) + 1);
      }
    }
    const allowed = (rate: number): number => rate + (rate * durationMs) / 1000;
    expect(granted).toBeLessThanOrEqual(allowed(gateway));
    // All that the bucket holds is used.
    expect(granted).toBeGreaterThanOrEqual(allowed(gateway) - 1);
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(allowed(source));
  });

  it('more busy sources than there are buckets get none', () => {
    const ours = limits(1_000_000, 1);
    const results = [0, 0, 0];
    for (let from = 1; from <= 3 * sourceBucketCount; from++) results[ours.takeFor(from, 0)]! += 1;
    expect(results[Limit.granted]).toBeLessThanOrEqual(sourceBucketCount);
    expect(results[Limit.granted]).toBeGreaterThan(sourceBucketCount * 0.9);
    expect(results[Limit.gateway]).toBe(0);
    // A second later every bucket is full, and may have another owner.
    expect(ours.takeFor(4 * sourceBucketCount, 1000)).toBe(Limit.granted);
  });

  it('queues share the buckets', () => {
    const memory = createAnswerMemory(key);
    const threads = [limits(10, 10, memory), limits(10, 10, memory)];
    const granted = Array.from({ length: 30 }, (_, i) => threads[i % 2]!.takeFor(5, 100));
    expect(granted.filter((each) => each === Limit.granted)).toHaveLength(10);
    // The clock of one may be behind: nothing comes of it.
    expect(threads[0]!.takeFor(5, 90)).toBe(Limit.source);
    expect(threads[1]!.takeFor(5, 200)).toBe(Limit.granted);
    expect(threads[0]!.takeFor(5, 200)).toBe(Limit.source);
  });

  it('a lower rate holds at once, and a higher one from then on', () => {
    const ours = limits(100, 100);
    expect(ours.takeFor(5, 0)).toBe(Limit.granted);
    ours.setRates(2, 2);
    const now = [0, 1, 2].map(() => ours.takeFor(5, 0));
    expect(now).toEqual([Limit.granted, Limit.granted, Limit.source]);
    ours.setRates(100, 100);
    expect(ours.takeFor(5, 0)).toBe(Limit.source);
    expect(ours.takeFor(5, 10)).toBe(Limit.granted);
  });

  it('after weeks of silence there are tokens, whatever the clock has wrapped to', () => {
    const ours = limits(1, 1);
    for (const nowMs of [0, 2 ** 31 + 5, 2 ** 31 + 2 ** 30, 2 ** 32 + 3]) {
      expect(ours.takeFor(5, nowMs | 0)).toBe(Limit.granted);
      expect(ours.takeFor(5, nowMs | 0)).toBe(Limit.source);
    }
  });
});
