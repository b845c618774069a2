/**
 * The flow table's memory: shared by every packet thread and read by the control plane.
 *
 * All state of the table is in these arrays, so any thread that holds the lock can work on it. Fresh shared memory is
 * zero and stays untouched until a flow needs it: an empty table costs address space only, unless hot and cold records are
 * laid into a file (worker/flow-file.ts). All else follows from the records.
 */
import type { CarryMemory, OnCarried } from './carried-flows.ts';
import { endedFlowsLength } from './ended-flows.ts';
import { createFlowEvents } from './flow-events.ts';
import { coldWords, flowStateCount, hotWords } from './flow-record.ts';
import { serverSlotCount, serverTotalsLength } from './server-totals.ts';

/** Buckets of the per-server share: addresses are spread over them by hash, and share a bucket at worst. */
export const shareBucketCount = 65_536;

/** 2^32 divided by the golden ratio: its multiples lie evenly spread (Knuth, volume 3, section 6.4). */
export const goldenRatio = 0x9e3779b1;

/**
 * Fibonacci hashing of an address into a share bucket: server addresses come from the configuration, so an attacker
 * cannot choose them.
 */
export function shareBucket(address: number): number {
  return Math.imul(address, goldenRatio) >>> 16;
}

/** Words of {@link FlowMemory.control}. */
export const Control = {
  /** Flows in the table. */
  used: 0,
  /** First of the free records that were used before, linked through Hot.next. */
  freeHead: 1,
  /** Records that were never used start here. */
  firstFresh: 2,
  /** Where the policy sweep continues. */
  sweepCursor: 3,
  /** Records that the policy sweep still has to visit. */
  sweepRemaining: 4,
  /** Where the next search for a flow of a full share continues. */
  shareProbe: 5,
  /** Records below this one were counted by the walk that adds up servers' totals (server-totals.ts); 0 = no walk. */
  countedBelow: 6,
  /** 1: flows were ended before their time (ended-flows.ts). */
  anyEnded: 7,
  /** Per list (16 of them): head (oldest), tail, length, and the timeout in force in ms. */
  head: 16,
  tail: 32,
  listLength: 48,
  timeoutMs: 64,
  /** Flows per state code. */
  stateCount: 80,
} as const;

const controlWords = Control.stateCount + flowStateCount + 1;

export interface FlowMemory {
  /** Most flows the table holds. */
  readonly capacity: number;
  readonly hot: SharedArrayBuffer;
  readonly cold: SharedArrayBuffer;
  readonly buckets: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** Flows per share bucket. */
  readonly shares: SharedArrayBuffer;
  /** See server-totals.ts. */
  readonly serverTotals: SharedArrayBuffer;
  /** See ended-flows.ts. */
  readonly ended: SharedArrayBuffer;
  /** Ring of the flow log (flow-events.ts). Undefined: no flow is logged. */
  readonly events: SharedArrayBuffer | undefined;
  /** Key of the tuple hash. */
  readonly hashKey: readonly [number, number];
  /** Absent: the kernel carries nothing. */
  readonly carry?: CarryMemory;
}

/**
 * Allocates the memory of an empty table.
 *
 * @param capacity flows, 1 to 2^22
 * @param hashKey 64 bits from a cryptographic source
 * @param loggedEvents room for the flow log, a power of two; 0: there is none
 */
export function createFlowMemory(
  capacity: number,
  hashKey: readonly [number, number],
  loggedEvents = 0,
): FlowMemory {
  let bucketCount = 1024;
  while (bucketCount < capacity) bucketCount *= 2;
  const memory: FlowMemory = {
    capacity,
    hot: pageAligned((capacity + 1) * hotWords * 4),
    cold: pageAligned((capacity + 1) * coldWords * 4),
    buckets: pageAligned(bucketCount * 4),
    control: new SharedArrayBuffer(controlWords * 4),
    shares: new SharedArrayBuffer(shareBucketCount * 4),
    serverTotals: pageAligned(serverTotalsLength(serverSlotCount)),
    ended: pageAligned(endedFlowsLength),
    events: loggedEvents > 0 ? createFlowEvents(loggedEvents) : undefined,
    hashKey: [hashKey[0] | 0, hashKey[1] | 0],
  };
  new Int32Array(memory.control)[Control.firstFresh] = 1;
  return memory;
}

/**
 * Shared memory that starts on a page, so that a record of 64 bytes is one cache line. V8 takes a plain SharedArrayBuffer
 * from malloc, which begins 16 bytes behind the start of a page, and every record would lie across two lines. A buffer that
 * could grow comes in pages. This one never grows.
 */
export function pageAligned(byteLength: number): SharedArrayBuffer {
  return new SharedArrayBuffer(byteLength, { maxByteLength: byteLength });
}

/** The whole buffer as words. Without a length the view would track the buffer's growth, and every access would check it. */
export function wordsOf(memory: SharedArrayBuffer): Int32Array {
  return new Int32Array(memory, 0, memory.byteLength >> 2);
}

/** Eviction counters for metrics; the caller provides the memory. */
export interface FlowTableCounters {
  /** Evictions: expired, then one for each eviction class. */
  readonly evictions: Float64Array;
  /** Counts packets of a flow that the kernel has carried. */
  readonly onCarried?: OnCarried;
}
