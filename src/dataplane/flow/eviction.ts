/**
 * Which flow a full table evicts for a new one: an expired one, else the oldest, class by class (flow-lists.ts). A
 * server over its share loses only its own flows. Closing flows are evicted before handshakes that have just begun;
 * otherwise, on a server that closes connections as fast as it opens them, dead flows would displace new ones.
 *
 * The work is bounded, because every packet of a flood causes it: a few list heads, and {@link shareProbes} records.
 */
import {
  EvictionClass,
  awaitedMs,
  evictionClassOfList,
  flowListCount,
  listsOfClass,
  protectedIdleMs,
} from './flow-lists.ts';
import { FlowEvent } from './flow-events.ts';
import { Control, goldenRatio, shareBucket } from './flow-memory.ts';
import { Cold, Direction, Hot, StateBits, coldWords, hotShift, noFlow } from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';

/** How many of the oldest flows of each list are looked at to find one of the server that is over its share. */
const shareScanLength = 16;
/** Then, how many records anywhere: with a share of a twentieth of the table 19 of 20 searches find one. */
const shareProbes = 64;

/** The flow table, as far as it matters here. */
export interface EvictableTable {
  readonly hot: Int32Array;
  readonly cold: Int32Array;
  readonly control: Int32Array;
  isExpired(flow: FlowIndex, nowMs: number): boolean;
  remove(flow: FlowIndex, event: number, nowMs: number): void;
}

/**
 * The share that a flow counts towards: that of the server that opened it or, if it was opened from outside, of the
 * server that it was opened to. Between two servers it is the opener's, so that a server that floods its neighbours
 * uses up its own share and not theirs.
 *
 * @param record where the flow's hot record starts
 */
export function shareOf(hot: Int32Array, record: number): number {
  const direction =
    (hot[record + Hot.state]! & StateBits.directionMask) >> StateBits.directionShift;
  const word = direction === Direction.inbound ? Hot.replyAddr : Hot.originalAddr;
  return shareBucket(hot[record + word]!);
}

export class Eviction {
  readonly #table: EvictableTable;
  readonly #hot: Int32Array;
  readonly #control: Int32Array;
  readonly #counts: Float64Array;

  /** @param counts evictions: expired, then one for each eviction class */
  constructor(table: EvictableTable, counts: Float64Array) {
    this.#table = table;
    this.#hot = table.hot;
    this.#control = table.control;
    this.#counts = counts;
  }

  /** Evicts one flow for a new one: an expired one, else the oldest, class by class. False if all are protected. */
  makeRoom(nowMs: number): boolean {
    for (let list = 0; list < flowListCount; list++) {
      const head = this.#control[Control.head + list]! as FlowIndex;
      if (head !== noFlow && this.#table.isExpired(head, nowMs)) {
        this.#table.remove(head, FlowEvent.timeout, nowMs);
        this.#counts[0]! += 1;
        return true;
      }
    }
    const flow = this.#leastMissed(nowMs);
    if (flow === noFlow) return false;
    this.#counts[1 + this.#classOf(flow)]! += 1;
    this.#table.remove(flow, FlowEvent.evicted, nowMs);
    return true;
  }

  /** The flow to evict among those that have not expired; `noFlow` if all are conversations in use. */
  #leastMissed(nowMs: number): FlowIndex {
    const unanswered = this.#oldestOfClass(EvictionClass.unanswered, nowMs);
    if (unanswered !== noFlow && !this.#isAwaited(unanswered, nowMs)) return unanswered;
    const closing = this.#oldestOfClass(EvictionClass.closing, nowMs);
    if (closing !== noFlow) return closing;
    if (unanswered !== noFlow) return unanswered;
    const conversation = this.#oldestOfClass(EvictionClass.established, nowMs);
    if (conversation === noFlow) return noFlow;
    const idleMs = (nowMs - this.#hot[(conversation << hotShift) + Hot.lastRefresh]!) | 0;
    return idleMs < protectedIdleMs ? noFlow : conversation;
  }

  #isAwaited(flow: FlowIndex, nowMs: number): boolean {
    return ((nowMs - this.#hot[(flow << hotShift) + Hot.listed]!) | 0) < awaitedMs;
  }

  /**
   * Makes room within a server's share: evicts one of its own flows that is no conversation. Under a flood nearly all
   * of the oldest flows are its own. After an older flood of another server none may be: then the whole table is
   * sampled.
   */
  makeRoomInShare(share: number, nowMs: number): boolean {
    let flow = this.#oldestOfShare(share, nowMs);
    if (flow === noFlow) flow = this.#anyOfShare(share);
    if (flow === noFlow) return false;
    const expired = this.#table.isExpired(flow, nowMs);
    const given = expired ? 0 : 1 + this.#classOf(flow);
    this.#table.remove(flow, expired ? FlowEvent.timeout : FlowEvent.evicted, nowMs);
    this.#counts[given]! += 1;
    return true;
  }

  #oldestOfClass(wanted: number, nowMs: number): FlowIndex {
    const lists = listsOfClass[wanted]!;
    let oldest = noFlow;
    let longestIdleMs = -1;
    for (let i = 0; i < lists.length; i++) {
      const head = this.#control[Control.head + lists[i]!]! as FlowIndex;
      if (head === noFlow) continue;
      const idleMs = (nowMs - this.#hot[(head << hotShift) + Hot.listed]!) | 0;
      if (idleMs > longestIdleMs) {
        longestIdleMs = idleMs;
        oldest = head;
      }
    }
    return oldest;
  }

  #oldestOfShare(share: number, nowMs: number): FlowIndex {
    let awaited: FlowIndex = noFlow;
    for (let wanted = 0; wanted < EvictionClass.established; wanted++) {
      const lists = listsOfClass[wanted]!;
      for (let i = 0; i < lists.length; i++) {
        let flow = this.#control[Control.head + lists[i]!]! as FlowIndex;
        for (let seen = 0; flow !== noFlow && seen < shareScanLength; seen++) {
          if (shareOf(this.#hot, flow << hotShift) === share) {
            if (wanted !== EvictionClass.unanswered || !this.#isAwaited(flow, nowMs)) return flow;
            // The rest of the list is younger.
            if (awaited === noFlow) awaited = flow;
            break;
          }
          flow = this.#table.cold[flow * coldWords + Cold.next]! as FlowIndex;
        }
      }
    }
    return awaited;
  }

  /** Looks at records spread evenly over those in use (a Weyl sequence by the golden ratio), going on where it left off. */
  #anyOfShare(share: number): FlowIndex {
    const hot = this.#hot;
    const control = this.#control;
    const records = control[Control.firstFresh]! - 1;
    let found = noFlow;
    for (let probe = 0; probe < shareProbes; probe++) {
      const turn = (control[Control.shareProbe]! + goldenRatio) | 0;
      control[Control.shareProbe] = turn;
      const flow = (1 + Math.floor(((turn >>> 0) / 0x100000000) * records)) as FlowIndex;
      const inUse = (hot[(flow << hotShift) + Hot.state]! & StateBits.inUse) !== 0;
      if (!inUse || shareOf(hot, flow << hotShift) !== share) continue;
      const eviction = this.#classOf(flow);
      if (eviction === EvictionClass.unanswered) return flow;
      if (eviction === EvictionClass.closing) found = flow;
    }
    return found;
  }

  #classOf(flow: FlowIndex): number {
    const list = this.#hot[(flow << hotShift) + Hot.state]! & StateBits.listMask;
    return evictionClassOfList[list >> StateBits.listShift]!;
  }
}
