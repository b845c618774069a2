/**
 * An engine without a device: packets go in as bytes, and what would be written comes out as bytes. It is the engine of the packet
 * threads, on memory, clock and keys that are given.
 */
import type { CaptureRingWriter } from '../dataplane/engine/capture-ring.ts';
import { counterCount, createCounters } from '../dataplane/engine/counters.ts';
import { Engine } from '../dataplane/engine/engine.ts';
import type { EngineMemory, EngineOptions } from '../dataplane/engine/engine.ts';
import { EventRingReader, EventWord, createEventRing } from '../dataplane/engine/event-ring.ts';
import type { Matcher } from '../dataplane/match/matcher.ts';
import { dropReasonNames } from '../dataplane/wire/drop-reason.ts';
import { MemoryBatch, vnetLength } from './memory-batch.ts';
import type { BatchPacket } from './memory-batch.ts';

export interface MemoryEngineSettings {
  readonly policy: Matcher;
  readonly memory: EngineMemory;
  readonly options: EngineOptions;
  /** Of the engine's clock, when it starts. */
  readonly nowMs: number;
  /** Room in a batch for held fragments that leave. */
  readonly spareBytes?: number;
  readonly capture?: CaptureRingWriter;
}

export class MemoryEngine {
  readonly batch: MemoryBatch;
  readonly memory: EngineMemory;
  readonly counters: Float64Array;
  readonly events: EventRingReader;
  readonly engine: Engine;
  nowMs: number;

  constructor({ policy, memory, options, nowMs, spareBytes, capture }: MemoryEngineSettings) {
    this.nowMs = nowMs;
    this.batch = new MemoryBatch(64, 1 << 20, 3000, spareBytes ?? 5 << 20);
    this.memory = memory;
    const counters = createCounters();
    const ring = createEventRing(4096);
    this.counters = new Float64Array(counters, 0, counterCount);
    this.events = new EventRingReader(ring);
    this.engine = new Engine(this.batch, memory, counters, ring, policy, options, capture);
  }

  /** Judges packets as one batch; returns the packets that would be written, in order. */
  forward(...packets: (Uint8Array | BatchPacket)[]): Uint8Array[] {
    return this.#written(this.engine.judge(this.batch.fill(packets), this.nowMs));
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

  #written(slots: number): Uint8Array[] {
    const { bytes, offsets, lengths, verdicts } = this.batch;
    const written: Uint8Array[] = [];
    for (let slot = 0; slot < slots; slot++) {
      if (verdicts[slot] !== 1) continue;
      const at = offsets[slot]!;
      written.push(bytes.slice(at + vnetLength, at + lengths[slot]!));
    }
    return written;
  }
}
