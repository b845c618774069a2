/**
 * The flow table: a chained hash over fixed memory, and lists that order the flows by last refresh.
 *
 * Life of a flow: `insert` takes a record and links it into its bucket and a list; `refresh` keeps it alive and moves it
 * between lists as its state changes; it leaves through `remove`: closed, expired, cut by a new policy, or evicted
 * under pressure. A flow is named by its index, which is reused only after `remove`.
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
import { CarriedFlows } from './carried-flows.ts';
import { EndedFlows } from './ended-flows.ts';
import { Eviction, shareOf } from './eviction.ts';
import {
  EvictionClass,
  adaptiveFactor,
  evictionClassOfList,
  flowListCount,
  relistIntervalMs,
  timeoutOfList,
} from './flow-lists.ts';
import { FlowEvent, FlowEventWriter } from './flow-events.ts';
import { Control, shareBucket, wordsOf } from './flow-memory.ts';
import type { FlowMemory, FlowTableCounters } from './flow-memory.ts';
import {
  Cold,
  Direction,
  Hot,
  StateBits,
  clear,
  coldWords,
  hotShift,
  hotWords,
  noFlow,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import { halfSipHash } from './hash.ts';
import { addPassed, retire } from './server-totals.ts';

/** With as many buckets as flows and a keyed hash, a longer chain does not happen by chance. */
export const maxChainLength = 32;

export interface FlowTableLimits {
  /** Configured timeouts in ms by timeout number (timeouts.ts). */
  readonly timeoutsMs: readonly number[];
  /** Flows that one server address may hold. */
  readonly serverShare: number;
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
  readonly #eviction: Eviction;
  readonly #totals: Float64Array;
  readonly ended: EndedFlows;
  /** Absent: no flow is logged. */
  readonly #events: FlowEventWriter | undefined;
  /** Absent: the kernel carries nothing. */
  readonly carried: CarriedFlows | undefined;

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
    this.#eviction = new Eviction(this, counters.evictions);
    this.#totals = new Float64Array(memory.serverTotals, 0, memory.serverTotals.byteLength >> 3);
    this.ended = new EndedFlows(memory.ended, this.control, Control.anyEnded);
    this.#events = memory.events && new FlowEventWriter(memory.events);
    this.carried = memory.carry && new CarriedFlows(this, memory.carry, counters.onCarried);
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
   * A miss remembers the bucket for an `insert` of the same tuple.
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

