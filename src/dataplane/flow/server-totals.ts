/**
 * What the protected servers have sent and received, by server slot: one record for each slot, in memory that all packet
 * threads share. Whoever holds the lock writes.
 *
 * A packet of a flow is counted in the flow's record only, which it touches anyway; when a flow is removed, what it has
 * carried is added here (`retire`). A server's total is therefore its record and its live flows together, and who asks for it
 * walks the flow table. It does so in pieces, between which flows go: one that was counted already and is removed then would
 * count twice. So the walk tells how far it has got (Control.countedBelow), and what the removed ones behind it carried is
 * also added up as `counted`, to be taken off again. That way a total never goes backwards, whenever it is asked for.
 *
 * Slots are small numbers that the control plane gives to server names and never to another one at the same time
 * (policy/server-slots.ts). 0 is nobody: an address that is no server, or one of too many servers.
 */
import { Cold, flowBytes, flowPackets } from './flow-record.ts';

/** Slots, with the one that is nobody: a flow record has 16 bits for each end. */
export const serverSlotCount = 65_536;

export const serverTotalShift = 4;

/** Doubles of a record: exact up to 2^53. */
export const ServerTotal = {
  /** Passed, to the server and from it: of flows that were removed, and of packets that belong to no flow. */
  packetsIn: 0,
  packetsOut: 1,
  bytesIn: 2,
  bytesOut: 3,
  droppedPacketsIn: 4,
  droppedPacketsOut: 5,
  droppedBytesIn: 6,
  droppedBytesOut: 7,
  /** The part of the first four that came from flows which a walk had counted before; in the same order. */
  counted: 8,
} as const;

/** Memory for the totals. Untouched pages of it cost address space only. */
export function serverTotalsLength(slots: number): number {
  return (slots << serverTotalShift) * 8;
}

/** Slot of the server at the reply address of a flow, of its servers word. */
export function replySlot(servers: number): number {
  return servers & 0xffff;
}

/** Slot of the server at the original address. */
export function originalSlot(servers: number): number {
  return servers >>> 16;
}

/**
 * Adds packets that passed between the two servers of a flow, in its original direction (0) or as replies (1).
 *
 * @param counted they were in the flow's record when the walk that is under way came by
 */
export function addPassed(
  totals: Float64Array,
  servers: number,
  direction: number,
  packets: number,
  bytes: number,
  counted: boolean,
): void {
  const reply = replySlot(servers);
  const original = originalSlot(servers);
  addAt(totals, reply, ServerTotal.packetsIn + direction, packets, bytes);
  addAt(totals, original, ServerTotal.packetsOut - direction, packets, bytes);
  if (!counted) return;
  addAt(totals, reply, ServerTotal.counted + direction, packets, bytes);
  addAt(totals, original, ServerTotal.counted + 1 - direction, packets, bytes);
}

/** @param slot may be nobody, @param word where the packets are counted; the bytes are two words behind */
function addAt(
  totals: Float64Array,
  slot: number,
  word: number,
  packets: number,
  bytes: number,
): void {
  if (slot === 0) return;
  const at = (slot << serverTotalShift) + word;
  totals[at]! += packets;
  totals[at + 2]! += bytes;
}

/** Adds packets that were dropped on their way from one server slot to another; either may be nobody. */
export function addDropped(
  totals: Float64Array,
  fromSlot: number,
  toSlot: number,
  packets: number,
  bytes: number,
): void {
  addAt(totals, toSlot, ServerTotal.droppedPacketsIn, packets, bytes);
  addAt(totals, fromSlot, ServerTotal.droppedPacketsOut, packets, bytes);
}

/**
 * Adds what a flow has carried to the totals of its servers.
 *
 * @param sign -1 takes it off instead: a flow that has changed its servers
 * @param counted the walk that is under way has counted this flow already
 */
export function retire(
  totals: Float64Array,
  cold: Int32Array,
  coldRecord: number,
  sign: number,
  counted: boolean,
): void {
  const servers = cold[coldRecord + Cold.servers]!;
  for (let direction = 0; direction < 2; direction++) {
    const packets = sign * flowPackets(cold, coldRecord, direction);
    const bytes = sign * flowBytes(cold, coldRecord, direction);
    addPassed(totals, servers, direction, packets, bytes, counted);
  }
}
