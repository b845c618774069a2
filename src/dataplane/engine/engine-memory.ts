/** What an engine is given: the batch that it judges, the memory that all engines share, and options. */
import type { FlowMemory } from '../flow/flow-memory.ts';
import type { FlowTableLimits } from '../flow/flow-table.ts';
import type { FragmentMemory } from '../flow/fragment-memory.ts';
import type { TcpTrackerOptions } from '../flow/tcp-track.ts';
import type { AnswerMemory } from './answer-memory.ts';

/**
 * The memory of a batch, as the TUN device fills it. Offsets point at virtio headers; the IPv4 header after each is
 * 4-aligned.
 */
export interface PacketBatch {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  /** 1 passes; everything else is dropped. */
  readonly verdicts: Uint8Array;
  /** Slots in all: after those that were read, the engine appends held fragments that are now released, and answers. */
  readonly totalSlots: number;
  /** Room in `bytes` for the data of those. */
  readonly spareOffset: number;
  readonly spareLength: number;
}

/** The memory that the engines of all packet threads share. */
export interface EngineMemory {
  readonly flows: FlowMemory;
  readonly fragments: FragmentMemory;
  /** Absent: nothing is answered, whatever the policy says. */
  readonly answers?: AnswerMemory;
}

export interface EngineOptions {
  readonly limits: FlowTableLimits;
  readonly tcp: TcpTrackerOptions;
}
