/** An engine on memory of its own, with the settings that tests change. */
import { createAnswerMemory } from '../../src/dataplane/engine/answer-memory.ts';
import type { CaptureRingWriter } from '../../src/dataplane/engine/capture-ring.ts';
import type { EngineMemory } from '../../src/dataplane/engine/engine.ts';
import { createFlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import { createFragmentMemory } from '../../src/dataplane/flow/fragment-memory.ts';
import { TimeoutList, defaultTimeoutSeconds } from '../../src/dataplane/flow/timeouts.ts';
import type { TimeoutName } from '../../src/dataplane/flow/timeouts.ts';
import type { Matcher } from '../../src/dataplane/match/matcher.ts';
import { MemoryEngine } from '../../src/testing/memory-engine.ts';
import { checkFlowTable, checkShares } from './table-check.ts';

export interface FixtureOptions {
  policy: Matcher;
  capacity?: number;
  serverShare?: number;
  loose?: boolean;
  liberal?: boolean;
  timeouts?: Partial<Record<TimeoutName, number>>;
  fragmentBytes?: number;
  /** Room in a batch for held fragments that leave. */
  spareBytes?: number;
  nowMs?: number;
  capture?: CaptureRingWriter;
  /** Room for flow events. Default: none are recorded. */
  loggedEvents?: number;
}

export function timeoutsMs(overrides: Partial<Record<TimeoutName, number>> = {}): number[] {
  const seconds = { ...defaultTimeoutSeconds, ...overrides };
  return (Object.keys(TimeoutList) as TimeoutName[]).map((name) => seconds[name] * 1000);
}

export class EngineFixture extends MemoryEngine {
  constructor(options: FixtureOptions, shared?: Pick<EngineFixture, 'memory'>) {
    const { policy, spareBytes, capture } = options;
    super({
      policy,
      memory: shared?.memory ?? EngineFixture.memoryFor(options),
      options: {
        limits: {
          timeoutsMs: timeoutsMs(options.timeouts),
          serverShare: options.serverShare ?? Infinity,
        },
        tcp: { loose: options.loose ?? false, liberal: options.liberal ?? false },
      },
      nowMs: options.nowMs ?? 1_000_000,
      ...(spareBytes !== undefined && { spareBytes }),
      ...(capture !== undefined && { capture }),
    });
  }

  static memoryFor(options: Omit<FixtureOptions, 'policy'>): EngineMemory {
    const key = [0x0f1e2d3c, 0x4b5a6978] as const;
    return {
      flows: createFlowMemory(options.capacity ?? 1024, key, options.loggedEvents),
      fragments: createFragmentMemory(options.fragmentBytes ?? 1 << 20, key),
      answers: createAnswerMemory(key),
    };
  }

  /** Checks the flow table's invariants; returns its flows. */
  check(): Set<number> {
    checkShares(this.memory.flows);
    return checkFlowTable(this.memory.flows);
  }
}
