/** What servers have sent and received, added up at one go: the naive twin of a walk in pieces. */
import type { FlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import { Cold, Hot, StateBits, coldWords, hotShift } from '../../src/dataplane/flow/flow-record.ts';

/** Packets and bytes that passed, then those that were dropped; of both the ones to the server first. */
export type Totals = [number, number, number, number, ...number[]];

/** By server slot; 0 is no server and must have none. */
export function naiveServerTotals(memory: FlowMemory): Map<number, Totals> {
  const hot = new Int32Array(memory.hot);
  const cold = new Int32Array(memory.cold);
  const records = new Float64Array(memory.serverTotals);
  const totals = new Map<number, Totals>();
  const of = (slot: number): Totals => {
    const known = totals.get(slot) ?? [0, 0, 0, 0, 0, 0, 0, 0];
    totals.set(slot, known);
    return known;
  };
  for (let slot = 0; slot < 8; slot++) {
    const record = records.subarray(slot * 16, slot * 16 + 8);
    if (record.some((value) => value !== 0)) record.forEach((value, i) => (of(slot)[i]! += value));
  }
  for (let flow = 1; flow <= memory.capacity; flow++) {
    if ((hot[(flow << hotShift) + Hot.state]! & StateBits.inUse) === 0) continue;
    const record = flow * coldWords;
    const high = cold[record + Cold.bytesHigh]!;
    const packets = [cold[record + Cold.packets]! >>> 0, cold[record + Cold.packets + 1]! >>> 0];
    const bytes = [
      (cold[record + Cold.bytes]! >>> 0) + (high & 0xffff) * 2 ** 32,
      (cold[record + Cold.bytes + 1]! >>> 0) + (high >>> 16) * 2 ** 32,
    ];
    const servers = cold[record + Cold.servers]!;
    const add = (slot: number, inwards: number): void => {
      if (slot === 0) return;
      of(slot)[0] += packets[inwards]!;
      of(slot)[1] += packets[inwards ^ 1]!;
      of(slot)[2] += bytes[inwards]!;
      of(slot)[3] += bytes[inwards ^ 1]!;
    };
    add(servers & 0xffff, 0);
    add(servers >>> 16, 1);
  }
  return totals;
}
