/** The files in which hits of rules outlive the process: two that take turns, of which the newest whole one counts. */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  HitFiles,
  emptyKept,
  hitFileNames,
  ruleKeyBytes,
} from '../../../../src/dataplane/worker/hit-file.ts';
import type { HitsBefore, KeptHits } from '../../../../src/dataplane/worker/hit-file.ts';
import { seed } from '../../../support/seed.ts';

const device = 'fw0';
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-hits-'));
  path = join(directory, 'hits-fw0-1');
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Keys of rules with these letters. */
const keysOf = (letters: string): Uint8Array =>
  Buffer.from(Array.from(letters, (letter) => letter.repeat(ruleKeyBytes)).join(''));

const keptOf = (count: number, rules: number): KeptHits => {
  const kept = emptyKept(rules, 1000);
  kept.counts.fill(count);
  kept.lastMs.fill(2000);
  return kept;
};

/** Runs a process that ends by itself. */
function live<Result>(run: (files: HitFiles) => Result): Result {
  const files = HitFiles.open(path, device);
  try {
    return run(files);
  } finally {
    files.close();
  }
}

/** Runs one that is killed at its end: what it would still have written is taken back. */
function liveAndDie(run: (files: HitFiles) => void): void {
  const headers: Buffer[] = [];
  live((files) => {
    run(files);
    for (const name of hitFileNames(path)) headers.push(readFileSync(name).subarray(0, 4096));
  });
  for (const [index, header] of headers.entries()) {
    const fd = openSync(hitFileNames(path)[index]!, 'r+');
    writeSync(fd, header, 0, header.length, 0);
    closeSync(fd);
  }
}

const before = (): HitFiles['before'] => live((files) => files.before);

/** By the letters of the rules: hits of earlier policies, and of the last one. */
function counts(found = before()): Record<string, [number, number]> {
  expect(found).toBeTypeOf('object');
  const { keys, kept, hits } = found as HitsBefore;
  return Object.fromEntries(
    keys.flatMap((key, index) =>
      key === undefined ? [] : [[key[0]!, [kept.counts[index]!, hits.counts[index]!]]],
    ),
  );
}

/** Two policies, of which the second one has its hits in the file `.0`. */
function liveTwoPolicies(run: (act: (files: HitFiles) => void) => void = live): void {
  run((files) => {
    const first = files.lay(2);
    first.publish(keysOf('ab'), keptOf(0, 2));
    first.hits.counts.set([10, 20]);
    const second = files.lay(3);
    second.hits.counts.set([1, 2, 3]);
    second.hits.lastMs.set([7, 8, 9]);
    second.publish(keysOf('bcd'), keptOf(20, 3));
    second.hits.counts[0]! += 100;
  });
}

describe('the next process', () => {
  it('finds nothing at first', () => {
    expect(before()).toBeUndefined();
    expect(readdirSync(directory)).toEqual(['hits-fw0-1.0', 'hits-fw0-1.1']);
  });

  it.each([
    ['ended by itself', live],
    ['was killed', liveAndDie],
  ])('of one that %s finds the hits of the newest policy', (_end, run) => {
    liveTwoPolicies(run);
    const found = before() as HitsBefore;
    expect(counts(found)).toEqual({ b: [20, 101], c: [20, 2], d: [20, 3] });
    expect([...found.hits.lastMs]).toEqual([7, 8, 9]);
    expect([...found.kept.sinceMs, ...found.kept.lastMs]).toEqual([
      1000, 1000, 1000, 2000, 2000, 2000,
    ]);
    expect(found.damaged).toBe(0);
  });

  it('of one that died between two policies finds the hits of the first', () => {
    live((files) => {
      const first = files.lay(1);
      first.publish(keysOf('a'), keptOf(5, 1));
      first.hits.counts[0] = 1;
      const second = files.lay(1);
      second.hits.counts[0] = 7;
      // The clock came in between.
      first.publish(keysOf('a'), keptOf(5, 1));
    });
    expect(counts()).toEqual({ a: [5, 1] });
  });

  it('that dies before it has published loses nothing, however often that happens', () => {
    liveTwoPolicies();
    for (let i = 0; i < 3; i++) live((files) => files.lay(9).hits.counts.fill(4));
    expect(counts()).toEqual({ b: [20, 101], c: [20, 2], d: [20, 3] });
  });

  it('goes on with the same files, and a policy that lay there before leaves nothing', () => {
    for (let i = 1; i <= 5; i++) {
      live((files) => {
        const { publish, hits } = files.lay(6 - i);
        expect([...hits.counts, ...hits.lastMs].every((word) => word === 0)).toBe(true);
        hits.counts.fill(i);
        hits.lastMs.fill(i);
        publish(keysOf('abcdef').subarray(0, (6 - i) * ruleKeyBytes), keptOf(i, 6 - i));
      });
      expect(Object.values(counts())).toEqual(Array.from({ length: 6 - i }, () => [i, i]));
    }
    expect(readdirSync(directory)).toHaveLength(2);
  });

  it('finds a policy without rules', () => {
    live((files) => files.lay(0).publish(new Uint8Array(0), emptyKept(0)));
    expect(counts()).toEqual({});
  });
});

