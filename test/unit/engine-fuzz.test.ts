/** Parser and engine under the fuzzer, for a bounded time. scripts/fuzz does the same for longer, and shrinks. */
import { describe, expect, it } from 'vitest';
import { formatCase, parseCase } from '../fuzz/case.ts';
import { CaseRunner } from '../fuzz/execute.ts';
import { Fuzzer, formatFinding } from '../fuzz/fuzzer.ts';
import { newCase } from '../fuzz/generate.ts';
import { loadGuardedBuild } from '../fuzz/guarded-build.ts';
import { seed, seededRandom } from '../support/seed.ts';

const seconds = 10;

describe('the fuzzer', () => {
  it('finds nothing', async () => {
    const fuzzer = new Fuzzer(await loadGuardedBuild(), seededRandom());
    const endMs = performance.now() + seconds * 1000;
    do {
      const finding = fuzzer.next();
      if (finding !== undefined) {
        const replay = `scripts/fuzz --seed ${seed} finds it again`;
        expect.fail(`${formatFinding(finding)}\n${replay}`);
      }
    } while (performance.now() < endMs);
    const { cases, packets, edges, edgeCount } = fuzzer.progress;
    console.log(`${cases} cases, ${packets} packets, edges ${edges}/${edgeCount}`);
    // What a few dozen cases reach, on the slowest machine. Less means that it does not get at the engine any more.
    expect(edges).toBeGreaterThan(edgeCount / 2);
  });

  it('runs a case again as it was, also from a file', async () => {
    const build = await loadGuardedBuild();
    const runner = new CaseRunner(build);
    const fuzzCase = newCase(seededRandom());
    const run = (each: typeof fuzzCase): number[] => {
      runner.run(each);
      return [...build.runtime.edges];
    };
    const edges = run(fuzzCase);
    expect(run(fuzzCase)).toEqual(edges);
    expect(run(parseCase(formatCase(fuzzCase)))).toEqual(edges);
  });
});
