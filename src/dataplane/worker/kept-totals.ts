/**
 * Totals of servers across processes. They lie in the flow file, and each has a digest of its server's name: every process gives its
 * servers slots anew.
 *
 * What a killed process leaves lacks at most what it was about to add. A record that counting could not have made is refused, and
 * its server begins anew. A process that ends by itself seals its records with a sum: what is counted with every flow has no sum of
 * its own, which a kill between the two would make wrong.
 */
import { createHash } from 'node:crypto';
import {
  ServerTotal,
  serverSlotCount,
  serverTotalShift,
  serverTotalsLength,
} from '../flow/server-totals.ts';
import { sumOf } from '../../system/word-sum.ts';

const identityBytes = 16;
const recordBytes = serverTotalsLength(1);
/** Doubles that go on. */
const carried: number = ServerTotal.counted;

/** The slots of the process before, and what became of its totals. */
export interface TotalsBefore {
  /** By its slots: the slot that the same server has now; 0: it is not there any more. */
  readonly slotNow: Uint16Array;
  /** Servers whose totals were damaged. */
  readonly refused: number;
}

/** What is put into the record of a server: not its name, which may be longer than a record. */
export function identityOf(name: string): Uint8Array {
  return createHash('sha256').update(name).digest().subarray(0, identityBytes);
}

/**
 * Adds what earlier processes counted for the servers that are still there.
 *
 * @param before records of the last process, of which some may be missing
 * @param totals of this process: each slot that has a server has its identity
 */
export function takeOverTotals(before: SharedArrayBuffer, totals: SharedArrayBuffer): TotalsBefore {
  const slots = Math.min(serverSlotCount, Math.floor(before.byteLength / recordBytes));
  const slotNow = new Uint16Array(slots);
  const wanted = new Map<string, number>();
  // Slots are given in their order.
  for (let slot = 1; slot < serverSlotCount; slot++) {
    const identity = identityAt(totals, slot);
    if (identity === nobody) break;
    wanted.set(identity, slot);
  }
  const now = new Float64Array(totals, 0, totals.byteLength >> 3);
  let refused = 0;
  for (let slot = 1; slot < slots; slot++) {
    const identity = identityAt(before, slot);
    const found = wanted.get(identity);
    if (found === undefined) continue;
    // Only one can be it.
    wanted.delete(identity);
    slotNow[slot] = found;
    const record = new Float64Array(before, slot * recordBytes, carried);
    if (record.every(isSound) && isWhole(before, slot)) now.set(record, found << serverTotalShift);
    else refused++;
  }
  return { slotNow, refused };
}

/** Writes the sums of the slots below `end`. Nobody counts any more. */
export function sealTotals(totals: SharedArrayBuffer, end: number): void {
  const words = new Float64Array(totals, 0, end << serverTotalShift);
  for (let slot = 1; slot < end; slot++) {
    words[(slot << serverTotalShift) + ServerTotal.sum] = sumAt(totals, slot);
  }
}

function isWhole(totals: SharedArrayBuffer, slot: number): boolean {
  const at = slot * recordBytes + ServerTotal.sum * 8;
  const [sum] = new Float64Array(totals, at, 1);
  return sum === 0 || sum === sumAt(totals, slot);
}

/** Of what goes on and whose it is. Never 0. */
function sumAt(totals: SharedArrayBuffer, slot: number): number {
  const identityAt = slot * recordBytes + ServerTotal.identity * 8;
  const counts = sumOf(new Int32Array(totals, slot * recordBytes, carried * 2));
  return sumOf(new Int32Array(totals, identityAt, identityBytes / 4), counts) || 1;
}

const nobody = '\0'.repeat(identityBytes);

function identityAt(totals: SharedArrayBuffer, slot: number): string {
  const at = slot * recordBytes + ServerTotal.identity * 8;
  return Buffer.from(totals, at, identityBytes).toString('latin1');
}

/** What passed may be below 0: that of a flow which has come to the server with what it had carried. */
function isSound(count: number, word: number): boolean {
  return Number.isSafeInteger(count) && (count >= 0 || word < ServerTotal.droppedPacketsIn);
}