describe('damage', () => {
  it('of a row is found, and of that rule alone; of a header, and all of it is refused', () => {
    liveTwoPolicies();
    const file = hitFileNames(path)[0]!;
    const whole = readFileSync(file);
    const headerEnd = whole.indexOf(0);
    // Of each row, all but what lies behind its sum.
    const place = fc.oneof(
      fc.nat(headerEnd - 2),
      fc.tuple(fc.nat(2), fc.nat(55)).map(([row, at]) => 4096 + row * 64 + at),
    );
    fc.assert(
      fc.property(place, fc.nat(7), (at, bit) => {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= 1 << bit;
        // A header that begins with 0 is none.
        fc.pre(bytes[0] !== 0);
        writeFileSync(file, bytes);
        const found = before();
        if (at < headerEnd) {
          expect(found).toMatch(/^.*hits-fw0-1: its header is damaged$/);
          expect(before()).toBeUndefined();
        } else {
          expect((found as HitsBefore).damaged).toBe(1);
          const rest = { b: [20, 101], c: [20, 2], d: [20, 3] };
          expect(rest).toMatchObject(counts(found));
          expect(Object.keys(counts(found))).toHaveLength(2);
        }
      }),
      { numRuns: 300, seed },
    );
  });

  it('of a count that nobody has summed up, by a kill: no number of flows', () => {
    liveTwoPolicies(liveAndDie);
    const file = hitFileNames(path)[0]!;
    for (const count of [-1, 0.5, NaN, 2 ** 60]) {
      const bytes = readFileSync(file);
      bytes.writeDoubleLE(count, 8192 + 8);
      writeFileSync(file, bytes);
      expect(Object.keys(counts())).toEqual(['b', 'd']);
    }
  });

  it('of any bit of what was counted until the process ended by itself: refused', () => {
    liveTwoPolicies();
    const file = hitFileNames(path)[0]!;
    const whole = readFileSync(file);
    fc.assert(
      fc.property(fc.nat(3 * 12 - 1), fc.nat(7), (at, bit) => {
        const bytes = Buffer.from(whole);
        bytes[8192 + at]! ^= 1 << bit;
        writeFileSync(file, bytes);
        expect(before()).toMatch(/hits-fw0-1: it cannot be read: its counts are damaged$/);
      }),
      { numRuns: 100, seed },
    );
  });

  it('cut off anywhere: refused, and the next one begins anew', () => {
    for (const size of [1, 4095, 4097, 8191, 8192, 8200]) {
      for (const file of hitFileNames(path)) rmSync(file, { force: true });
      liveTwoPolicies();
      truncateSync(hitFileNames(path)[0]!, size);
      expect(before(), String(size)).toMatch(/hits-fw0-1: it/);
      live((files) => files.lay(1).publish(keysOf('z'), keptOf(1, 1)));
      expect(counts()).toEqual({ z: [1, 0] });
    }
  });

  it('or of another device: a sentence says so', () => {
    liveTwoPolicies();
    const files = HitFiles.open(path, 'fw1');
    expect(files.before).toMatch(/hits-fw0-1: it is of the device fw0/);
    files.close();
  });
});

it('without room for a policy, what an earlier one has left is not taken for the whole', () => {
  liveTwoPolicies();
  live((files) => {
    expect(() => files.lay(2 ** 40)).toThrow(RangeError);
  });
  expect(before()).toBeUndefined();
});
