/**
 * What the control plane and the packet threads share, and the messages between them.
 *
 * Words of the state array are written by one side only, except the lock. A policy travels as a message; the version word
 * tells a packet thread, with one memory read a batch, that a message is waiting.
 */
import type { BatchSize } from '../tun/batch.ts';
import type { SuperPacket } from '../tun/offload.ts';
import type { PolicyProgram, RuleHits } from '../match/matcher.ts';
import type { EngineMemory, EngineOptions } from '../engine/engine.ts';
import type { FirstReview } from './flow-survival.ts';

/** Words of the state array. */
export const StateWord = {
  /** See shared-lock.ts. */
  lock: 0,
  /** 1: the packet threads end after their batch. */
  stop: 16,
  /** Count of policy messages sent; a thread that has taken fewer checks its port. */
  policyVersion: 32,
} as const;

export const stateWords = 64;

/** To a packet thread: judge by this policy from the next batch on. */
export interface PolicyMessage {
  readonly version: number;
  readonly program: PolicyProgram;
  /** Where its rules' hits are counted, in shared memory. */
  readonly hits: RuleHits;
  /** ReloadMode of the engine. */
  readonly mode: number;
  /** With drain: its duration in ms. */
  readonly drainMs: number;
}

/** From a packet thread. */
export type ThreadMessage =
  | { readonly kind: 'ready'; readonly usesRing: boolean }
  | { readonly kind: 'applied'; readonly version: number }
  | { readonly kind: 'refused'; readonly superPacket: SuperPacket }
  /** It judges no more packets, and writes to no memory. */
  | { readonly kind: 'stopped' };

/** To a packet thread that has loaded its modules: begin. */
export interface PacketThreadData {
  readonly queue: number;
  readonly tunFd: number;
  readonly wakeFd: number;
  readonly batch: BatchSize;
  readonly ioUring: 'auto' | 'off';
  readonly state: SharedArrayBuffer;
  readonly memory: EngineMemory;
  readonly counters: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly program: PolicyProgram;
  readonly ruleHits: RuleHits;
  readonly firstReview: FirstReview;
  /** See engine/capture-ring.ts. */
  readonly captureControl: SharedArrayBuffer;
  readonly captureRing: SharedArrayBuffer;
  readonly engine: EngineOptions;
}
