/**
 * Flows that the kernel carries (flow/carried-flows.ts), on the judge's side: before it has a packet of a flow, the flow comes home; what
 * was carried of all others is noted within a second.
 */
import { slotsOfBlock } from '../flow/carried-flows.ts';
import type { CarriedFlows, OnCarried } from '../flow/carried-flows.ts';
import { trackUdp } from '../flow/datagram-track.ts';
import { wordsOf } from '../flow/flow-memory.ts';
import type { FlowMemory } from '../flow/flow-memory.ts';
import { Hot, StateBits, hotShift, noFlow } from '../flow/flow-record.ts';
import type { FlowIndex } from '../flow/flow-record.ts';
import type { FlowTable } from '../flow/flow-table.ts';
import type { TcpTracker } from '../flow/tcp-track.ts';
import { Protocol } from '../wire/headers.ts';
import { Counter, trafficIndex } from './counters.ts';
import { packetDirection } from './flow-start.ts';

/** In how many ticks all that was carried is noted: about a second. */
const ticks = 10;

export class CarriedNotes {
  readonly #table: FlowTable;
  readonly #tcp: TcpTracker;
  readonly #carried: CarriedFlows;
  #cursor = 0;

  /** Undefined where the kernel carries nothing. */
  static of(table: FlowTable, tcp: TcpTracker): CarriedNotes | undefined {
    return table.carried && new CarriedNotes(table, tcp, table.carried);
  }

  private constructor(table: FlowTable, tcp: TcpTracker, carried: CarriedFlows) {
    this.#table = table;
    this.#tcp = tcp;
    this.#carried = carried;
  }

  /** Goes on through the slots, a tenth of them. To be called at each tick. */
  note(): void {
    const carried = this.#carried;
    const piece = Math.ceil(carried.slotCount / slotsOfBlock / ticks) * slotsOfBlock;
    const end = Math.min(this.#cursor + piece, carried.slotCount);
    for (let slot = this.#cursor; slot < end; slot++) {
      if (!carried.isBlockUsed(slot)) {
        slot |= slotsOfBlock - 1;
        continue;
      }
      const flow = carried.note(slot);
      if (flow !== noFlow) this.#refresh(flow);
    }
    this.#cursor = end === carried.slotCount ? 0 : end;
  }

  /** Before the judge has a packet of a flow, what was carried of it comes home. */
  bringHome(flow: FlowIndex): void {
    if (this.#carried.bringHome(flow)) this.#refresh(flow);
  }

  /** Hands a flow over of which a packet has passed. */
  offer(flow: FlowIndex, nowMs: number): void {
    this.#carried.offer(flow, nowMs);
  }

  /** Moves a flow on by what was carried, as its record has it now. */
  #refresh(flow: FlowIndex): void {
    const table = this.#table;
    const record = flow << hotShift;
    const seenMs = table.hot[record + Hot.lastRefresh]!;
    if (table.hot[record + Hot.kind] === Protocol.tcp) this.#tcp.refreshCarried(flow, seenMs);
    else trackUdp(table, flow, 1, seenMs);
  }
}

/** Counts packets that the kernel has carried, as if they had been judged, and as carried. @param counters of whoever calls */
export function carriedCounts(memory: FlowMemory, counters: Float64Array): OnCarried {
  const hot = wordsOf(memory.hot);
  return (flow, direction, packets, bytes) => {
    const record = flow << hotShift;
    const original =
      (hot[record + Hot.state]! & StateBits.directionMask) >> StateBits.directionShift;
    const traffic = trafficIndex(packetDirection(original, direction), hot[record + Hot.kind]!, 1);
    counters[Counter.packets + traffic]! += packets;
    counters[Counter.bytes + traffic]! += bytes;
    counters[Counter.carriedPackets]! += packets;
    counters[Counter.carriedBytes]! += bytes;
  };
}
