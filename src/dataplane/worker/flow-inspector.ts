/**
 * The control plane's access to the flow table: walks over all flows, looks one up, ends one, and adds up what the
 * servers have sent and received.
 *
 * The table belongs to the packet threads. Here it is read under their lock, {@link chunkLength} records at a time, which
 * are copied and examined after the lock was released. A packet waits some tens of microseconds at most, and nothing
 * is allocated meanwhile, so no garbage collection happens under the lock. Between two pieces flows come, change and
 * go; a walk sees each flow that was there all the time exactly once.
 */
import { setImmediate } from 'node:timers/promises';
import { carriedCounts } from '../engine/carried-notes.ts';
import { counterCount } from '../engine/counters.ts';
import { CutConnections } from '../engine/cut-connections.ts';
import type { EngineMemory } from '../engine/engine-memory.ts';
import type { FlowTableLimits } from '../flow/flow-table.ts';
import { FlowTable } from '../flow/flow-table.ts';
import { Control } from '../flow/flow-memory.ts';
import {
  Cold,
  Hot,
  StateBits,
  coldWords,
  flowBytes,
  flowPackets,
  hotShift,
  hotWords,
  noFlow,
} from '../flow/flow-record.ts';
import type { FlowIndex } from '../flow/flow-record.ts';
import { ServerTotal, originalSlot, replySlot, serverTotalShift } from '../flow/server-totals.ts';
import { DropReason } from '../wire/drop-reason.ts';
import type { KernelCarry } from './kernel-carry.ts';
import type { SharedLock } from './shared-lock.ts';

/** Records that are copied under the lock in one go: 124 KiB. */
const chunkLength = 1024;
/** Pieces after which the walk yields to the event loop. */
const chunksPerTurn = 16;
/** Server records copied under the lock in one go. */
const slotsPerChunk = 256;
/** How long the result of a walk for servers' totals is reused. */
const totalsAgeMs = 250;

/** Above every index: all flows are counted. */
const everyFlow = 0x7fffffff;

/** Copies of flow records (flow-record.ts); the current one starts at `record` and `coldRecord`. Valid until the next one. */
export interface FlowCopy {
  readonly hot: Int32Array;
  readonly cold: Int32Array;
  flow: FlowIndex;
  record: number;
  coldRecord: number;
}

/**
 * Distinguishes a flow from others that used the same record: by its creation time, and within a millisecond by its
 * tuple.
 */
export function flowTag(hot: Int32Array, record: number, created: number): number {
  let tag = created;
  for (let word: number = Hot.originalAddr; word <= Hot.kind; word++) {
    tag = Math.imul(tag ^ hot[record + word]!, 0x9e3779b1);
    tag ^= tag >>> 15;
  }
  return tag >>> 0;
}

/** Packets and bytes that a server got and sent. */
export interface ServerTraffic {
  packetsIn: number;
  packetsOut: number;
  bytesIn: number;
  bytesOut: number;
  droppedPacketsIn: number;
  droppedPacketsOut: number;
  droppedBytesIn: number;
  droppedBytesOut: number;
}

