/**
 * What the protected servers have sent and received, by server slot: one record for each slot, in memory that all
 * packet threads share. Written under the engine's lock.
 *
 * A packet of a flow is counted in the flow's record only, which it touches anyway; when a flow is removed, its
 * counts are added here (`retire`). A server's total is therefore the sum of its record and its live flows, and
 * reading it takes a walk over the flow table. The walk proceeds in pieces, and flows may be removed in between: a
 * flow that was counted already and is removed then would count twice. So the walk publishes how far it has got
 * (Control.countedBelow); the counts of removed flows that it has passed are also summed as `counted`, and subtracted
 * again. Thus a total never decreases, whenever it is read.
 *
 * The next process finds these records as this one leaves them, even killed. So what is counted here is first taken from where it
 * was: a packet may be lost for a total, but never counts twice.
 *
 * Slots are small numbers that the control plane assigns to server names, never to two at the same time
 * (policy/server-slots.ts). Slot 0 is no server: for addresses of no server, and for servers beyond the last slot.
 */
import { flowBytes, flowPackets } from './flow-record.ts';

/** Number of slots, slot 0 included: a flow record has 16 bits for each end. */
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
  /** The part of the first four that came from flows which the walk had already counted; in the same order. */
  counted: 8,
  /** 16 bytes that name the server, for the next process (worker/kept-totals.ts). */
  identity: 12,
  /** A sum of the record, once nobody counts here any more; 0: somebody does, or was killed (likewise). */
  sum: 14,
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
 * @param counted they were in the flow's record when the current walk passed it
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

/** @param slot may be 0, @param word where the packets are counted; the bytes are two words later */
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

/** Adds packets that were dropped on their way from one server slot to another; either may be 0. */
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
 * Adds a flow's counts to the totals of its servers.
 *
 * @param sign -1 subtracts them instead: a flow that comes to other servers
 * @param counted the current walk has already counted this flow
 */
export function retire(
  totals: Float64Array,
  cold: Int32Array,
  coldRecord: number,
  servers: number,
  sign: number,
  counted: boolean,
): void {
  if (servers === 0) return;
  for (let direction = 0; direction < 2; direction++) {
    const packets = sign * flowPackets(cold, coldRecord, direction);
    const bytes = sign * flowBytes(cold, coldRecord, direction);
    addPassed(totals, servers, direction, packets, bytes, counted);
  }
}
