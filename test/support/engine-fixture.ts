/** An engine on memory of its own, fed with packets one batch at a time. */
import { createAnswerMemory } from '../../src/dataplane/engine/answer-memory.ts';
import type { CaptureRingWriter } from '../../src/dataplane/engine/capture-ring.ts';
import { counterCount, createCounters } from '../../src/dataplane/engine/counters.ts';
import { Engine } from '../../src/dataplane/engine/engine.ts';
import type { EngineMemory, EngineOptions } from '../../src/dataplane/engine/engine.ts';
import {
  EventRingReader,
  EventWord,
  createEventRing,
} from '../../src/dataplane/engine/event-ring.ts';
import { createFlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import { createFragmentMemory } from '../../src/dataplane/flow/fragment-memory.ts';
import { TimeoutList, defaultTimeoutSeconds } from '../../src/dataplane/flow/timeouts.ts';
import type { TimeoutName } from '../../src/dataplane/flow/timeouts.ts';
import type { Matcher } from '../../src/dataplane/match/matcher.ts';
import { dropReasonNames } from '../../src/dataplane/wire/drop-reason.ts';
import { MemoryBatch, vnetLength } from './batch.ts';
import type { BatchPacket } from './batch.ts';
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
}

export function timeoutsMs(overrides: Partial<Record<TimeoutName, number>> = {}): number[] {
  const seconds = { ...defaultTimeoutSeconds, ...overrides };
  return (Object.keys(TimeoutList) as TimeoutName[]).map((name) => seconds[name] * 1000);
}

export class EngineFixture {
  readonly batch: MemoryBatch;
  readonly memory: EngineMemory;
  readonly counters: Float64Array;
  readonly events: EventRingReader;
  readonly engine: Engine;
  nowMs: number;

  constructor(options: FixtureOptions, shared?: Pick<EngineFixture, 'memory'>) {
    this.nowMs = options.nowMs ?? 1_000_000;
    this.batch = new MemoryBatch(64, 1 << 20, 3000, options.spareBytes ?? 5 << 20);
    this.memory = shared?.memory ?? EngineFixture.memoryFor(options);
    const counters = createCounters();
    const ring = createEventRing(4096);
    this.counters = new Float64Array(counters, 0, counterCount);
    this.events = new EventRingReader(ring);
    const engineOptions: EngineOptions = {
      limits: {
        timeoutsMs: timeoutsMs(options.timeouts),
        serverShare: options.serverShare ?? Infinity,
      },
      tcp: { loose: options.loose ?? false, liberal: options.liberal ?? false },
    };
    this.engine = new Engine(
      this.batch,
      this.memory,
      counters,
      ring,
      options.policy,
      engineOptions,
      options.capture,
    );
  }

  static memoryFor(options: Omit<FixtureOptions, 'policy'>): EngineMemory {
    const key = [0x0f1e2d3c, 0x4b5a6978] as const;
    return {
      flows: createFlowMemory(options.capacity ?? 1024, key),
      fragments: createFragmentMemory(options.fragmentBytes ?? 1 << 20, key),
      answers: createAnswerMemory(key),
    };
  }

  /** Judges packets as one batch; returns the packets that would be written, in order. */
  forward(...packets: (Uint8Array | BatchPacket)[]): Uint8Array[] {
    const count = this.batch.fill(packets);
    const slots = this.engine.judge(count, this.nowMs);
    const written: Uint8Array[] = [];
    for (let slot = 0; slot < slots; slot++) {
      if (this.batch.verdicts[slot] !== 1) continue;
      const at = this.batch.offsets[slot]!;
      written.push(this.batch.bytes.slice(at + vnetLength, at + this.batch.lengths[slot]!));
    }
    return written;
  }

  /** Verdict on one packet: `pass`, `held`, or the drop reason. */
  judge(packet: Uint8Array | BatchPacket): string {
    while (this.events.read());
    const written = this.forward(packet);
    if (this.events.read()) return dropReasonNames[this.events.record[EventWord.reason]!]!;
    return written.length > 0 ? 'pass' : 'held';
  }

  counter(index: number): number {
    return this.counters[index]!;
  }

  /** Checks the flow table's invariants; returns its flows. */
  check(): Set<number> {
    checkShares(this.memory.flows);
    return checkFlowTable(this.memory.flows);
  }
}
