/**
 * An engine without a device: packets go in as bytes, and what would be written comes out as bytes. It is the engine of the packet
 * threads, on memory, clock and keys that are given.
 */
import type { CaptureRingWriter } from '../dataplane/engine/capture-ring.ts';
import { counterCount, createCounters } from '../dataplane/engine/counters.ts';
import { Engine } from '../dataplane/engine/engine.ts';
import type { EngineMemory, EngineOptions } from '../dataplane/engine/engine.ts';
import { EventRingReader, EventWord, createEventRing } from '../dataplane/engine/event-ring.ts';
import { Control } from '../dataplane/flow/flow-memory.ts';
import type { Matcher } from '../dataplane/match/matcher.ts';
import { DropReason, dropReasonNames } from '../dataplane/wire/drop-reason.ts';
import { MemoryBatch, vnetLength } from './memory-batch.ts';
import type { BatchPacket } from './memory-batch.ts';

/** Fewer than one tick's sweep visits. */
const recordsPerTick = 4096;

/** What became of one packet: it was dropped for a reason, it passed, or it waits for the rest of its datagram. */
export interface JudgedPacket {
  readonly passed: boolean;
  /** A code of `DropReason`. */
  readonly reason: number;
  /** All that left. */
  readonly written: readonly Uint8Array[];
}

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

  /** Judges one packet. */
  judgeOne(packet: Uint8Array | BatchPacket): JudgedPacket {
    while (this.events.read());
    const written = this.forward(packet);
    const reason = this.events.read() ? this.events.record[EventWord.reason]! : DropReason.none;
    const dropped = reason !== DropReason.none && reason !== DropReason.wouldDrop;
    const bytes = packet instanceof Uint8Array ? packet : packet.bytes;
    // The last fragment leaves behind those that waited for it, not in its own slot.
    const passed = this.batch.verdicts[0] === 1 || written.some((each) => isSame(each, bytes));
    return { passed: passed && !dropped, reason, written };
  }

  /** Verdict on one packet: `pass`, `held`, or the drop reason; `would-drop` passes. */
  judge(packet: Uint8Array | BatchPacket): string {
    const { passed, reason } = this.judgeOne(packet);
    if (reason !== DropReason.none) return dropReasonNames[reason]!;
    return passed ? 'pass' : 'held';
  }

  /** All the housekeeping that is due, of which the engine does a part at a time. Returns what is written meanwhile. */
  tickAll(): Uint8Array[] {
    const { table } = this.engine;
    const written: Uint8Array[] = [];
    const records = table.control[Control.firstFresh]!;
    let before: number;
    let visited = 0;
    do {
      before = table.used;
      this.batch.fill([]);
      this.engine.judge(0, this.nowMs);
      written.push(...this.#written(this.engine.tick(this.nowMs)));
      visited += recordsPerTick;
    } while (table.used < before || visited < records);
    return written;
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

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