export class FlowInspector {
  readonly #table: FlowTable;
  readonly #lock: SharedLock;
  readonly #totals: Float64Array;
  readonly #connections: CutConnections | undefined;
  readonly #nowMs: () => number;
  readonly #hashKey: number;
  readonly #copy: FlowCopy = {
    hot: new Int32Array(chunkLength * hotWords),
    cold: new Int32Array(chunkLength * coldWords),
    flow: noFlow,
    record: 0,
    coldRecord: 0,
  };
  readonly #totalsCopy: Float64Array = new Float64Array(slotsPerChunk << serverTotalShift);
  #traffic: Promise<ReadonlyMap<number, ServerTraffic>> | undefined;
  #trafficAtMs = 0;

  /**
   * To be made before a packet thread works on the table.
   *
   * @param nowMs the clock of the packet threads, @param counters (counters.ts) of what is learned on the way
   */
  constructor(
    { flows, answers }: EngineMemory,
    limits: FlowTableLimits,
    lock: SharedLock,
    nowMs: () => number,
    counters: Float64Array = new Float64Array(counterCount),
  ) {
    const evictions = new Float64Array(4);
    const onCarried = carriedCounts(flows, counters);
    this.#table = new FlowTable(flows, limits, { evictions, onCarried });
    this.#totals = new Float64Array(flows.serverTotals, 0, flows.serverTotals.byteLength >> 3);
    if (answers !== undefined) this.#connections = new CutConnections(answers);
    this.#lock = lock;
    this.#nowMs = nowMs;
    this.#hashKey = flows.hashKey[0];
  }

  /** Ends what an earlier process let the kernel carry. To be called before packet threads work on the table. */
  takeOver(carry: KernelCarry): void {
    carry.takeOver(this.#table, this.#nowMs(), this.#hashKey);
  }

  /** The clock of the packet threads. */
  get nowMs(): number {
    return this.#nowMs();
  }

  /** Visits every live flow, yielding to the event loop in between. */
  async walk(visit: (flow: FlowCopy) => void): Promise<void> {
    let chunks = 0;
    for (let first = 1; first < this.#firstFresh(); first += chunkLength) {
      this.#visitLive(first, visit);
      if (++chunks % chunksPerTurn === 0) await setImmediate();
    }
  }

  /** All records in use, also of flows that have expired: for a table on which no packet waits. Each is valid until the next one. */
  *copies(): Generator<FlowCopy> {
    for (let first = 1; first < this.#firstFresh(); first += chunkLength) {
      const count = this.#copyChunk(first);
      for (let i = 0; i < count; i++) if (this.#show(first, i)) yield this.#copy;
    }
  }

  /** The same without yielding: for a table on which no packet waits. */
  walkNow(visit: (flow: FlowCopy) => void): void {
    for (let first = 1; first < this.#firstFresh(); first += chunkLength) {
      this.#visitLive(first, visit);
    }
  }

  /** Ms until a flow ends, if no packet comes. */
  remainingMs(copy: FlowCopy): number {
    const { hot, record } = copy;
    const list = (hot[record + Hot.state]! & StateBits.listMask) >> StateBits.listShift;
    return this.#table.control[Control.timeoutMs + list]! - this.idleMs(copy);
  }

  /** Ms since the last packet that kept the flow alive. */
  idleMs({ hot, record }: FlowCopy): number {
    return Math.max(0, (this.#nowMs() - hot[record + Hot.lastRefresh]!) | 0);
  }

  /** Whether the kernel carries its packets. */
  isCarried({ flow }: FlowCopy): boolean {
    return this.#table.carried?.isCarried(flow) ?? false;
  }

  ageMs({ cold, coldRecord }: FlowCopy): number {
    return Math.max(0, (this.#nowMs() - cold[coldRecord + Cold.created]!) | 0);
  }

  /**
   * The live flow of a packet (FlowTable.lookup). An expired one is removed, as a packet would do.
   *
   * @returns a copy that stays valid
   */
  find(
    kind: number,
    srcAddr: number,
    srcPort: number,
    dstAddr: number,
    dstPort: number,
  ): FlowCopy | undefined {
    const table = this.#table;
    const hot = new Int32Array(hotWords);
    const cold = new Int32Array(coldWords);
    const nowMs = this.#nowMs();
    let flow = noFlow;
    this.#lock.hold(() => {
      flow = table.lookup(kind, srcAddr, srcPort, dstAddr, dstPort, nowMs);
      if (flow !== noFlow) table.carried?.bringHome(flow);
      for (let i = 0; i < hotWords; i++) hot[i] = table.hot[(flow << hotShift) + i]!;
      for (let i = 0; i < coldWords; i++) cold[i] = table.cold[flow * coldWords + i]!;
    });
    return flow === noFlow ? undefined : { hot, cold, flow, record: 0, coldRecord: 0 };
  }

  /**
   * Ends a flow; its next packet is judged like the first packet of a flow, and a packet thread tells both ends of a connection if
   * their server rejects. False if it is gone already
   * (see {@link flowTag}).
   */
  kill(flow: FlowIndex, tag: number): boolean {
    const { hot, cold } = this.#table;
    if (flow <= noFlow || flow > this.#table.capacity) return false;
    const record = flow << hotShift;
    const nowMs = this.#nowMs();
    let live = false;
    this.#lock.hold(() => {
      live =
        (hot[record + Hot.state]! & StateBits.inUse) !== 0 &&
        flowTag(hot, record, cold[flow * coldWords + Cold.created]!) === tag &&
        !this.#table.isExpired(flow, nowMs);
      if (!live) return;
      this.#connections?.note(this.#table, flow);
      this.#table.end(flow, DropReason.flowKilled, nowMs);
    });
    return live;
  }

  /**
   * Traffic by server slot, below `slots`; those without any are missing. A total never decreases.
   */
  serverTraffic(slots: number): Promise<ReadonlyMap<number, ServerTraffic>> {
    const nowMs = this.#nowMs();
    if (this.#traffic === undefined || ((nowMs - this.#trafficAtMs) | 0) > totalsAgeMs) {
      this.#trafficAtMs = nowMs;
      // One walk at a time: one shared word publishes its progress to the packet threads.
      const before = this.#traffic ?? Promise.resolve(undefined);
      // The failure of an earlier walk was reported to those who asked for it.
      this.#traffic = before.catch(() => undefined).then(() => this.#walkTraffic(slots));
    }
    return this.#traffic;
  }

  /** A slot gets a server: nothing was counted for that one. @param identity see identityOf */
  nameSlot(slot: number, identity: Uint8Array): void {
    const at = slot << serverTotalShift;
    const words = this.#totals.subarray(at, at + (1 << serverTotalShift));
    const place = new Uint8Array(words.buffer, (at + ServerTotal.identity) * 8, identity.length);
    this.#lock.hold(() => {
      // First of all it is nobody's: this process may be killed in between.
      place.fill(0);
      words.fill(0);
      place.set(identity);
    });
  }

  async #walkTraffic(slots: number): Promise<ReadonlyMap<number, ServerTraffic>> {
    try {
      return await this.#addUpTraffic(slots);
    } finally {
      Atomics.store(this.#table.control, Control.countedBelow, 0);
    }
  }

  /** See server-totals.ts. */
  async #addUpTraffic(slots: number): Promise<ReadonlyMap<number, ServerTraffic>> {
    const { control } = this.#table;
    const totals = this.#totals;
    const traffic = new Map<number, ServerTraffic>();
    // No thread writes these words while no walk is under way.
    for (let slot = 0; slot < slots; slot++) {
      const at = (slot << serverTotalShift) + ServerTotal.counted;
      totals.fill(0, at, at + 4);
    }
    let chunks = 0;
    for (let first = 1; first < this.#firstFresh(); first += chunkLength) {
      const count = this.#copyChunk(first, first + chunkLength);
      this.#visitCopies(first, count, (flow) => addFlow(traffic, flow));
      if (++chunks % chunksPerTurn === 0) await setImmediate();
    }
    Atomics.store(control, Control.countedBelow, everyFlow);
    for (let first = 1; first < slots; first += slotsPerChunk) {
      const count = Math.min(slotsPerChunk, slots - first);
      const start = first << serverTotalShift;
      const view = totals.subarray(start, start + (count << serverTotalShift));
      this.#lock.hold(() => this.#totalsCopy.set(view));
      for (let i = 0; i < count; i++) addSlot(traffic, first + i, this.#totalsCopy, i);
    }
    return traffic;
  }

  #firstFresh(): number {
    return Atomics.load(this.#table.control, Control.firstFresh);
  }

  /** Copies the records from `first` on; returns how many. @param countedBelow see Control.countedBelow */
  #copyChunk(first: number, countedBelow?: number): number {
    const { hot, cold, control } = this.#table;
    const count = Math.min(chunkLength, this.#firstFresh() - first);
    const end = first + count;
    // Views and closure already exist: nothing is allocated under the lock.
    const hotView = hot.subarray(first * hotWords, end * hotWords);
    const coldView = cold.subarray(first * coldWords, end * coldWords);
    this.#lock.hold(() => {
      this.#copy.hot.set(hotView);
      this.#copy.cold.set(coldView);
      if (countedBelow !== undefined) control[Control.countedBelow] = end;
    });
    return count;
  }

  #visitLive(first: number, visit: (flow: FlowCopy) => void): void {
    this.#visitCopies(first, this.#copyChunk(first), (flow) => {
      if (this.remainingMs(flow) > 0) visit(flow);
    });
  }

  #visitCopies(first: number, count: number, visit: (flow: FlowCopy) => void): void {
    for (let i = 0; i < count; i++) if (this.#show(first, i)) visit(this.#copy);
  }

  /** Points the copy at the `i`th record of the chunk; false if that is free. */
  #show(first: number, i: number): boolean {
    const copy = this.#copy;
    if ((copy.hot[i * hotWords + Hot.state]! & StateBits.inUse) === 0) return false;
    copy.flow = (first + i) as FlowIndex;
    copy.record = i * hotWords;
    copy.coldRecord = i * coldWords;
    return true;
  }
}

