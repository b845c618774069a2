/**
 * The flow table: a chained hash over fixed memory, and lists that order the flows by last refresh.
 *
 * Life of a flow: `insert` takes a record and links it into its bucket and a list; `refresh` keeps it alive and moves it
 * between lists as its state changes; it leaves through `remove`: closed, expired, cut by a new policy, or given up under
 * pressure. A flow is named by its index, which is reused only after `remove`.
 *
 * Invariants (checked after every batch by the fuzzer, test/support/table-check.ts):
 * - a record is in use exactly if it is in the chain of its bucket, and on the list that its state word names;
 * - `used` is the number of records in use, the sum of the list lengths, of the state counts and of the shares;
 * - a chain is never longer than {@link maxChainLength}.
 *
 * The caller holds the engine's lock. Nothing here allocates.
 */
import { DropReason } from '../wire/drop-reason.ts';
import type { DropReasonCode } from '../wire/drop-reason.ts';
import {
  EvictionClass,
  adaptiveFactor,
  evictionClassCount,
  evictionClassOfList,
  flowListCount,
  listsOfClass,
  protectedIdleMs,
  relistIntervalMs,
  timeoutOfList,
} from './flow-lists.ts';
import { Control, goldenRatio, shareBucket, wordsOf } from './flow-memory.ts';
import type { FlowMemory } from './flow-memory.ts';
import {
  Cold,
  Direction,
  Hot,
  StateBits,
  coldWords,
  hotShift,
  hotWords,
  noFlow,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import { halfSipHash } from './hash.ts';

/** With as many buckets as flows and a keyed hash, a longer chain does not happen by chance. */
export const maxChainLength = 32;

/** How many of the oldest flows of each list are looked at to find one of the server that is over its share. */
const shareScanLength = 16;
/** Then, how many records anywhere: with a share of a twentieth of the table 19 of 20 searches find one. */
const shareProbes = 64;

export interface FlowTableLimits {
  /** Configured timeouts in ms by timeout number (timeouts.ts). */
  readonly timeoutsMs: readonly number[];
  /** Flows that one server address may hold. */
  readonly serverShare: number;
}

/** Counts of what pressure did, for metrics; the caller gives the memory. */
export interface FlowTableCounters {
  /** Evictions: expired, then one for each eviction class. */
  readonly evictions: Float64Array;
}

export class FlowTable {
  readonly capacity: number;
  readonly hot: Int32Array;
  readonly cold: Int32Array;
  readonly control: Int32Array;
  /** First flow of each bucket; a hash names one by its low bits, {@link bucketMask}. */
  readonly buckets: Int32Array;
  readonly bucketMask: number;
  /** Configured timeout per list in ms; the one in force may be shorter. */
  readonly configuredMs: Int32Array;
  readonly #shares: Int32Array;
  readonly #serverShare: number;
  readonly #key0: number;
  readonly #key1: number;
  readonly #counters: FlowTableCounters;

  /** After a hit of `lookup`: 0 if the packet goes in the flow's original direction, 1 if it is a reply. */
  direction = 0;
  /** After `insert` returned `noFlow`: why. */
  refusal: DropReasonCode = DropReason.none;
  #bucket = 0;

  constructor(memory: FlowMemory, limits: FlowTableLimits, counters: FlowTableCounters) {
    this.capacity = memory.capacity;
    this.hot = wordsOf(memory.hot);
    this.cold = wordsOf(memory.cold);
    this.control = new Int32Array(memory.control);
    this.buckets = wordsOf(memory.buckets);
    this.#shares = new Int32Array(memory.shares);
    this.bucketMask = this.buckets.length - 1;
    this.#serverShare = limits.serverShare;
    this.#key0 = memory.hashKey[0];
    this.#key1 = memory.hashKey[1];
    this.#counters = counters;
    this.configuredMs = new Int32Array(flowListCount);
    for (let list = 0; list < flowListCount; list++) {
      this.configuredMs[list] = limits.timeoutsMs[timeoutOfList[list]!]!;
    }
    this.control.set(this.configuredMs, Control.timeoutMs);
  }

  get used(): number {
    return this.control[Control.used]!;
  }

  /**
   * Finds the live flow of a packet, in either direction, and sets `direction`. An expired flow is removed on the way.
   * A miss leaves the bucket behind for an `insert` of the same tuple.
   *
   * @param kind protocol; for ICMP queries see icmpKind
   */
  lookup(
    kind: number,
    srcAddr: number,
    srcPort: number,
    dstAddr: number,
    dstPort: number,
    nowMs: number,
  ): FlowIndex {
    const hash = this.hashOf(kind, srcAddr, srcPort, dstAddr, dstPort);
    return this.find(hash, kind, srcAddr, srcPort, dstAddr, dstPort, nowMs);
  }

  /** The hash of a tuple, the same for both directions. */
  hashOf(kind: number, srcAddr: number, srcPort: number, dstAddr: number, dstPort: number): number {
    // The lower address goes first (they are never equal, LAND is dropped).
    return srcAddr < dstAddr
      ? halfSipHash(this.#key0, this.#key1, srcAddr, dstAddr, (srcPort << 16) | dstPort, kind)
      : halfSipHash(this.#key0, this.#key1, dstAddr, srcAddr, (dstPort << 16) | srcPort, kind);
  }

  /** `lookup` with the hash of the tuple at hand. */
  find(
    hash: number,
    kind: number,
    srcAddr: number,
    srcPort: number,
    dstAddr: number,
    dstPort: number,
    nowMs: number,
  ): FlowIndex {
    const hot = this.hot;
    const forward = (srcPort << 16) | dstPort;
    const backward = (dstPort << 16) | srcPort;
    const bucket = hash & this.bucketMask;
    this.#bucket = bucket;
    let flow = this.buckets[bucket]! as FlowIndex;
    while (flow !== noFlow) {
      const record = flow << hotShift;
      if (hot[record + Hot.kind] === kind) {
        const original = hot[record + Hot.originalAddr];
        const reply = hot[record + Hot.replyAddr];
        const ports = hot[record + Hot.ports];
        if (original === srcAddr && reply === dstAddr && ports === forward) {
          this.direction = 0;
          break;
        }
        if (original === dstAddr && reply === srcAddr && ports === backward) {
          this.direction = 1;
          break;
        }
      }
      flow = hot[record + Hot.next]! as FlowIndex;
    }
    if (flow !== noFlow && this.isExpired(flow, nowMs)) {
      this.remove(flow);
      return noFlow;
    }
    return flow;
  }

  isExpired(flow: FlowIndex, nowMs: number): boolean {
    const record = flow << hotShift;
    const list = (this.hot[record + Hot.state]! & StateBits.listMask) >> StateBits.listShift;
    const idleMs = (nowMs - this.hot[record + Hot.lastRefresh]!) | 0;
    return idleMs >= this.control[Control.timeoutMs + list]!;
  }

  /**
   * Opens a flow for the tuple of the `lookup` before, on which no other call may have come between.
   *
   * @param state state code, @param list where it waits, @param direction {@link Direction} of the packet
   * @returns the new flow, zeroed but for its key, state, times and epoch; or `noFlow`, and `refusal` says why
   */
  insert(
    kind: number,
    srcAddr: number,
    srcPort: number,
    dstAddr: number,
    dstPort: number,
    state: number,
    list: number,
    direction: number,
    epoch: number,
    nowMs: number,
  ): FlowIndex {
    const share = shareBucket(direction === Direction.inbound ? dstAddr : srcAddr);
    if (this.#shares[share]! >= this.#serverShare && !this.#evictOfShare(share, nowMs)) {
      this.refusal = DropReason.serverShare;
      return noFlow;
    }
    if (this.used >= this.capacity && !this.#evict(nowMs)) {
      this.refusal = DropReason.tableFull;
      return noFlow;
    }
    if (this.#chainLength(this.#bucket) >= maxChainLength) {
      this.refusal = DropReason.tableFull;
      return noFlow;
    }

    const flow = this.#takeRecord();
    const hot = this.hot;
    const record = flow << hotShift;
    hot.fill(0, record, record + hotWords);
    const coldRecord = flow * coldWords;
    this.cold.fill(0, coldRecord, coldRecord + coldWords);
    hot[record + Hot.originalAddr] = srcAddr;
    hot[record + Hot.replyAddr] = dstAddr;
    hot[record + Hot.ports] = (srcPort << 16) | dstPort;
    hot[record + Hot.kind] = kind;
    hot[record + Hot.state] =
      StateBits.inUse |
      (direction << StateBits.directionShift) |
      (list << StateBits.listShift) |
      state;
    hot[record + Hot.lastRefresh] = nowMs;
    hot[record + Hot.listed] = nowMs;
    hot[record + Hot.epoch] = epoch;
    this.cold[coldRecord + Cold.created] = nowMs;

    hot[record + Hot.next] = this.buckets[this.#bucket]!;
    this.buckets[this.#bucket] = flow;
    this.#linkLast(flow, list);
    this.control[Control.stateCount + state]! += 1;
    this.control[Control.used]! += 1;
    this.#shares[share]! += 1;
    return flow;
  }

  /** Takes a flow out of the table. */
  remove(flow: FlowIndex): void {
    const hot = this.hot;
    const record = flow << hotShift;
    const state = hot[record + Hot.state]!;
    this.#unlinkFromBucket(flow);
    this.#unlink(flow, (state & StateBits.listMask) >> StateBits.listShift);
    this.control[Control.stateCount + (state & StateBits.stateMask)]! -= 1;
    this.control[Control.used]! -= 1;
    this.#shares[this.#shareOf(record)]! -= 1;
    hot[record + Hot.state] = 0;
    hot[record + Hot.next] = this.control[Control.freeHead]!;
    this.control[Control.freeHead] = flow;
  }

  /** Keeps a flow alive, with a new state code, on a list that may be the one it is on. */
  refresh(flow: FlowIndex, state: number, list: number, nowMs: number): void {
    const hot = this.hot;
    const record = flow << hotShift;
    hot[record + Hot.lastRefresh] = nowMs;
    const word = hot[record + Hot.state]! & (StateBits.stateMask | StateBits.listMask);
    const stays = word === (state | (list << StateBits.listShift));
    if (stays && ((nowMs - hot[record + Hot.listed]!) | 0) < relistIntervalMs) return;
    this.setState(flow, state);
    this.moveToList(flow, list, nowMs);
  }

  /** Changes the state code without a refresh. */
  setState(flow: FlowIndex, state: number): void {
    const at = (flow << hotShift) + Hot.state;
    const word = this.hot[at]!;
    const oldState = word & StateBits.stateMask;
    if (oldState === state) return;
    this.control[Control.stateCount + oldState]! -= 1;
    this.control[Control.stateCount + state]! += 1;
    this.hot[at] = (word & ~StateBits.stateMask) | state;
  }

  /** Puts a flow at the tail of a list; within a second of the last time, staying on the same list costs nothing. */
  moveToList(flow: FlowIndex, list: number, nowMs: number): void {
    const record = flow << hotShift;
    const word = this.hot[record + Hot.state]!;
    const oldList = (word & StateBits.listMask) >> StateBits.listShift;
    if (oldList === list && ((nowMs - this.hot[record + Hot.listed]!) | 0) < relistIntervalMs)
      return;
    this.#unlink(flow, oldList);
    this.#linkLast(flow, list);
    this.hot[record + Hot.state] = (word & ~StateBits.listMask) | (list << StateBits.listShift);
    this.hot[record + Hot.listed] = nowMs;
  }

  /** Counts one packet of `bytes` in a direction. */
  account(flow: FlowIndex, direction: number, bytes: number): void {
    const cold = this.cold;
    const record = flow * coldWords;
    cold[record + Cold.packets + direction]! += 1;
    const before = cold[record + Cold.bytes + direction]!;
    const after = (before + bytes) | 0;
    cold[record + Cold.bytes + direction] = after;
    // A carry of the unsigned sum turns the sign from negative to positive.
    if (before < 0 && after >= 0) cold[record + Cold.bytesHigh]! += direction === 0 ? 1 : 0x10000;
  }

  /**
   * Housekeeping of one tick: sets the timeouts in force by how full the table is, and removes at most `budget` expired
   * flows from the list heads.
   */
  expire(nowMs: number, budget: number): number {
    this.#adaptTimeouts();
    let removed = 0;
    for (let list = 0; list < flowListCount && removed < budget; list++) {
      let flow = this.control[Control.head + list]! as FlowIndex;
      while (flow !== noFlow && removed < budget && this.isExpired(flow, nowMs)) {
        this.remove(flow);
        removed++;
        flow = this.control[Control.head + list]! as FlowIndex;
      }
    }
    return removed;
  }

  /** pf's adaptive timeouts, for everything but conversations: shorter the fuller the table is. */
  #adaptTimeouts(): void {
    const factor = adaptiveFactor(this.used / this.capacity);
    for (let list = 0; list < flowListCount; list++) {
      const configured = this.configuredMs[list]!;
      this.control[Control.timeoutMs + list] =
        evictionClassOfList[list] === EvictionClass.established ? configured : configured * factor;
    }
  }

  /** Gives up one flow for a new one: expired, then class by class the oldest. False if all are protected. */
  #evict(nowMs: number): boolean {
    for (let list = 0; list < flowListCount; list++) {
      const head = this.control[Control.head + list]! as FlowIndex;
      if (head !== noFlow && this.isExpired(head, nowMs)) {
        this.remove(head);
        this.#counters.evictions[0]! += 1;
        return true;
      }
    }
    for (let wanted = 0; wanted < evictionClassCount; wanted++) {
      const oldest = this.#oldestOfClass(wanted, nowMs);
      if (oldest === noFlow) continue;
      const idleMs = (nowMs - this.hot[(oldest << hotShift) + Hot.lastRefresh]!) | 0;
      if (wanted === EvictionClass.established && idleMs < protectedIdleMs) return false;
      this.remove(oldest);
      this.#counters.evictions[1 + wanted]! += 1;
      return true;
    }
    return false;
  }

  #oldestOfClass(wanted: number, nowMs: number): FlowIndex {
    const lists = listsOfClass[wanted]!;
    let oldest = noFlow;
    let longestIdleMs = -1;
    for (let i = 0; i < lists.length; i++) {
      const head = this.control[Control.head + lists[i]!]! as FlowIndex;
      if (head === noFlow) continue;
      const idleMs = (nowMs - this.hot[(head << hotShift) + Hot.listed]!) | 0;
      if (idleMs > longestIdleMs) {
        longestIdleMs = idleMs;
        oldest = head;
      }
    }
    return oldest;
  }

  /**
   * Makes room within a server's share: gives up one of its own flows that is no conversation. Under a flood nearly all of
   * the oldest are its own. Behind an older flood of another server none is: then one is looked for all over the table.
   */
  #evictOfShare(share: number, nowMs: number): boolean {
    let flow = this.#oldestOfShare(share);
    if (flow === noFlow) flow = this.#anyOfShare(share);
    if (flow === noFlow) return false;
    const given = this.isExpired(flow, nowMs) ? 0 : 1 + this.#classOf(flow);
    this.remove(flow);
    this.#counters.evictions[given]! += 1;
    return true;
  }

  #oldestOfShare(share: number): FlowIndex {
    for (let wanted = 0; wanted < EvictionClass.established; wanted++) {
      const lists = listsOfClass[wanted]!;
      for (let i = 0; i < lists.length; i++) {
        let flow = this.control[Control.head + lists[i]!]! as FlowIndex;
        for (let seen = 0; flow !== noFlow && seen < shareScanLength; seen++) {
          if (this.#shareOf(flow << hotShift) === share) return flow;
          flow = this.cold[flow * coldWords + Cold.next]! as FlowIndex;
        }
      }
    }
    return noFlow;
  }

  /** Looks at records spread evenly over those in use (a Weyl sequence by the golden ratio), going on where it left off. */
  #anyOfShare(share: number): FlowIndex {
    const { control, hot } = this;
    const records = control[Control.firstFresh]! - 1;
    let found = noFlow;
    for (let probe = 0; probe < shareProbes; probe++) {
      const turn = (control[Control.shareProbe]! + goldenRatio) | 0;
      control[Control.shareProbe] = turn;
      const flow = (1 + Math.floor(((turn >>> 0) / 0x100000000) * records)) as FlowIndex;
      const inUse = (hot[(flow << hotShift) + Hot.state]! & StateBits.inUse) !== 0;
      if (!inUse || this.#shareOf(flow << hotShift) !== share) continue;
      const eviction = this.#classOf(flow);
      if (eviction === EvictionClass.unanswered) return flow;
      if (eviction === EvictionClass.closing) found = flow;
    }
    return found;
  }

  #classOf(flow: FlowIndex): number {
    const list = this.hot[(flow << hotShift) + Hot.state]! & StateBits.listMask;
    return evictionClassOfList[list >> StateBits.listShift]!;
  }

  /**
   * The share in which a flow counts: of the server that opened it, or that it was opened to from outside. Between two
   * servers it is the opener's, so that one that floods its neighbours uses up its own share and not theirs.
   */
  #shareOf(record: number): number {
    const direction =
      (this.hot[record + Hot.state]! & StateBits.directionMask) >> StateBits.directionShift;
    const word = direction === Direction.inbound ? Hot.replyAddr : Hot.originalAddr;
    return shareBucket(this.hot[record + word]!);
  }

  #chainLength(bucket: number): number {
    let length = 0;
    for (let flow = this.buckets[bucket]!; flow !== noFlow; length++) {
      flow = this.hot[(flow << hotShift) + Hot.next]!;
    }
    return length;
  }

  #takeRecord(): FlowIndex {
    const control = this.control;
    const free = control[Control.freeHead]!;
    if (free !== noFlow) {
      control[Control.freeHead] = this.hot[(free << hotShift) + Hot.next]!;
      return free as FlowIndex;
    }
    const fresh = control[Control.firstFresh]!;
    control[Control.firstFresh] = fresh + 1;
    return fresh as FlowIndex;
  }

  #unlinkFromBucket(flow: FlowIndex): void {
    const hot = this.hot;
    const record = flow << hotShift;
    const bucket = this.#bucketOf(record);
    const next = hot[record + Hot.next]!;
    let at = this.buckets[bucket]!;
    if (at === flow) {
      this.buckets[bucket] = next;
      return;
    }
    while (hot[(at << hotShift) + Hot.next] !== flow) at = hot[(at << hotShift) + Hot.next]!;
    hot[(at << hotShift) + Hot.next] = next;
  }

  #bucketOf(record: number): number {
    const hot = this.hot;
    const ports = hot[record + Hot.ports]!;
    const original = hot[record + Hot.originalAddr]!;
    const reply = hot[record + Hot.replyAddr]!;
    const kind = hot[record + Hot.kind]!;
    return this.hashOf(kind, original, ports >>> 16, reply, ports & 0xffff) & this.bucketMask;
  }

  #linkLast(flow: FlowIndex, list: number): void {
    const { control, cold } = this;
    const tail = control[Control.tail + list]!;
    const record = flow * coldWords;
    cold[record + Cold.previous] = tail;
    cold[record + Cold.next] = noFlow;
    if (tail === noFlow) control[Control.head + list] = flow;
    else cold[tail * coldWords + Cold.next] = flow;
    control[Control.tail + list] = flow;
    control[Control.listLength + list]! += 1;
  }

  #unlink(flow: FlowIndex, list: number): void {
    const { control, cold } = this;
    const record = flow * coldWords;
    const previous = cold[record + Cold.previous]!;
    const next = cold[record + Cold.next]!;
    if (previous === noFlow) control[Control.head + list] = next;
    else cold[previous * coldWords + Cold.next] = next;
    if (next === noFlow) control[Control.tail + list] = previous;
    else cold[next * coldWords + Cold.previous] = previous;
    control[Control.listLength + list]! -= 1;
  }
}
