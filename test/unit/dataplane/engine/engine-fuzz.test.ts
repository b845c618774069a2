/** Parser and engine under the fuzzer, for a bounded time. scripts/fuzz does the same for longer, and shrinks. */
import { describe, expect, it } from 'vitest';
import { createCounters } from '../../../../src/dataplane/engine/counters.ts';
import { createEventRing } from '../../../../src/dataplane/engine/event-ring.ts';
import { createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import { createFragmentMemory } from '../../../../src/dataplane/flow/fragment-memory.ts';
import { formatCase, parseCase } from '../../../fuzz/case.ts';
import { CaseRunner } from '../../../fuzz/execute.ts';
import { Fuzzer, formatFinding } from '../../../fuzz/fuzzer.ts';
import { newCase } from '../../../fuzz/generate.ts';
import { loadGuardedBuild } from '../../../fuzz/guarded-build.ts';
import { policyWords } from '../../../fuzz/policies.ts';
import { servers } from '../../../fuzz/traffic.ts';
import { MemoryBatch } from '../../../../src/testing/memory-batch.ts';
import { timeoutsMs } from '../../../support/engine-fixture.ts';
import { udpPacket } from '../../../../src/testing/packets.ts';
import { seed, seededRandom } from '../../../support/seed.ts';

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

it('a table that is too large for the caches is touched ahead, within its memory', async () => {
  const build = await loadGuardedBuild();
  const key = [1, 2] as const;
  const memory = {
    flows: createFlowMemory(8192, key),
    fragments: createFragmentMemory(1 << 20, key),
  };
  const batch = new MemoryBatch();
  const policy = new build.matcher.Matcher(policyWords(0, 1));
  const ring = createEventRing(1024);
  const engine = new build.engine.Engine(batch, memory, createCounters(), ring, policy, {
    limits: { timeoutsMs: timeoutsMs(), serverShare: 8192 },
    tcp: { loose: false, liberal: false },
  });
  /** Flows from these ports, each with a packet now; returns the edges that were taken. */
  const judge = (first: number, count: number, nowMs: number): Set<number> => {
    build.runtime.edges.fill(0);
    for (let port = first; port < first + count; port += batch.readSlots) {
      const ports = Array.from({ length: batch.readSlots }, (_, slot) => port + slot);
      const packets = ports.map((each) => udpPacket('198.51.100.7', servers[0]!, each, 53));
      engine.judge(batch.fill(packets), nowMs);
      expect(batch.verdicts.subarray(0, packets.length)).toEqual(new Uint8Array(64).fill(1));
    }
    return new Set(
      [...build.runtime.edges.keys()].filter((edge) => build.runtime.edges[edge]! > 0),
    );
  };
  judge(1024, 4096, 0);
  const few = judge(1024, 4096, 2000);
  judge(5120, 64, 2000);
  const many = judge(1024, 4096, 4000);
  expect([...many].filter((edge) => !few.has(edge)).length).toBeGreaterThan(4);
});