  /** `lookup` with the tuple's hash already computed. */
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
      this.remove(flow, FlowEvent.timeout, nowMs);
      return noFlow;
    }
    return flow;
  }

  isExpired(flow: FlowIndex, nowMs: number): boolean {
    const record = flow << hotShift;
    const list = (this.hot[record + Hot.state]! & StateBits.listMask) >> StateBits.listShift;
    const idleMs = (nowMs - this.hot[record + Hot.lastRefresh]!) | 0;
    return (
      idleMs >= this.control[Control.timeoutMs + list]! &&
      // Of what was carried since, the record may not know yet.
      (this.carried?.wasSeen(flow) !== true || this.isExpired(flow, nowMs))
    );
  }

  /**
   * Opens a flow for the tuple of the preceding `lookup`; no other call may come between.
   *
   * @param state state code, @param list where it waits, @param direction {@link Direction} of the packet
   * @param servers see Cold.servers
   * @returns the new flow, zeroed but for its key, state, times, epoch and servers; or `noFlow`, and `refusal` says why
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
    servers: number,
    nowMs: number,
  ): FlowIndex {
    const share = shareBucket(direction === Direction.inbound ? dstAddr : srcAddr);
    if (
      this.#shares[share]! >= this.#serverShare &&
      !this.#eviction.makeRoomInShare(share, nowMs)
    ) {
      this.refusal = DropReason.serverShare;
      return noFlow;
    }
    if (this.used >= this.capacity && !this.#eviction.makeRoom(nowMs)) {
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
    const coldRecord = flow * coldWords;
    clear(hot, record, hotWords);
    clear(this.cold, coldRecord, coldWords);
    hot[record + Hot.originalAddr] = srcAddr;
    hot[record + Hot.replyAddr] = dstAddr;
    hot[record + Hot.ports] = (srcPort << 16) | dstPort;
    hot[record + Hot.kind] = kind;
    hot[record + Hot.lastRefresh] = nowMs;
    hot[record + Hot.listed] = nowMs;
    hot[record + Hot.epoch] = epoch;
    this.cold[coldRecord + Cold.created] = nowMs;
    this.cold[coldRecord + Cold.servers] = servers;
    // Last: until now a process that finds the memory of this one, killed, takes the record for a free one.
    hot[record + Hot.state] =
      StateBits.inUse |
      (direction << StateBits.directionShift) |
      (list << StateBits.listShift) |
      state;

    hot[record + Hot.next] = this.buckets[this.#bucket]!;
    this.buckets[this.#bucket] = flow;
    this.#linkLast(flow, list);
    this.control[Control.stateCount + state]! += 1;
    this.control[Control.used]! += 1;
    this.#shares[share]! += 1;
    return flow;
  }

  /** Removes a flow before its time; what its ends still send is dropped for `reason`. */
  end(flow: FlowIndex, reason: DropReasonCode, nowMs: number): void {
    const record = flow << hotShift;
    this.ended.note(this.#hashOfFlow(record), this.hot[record + Hot.originalAddr]!, reason, nowMs);
    this.remove(flow, reason === DropReason.flowKilled ? FlowEvent.killed : FlowEvent.cut, nowMs);
  }

  /**
   * Removes a flow from the table and adds its counts to the totals of its servers. All flows end here.
   *
   * @param event {@link FlowEvent}: how it ends, for the flow log
   */
  remove(flow: FlowIndex, event: number, nowMs: number): void {
    const hot = this.hot;
    if (this.carried !== undefined) this.carried.bringHome(flow);
    if (this.#events !== undefined) this.#events.write(event, hot, this.cold, flow, nowMs);
    const record = flow << hotShift;
    const state = hot[record + Hot.state]!;
    const share = shareOf(hot, record);
    // First: a process that finds the memory of this one, killed, finds no flow whose counts are in the totals already.
    hot[record + Hot.state] = 0;
    this.#retire(flow, this.cold[flow * coldWords + Cold.servers]!, 1);
    this.#unlinkFromBucket(flow);
    this.#unlink(flow, (state & StateBits.listMask) >> StateBits.listShift);
    this.control[Control.stateCount + (state & StateBits.stateMask)]! -= 1;
    this.control[Control.used]! -= 1;
    this.#shares[share]! -= 1;
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
    const packets = (cold[record + Cold.packets + direction]! + 1) | 0;
    cold[record + Cold.packets + direction] = packets;
    const before = cold[record + Cold.bytes + direction]!;
    const after = (before + bytes) | 0;
    cold[record + Cold.bytes + direction] = after;
    // A carry of the unsigned sum turns the sign from negative to positive.
    const carried = before & ~after;
    if (carried < 0 || packets === 0) this.#overflow(flow, direction, packets, carried);
  }

  /** A packet count has wrapped, or the high half of a byte count goes up by one. */
  #overflow(flow: FlowIndex, direction: number, packets: number, carried: number): void {
    if (packets === 0) this.carryOver(flow, direction, 2 ** 32, 0);
    if (carried >= 0) return;
    const at = flow * coldWords + Cold.bytesHigh;
    const shift = direction << 4;
    const high = ((this.cold[at]! >>> shift) + 1) & 0xffff;
    this.cold[at] = (this.cold[at]! & ~(0xffff << shift)) | (high << shift);
    if (high === 0) this.carryOver(flow, direction, 0, 2 ** 48);
  }

  /** Moves counts that no longer fit into the flow's record to the totals of its servers. */
  carryOver(flow: FlowIndex, direction: number, packets: number, bytes: number): void {
    const servers = this.cold[flow * coldWords + Cold.servers]!;
    addPassed(this.#totals, servers, direction, packets, bytes, this.#isCounted(flow));
  }

  /** Counts a packet that passes because of a flow without being counted in it: an ICMP error. */
  accountBeside(flow: FlowIndex, direction: number, bytes: number): void {
    const servers = this.cold[flow * coldWords + Cold.servers]!;
    addPassed(this.#totals, servers, direction, 1, bytes, false);
  }

  /** Remembers by which rules a policy admits the flow: their indices, -1 for none. */
  admit(flow: FlowIndex, inboundRule: number, outboundRule: number): void {
    const record = flow * coldWords;
    this.cold[record + Cold.inboundRule] = inboundRule + 1;
    this.cold[record + Cold.outboundRule] = outboundRule + 1;
  }

  /** Tells the flow log that a flow has begun. */
  logStart(flow: FlowIndex, nowMs: number): void {
    this.log(FlowEvent.start, this.hot, this.cold, flow, nowMs);
  }

  /** Tells the flow log of a flow in some records, of this table or of another one. @param event {@link FlowEvent} */
  log(event: number, hot: Int32Array, cold: Int32Array, flow: number, nowMs: number): void {
    this.#events?.write(event, hot, cold, flow, nowMs);
  }

  /** Assigns the flow to other servers (Cold.servers); what it has carried so far stays counted for the old ones. */
  assign(flow: FlowIndex, servers: number): void {
    const at = flow * coldWords + Cold.servers;
    const before = this.cold[at]!;
    if (before === servers) return;
    this.#retire(flow, servers, -1);
    this.cold[at] = servers;
    this.#retire(flow, before, 1);
  }

  /** Adds the counts of a flow to the totals of its servers that is in other records, and comes into no table any more. */
  retireFrom(cold: Int32Array, coldRecord: number): void {
    retire(this.#totals, cold, coldRecord, cold[coldRecord + Cold.servers]!, 1, false);
  }

  #retire(flow: FlowIndex, servers: number, sign: number): void {
    retire(this.#totals, this.cold, flow * coldWords, servers, sign, this.#isCounted(flow));
  }

  /** Whether the walk that adds up servers' totals has passed this flow. */
  #isCounted(flow: FlowIndex): boolean {
    return flow < this.control[Control.countedBelow]!;
  }

  /**
   * Housekeeping of one tick: adapts the timeouts in force to the table's fill level, and removes at most `budget`
   * expired flows from the list heads.
   */
  expire(nowMs: number, budget: number): number {
    this.#adaptTimeouts();
    let removed = 0;
    for (let list = 0; list < flowListCount && removed < budget; list++) {
      let flow = this.control[Control.head + list]! as FlowIndex;
      while (flow !== noFlow && removed < budget && this.isExpired(flow, nowMs)) {
        this.remove(flow, FlowEvent.timeout, nowMs);
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
    return this.#hashOfFlow(record) & this.bucketMask;
  }

  #hashOfFlow(record: number): number {
    const hot = this.hot;
    const ports = hot[record + Hot.ports]!;
    const original = hot[record + Hot.originalAddr]!;
    const reply = hot[record + Hot.replyAddr]!;
    const kind = hot[record + Hot.kind]!;
    return this.hashOf(kind, original, ports >>> 16, reply, ports & 0xffff);
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