function trafficOf(traffic: Map<number, ServerTraffic>, slot: number): ServerTraffic {
  let found = traffic.get(slot);
  if (found === undefined) {
    found = {
      packetsIn: 0,
      packetsOut: 0,
      bytesIn: 0,
      bytesOut: 0,
      droppedPacketsIn: 0,
      droppedPacketsOut: 0,
      droppedBytesIn: 0,
      droppedBytesOut: 0,
    };
    traffic.set(slot, found);
  }
  return found;
}

/** Adds the counts of a live flow. */
function addFlow(traffic: Map<number, ServerTraffic>, { cold, coldRecord }: FlowCopy): void {
  const servers = cold[coldRecord + Cold.servers]!;
  // The server at the reply address receives the packets of the original direction; the other one sends them.
  for (const [slot, inwards] of [
    [replySlot(servers), 0] as const,
    [originalSlot(servers), 1] as const,
  ]) {
    if (slot === 0) continue;
    const of = trafficOf(traffic, slot);
    of.packetsIn += flowPackets(cold, coldRecord, inwards);
    of.bytesIn += flowBytes(cold, coldRecord, inwards);
    of.packetsOut += flowPackets(cold, coldRecord, inwards ^ 1);
    of.bytesOut += flowBytes(cold, coldRecord, inwards ^ 1);
  }
}

/** Adds a slot's record, the `index`th of `totals`, without what the walk has counted. */
function addSlot(
  traffic: Map<number, ServerTraffic>,
  slot: number,
  totals: Float64Array,
  index: number,
): void {
  const at = index << serverTotalShift;
  const record = totals.subarray(at, at + ServerTotal.identity);
  if (!traffic.has(slot) && record.every((value) => value === 0)) return;
  const of = trafficOf(traffic, slot);
  const passed = (word: number): number => record[word]! - record[ServerTotal.counted + word]!;
  of.packetsIn += passed(ServerTotal.packetsIn);
  of.packetsOut += passed(ServerTotal.packetsOut);
  of.bytesIn += passed(ServerTotal.bytesIn);
  of.bytesOut += passed(ServerTotal.bytesOut);
  of.droppedPacketsIn += record[ServerTotal.droppedPacketsIn]!;
  of.droppedPacketsOut += record[ServerTotal.droppedPacketsOut]!;
  of.droppedBytesIn += record[ServerTotal.droppedBytesIn]!;
  of.droppedBytesOut += record[ServerTotal.droppedBytesOut]!;
}
