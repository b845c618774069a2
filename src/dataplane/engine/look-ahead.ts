/**
 * The first pass over a batch: parses a window of packets, hashes their tuples, and touches what judging them will read.
 *
 * A flow in a large table is in no cache, and each of its lines costs a memory access. Judged one by one, packets wait for
 * them one after the other; loads that do not depend on each other wait together. So a window is walked several times in
 * tight loops, one for each step of the chain bucket -> record -> next record, and when a packet is judged its lines have
 * arrived. JavaScript has no prefetch; a plain load whose value is used for something does the same.
 *
 * Nothing is decided here. The table may change between this pass and the judgement of a packet, by the packets before it:
 * what is kept is the packet, its first drop reason and the hash of its tuple, and those depend on its bytes only.
 */
import { icmpKind } from '../flow/icmp-query.ts';
import { Cold, Hot, coldWords, hotShift } from '../flow/flow-record.ts';
import { relistIntervalMs } from '../flow/flow-lists.ts';
import type { FlowTable } from '../flow/flow-table.ts';
import { DropReason } from '../wire/drop-reason.ts';
import { Protocol } from '../wire/headers.ts';
import { Packet } from '../wire/packet.ts';
import { parsePacket } from '../wire/parse.ts';

/** Packets of one window: enough to overlap every load that the processor can have under way, few enough for its caches. */
export const windowLength = 64;

/** Up to this many flows stay in the processor's caches anyway (half a megabyte); touching them costs more than it saves. */
const cachedFlows = 4096;

/** The kind under which the flow table knows a packet: protocol; for ICMP {@link icmpKind}, which may be none. */
export function kindOf(packet: Packet): number {
  if (packet.protocol !== Protocol.icmp) return packet.protocol;
  return icmpKind(packet.icmpType, packet.icmpCode, packet.srcAddr, packet.dstAddr);
}

export class LookAhead {
  readonly packets: readonly Packet[] = Array.from({ length: windowLength }, () => new Packet());
  /** Result of parsePacket, per packet of the window. */
  readonly reasons: Int32Array = new Int32Array(windowLength);
  /** {@link kindOf} and the tuple hash, of packets that it accepted. */
  readonly kinds: Int32Array = new Int32Array(windowLength);
  readonly hashes: Int32Array = new Int32Array(windowLength);
  /** Sink for the loaded values: V8 removes a load whose value is unused. */
  loaded = 0;
  readonly #flows: Int32Array = new Int32Array(windowLength);
  readonly #table: FlowTable;

  constructor(table: FlowTable) {
    this.#table = table;
  }

  /** Fills the window with `count` packets of the batch from `first` on. */
  fill(
    bytes: Uint8Array,
    words: Int32Array,
    offsets: Uint32Array,
    lengths: Uint32Array,
    first: number,
    count: number,
    nowMs: number,
  ): void {
    const { packets, reasons, kinds, hashes } = this;
    const table = this.#table;
    for (let i = 0; i < count; i++) {
      const packet = packets[i]!;
      const reason = parsePacket(bytes, words, offsets[first + i]!, lengths[first + i]!, packet);
      reasons[i] = reason;
      if (reason !== DropReason.none) continue;
      const kind = kindOf(packet);
      kinds[i] = kind;
      const { srcAddr, srcPort, dstAddr, dstPort } = packet;
      hashes[i] = table.hashOf(kind, srcAddr, srcPort, dstAddr, dstPort);
    }
    if (table.used > cachedFlows) this.#touch(count, nowMs);
  }

  /**
   * Loads what the flows of the window's hashes consist of, one loop for each step. Every index is in range; 0 is no
   * flow.
   */
  #touch(count: number, nowMs: number): void {
    const { hot, cold, buckets, bucketMask } = this.#table;
    const { kinds, hashes } = this;
    const flows = this.#flows;
    let loaded = 0;
    for (let i = 0; i < count; i++) flows[i] = buckets[hashes[i]! & bucketMask]!;
    for (let i = 0; i < count; i++) {
      const flow = flows[i]!;
      loaded ^= hot[flow << hotShift]! ^ cold[flow * coldWords]!;
    }
    for (let i = 0; i < count; i++) {
      const record = flows[i]! << hotShift;
      // Buckets with two flows are common.
      const next = hot[record + Hot.next]!;
      loaded ^= hot[next << hotShift]! ^ cold[next * coldWords]!;
      // A flow that moves on its list, or to another, also writes to its neighbours. A TCP flow does so with every
      // change between data and acknowledgment.
      const listedMs = (nowMs - hot[record + Hot.listed]!) | 0;
      if (kinds[i] === Protocol.tcp || listedMs >= relistIntervalMs) {
        const coldRecord = flows[i]! * coldWords;
        const previousCold = cold[coldRecord + Cold.previous]! * coldWords;
        const nextCold = cold[coldRecord + Cold.next]! * coldWords;
        loaded ^= cold[previousCold]! ^ cold[nextCold]!;
      }
    }
    this.loaded = loaded;
  }
}
