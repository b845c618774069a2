/** Totals of servers over the end of the process: nothing counts twice, wherever that was. */
import { describe, expect, it } from 'vitest';
import { createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import { ServerTotal, serverTotalShift } from '../../../../src/dataplane/flow/server-totals.ts';
import {
  identityOf,
  sealTotals,
  takeOverTotals,
} from '../../../../src/dataplane/worker/kept-totals.ts';

/** Totals of servers in these slots; each value is a word of its record. */
function totalsOf(servers: Record<number, [name: string, ...words: number[]]>): SharedArrayBuffer {
  const { serverTotals } = createFlowMemory(1, [1, 2]);
  const words = new Float64Array(serverTotals, 0, serverTotals.byteLength >> 3);
  for (const [slot, [name, ...counts]] of Object.entries(servers)) {
    const at = Number(slot) << serverTotalShift;
    words.set(counts, at);
    const place = (at + ServerTotal.identity) * 8;
    new Uint8Array(serverTotals, place, 16).set(identityOf(name));
  }
  return serverTotals;
}

const recordOf = (totals: SharedArrayBuffer, slot: number): number[] => [
  ...new Float64Array(totals, (slot << serverTotalShift) * 8, ServerTotal.identity),
];

const counts = [1, 2, 3, 4, 5, 6, 7, 8];

describe('totals of the process before', () => {
  it('go to the servers of the same names, whatever their slots', () => {
    const before = totalsOf({ 1: ['web', ...counts], 2: ['gone', ...counts], 3: ['db', 9] });
    const totals = totalsOf({ 1: ['new'], 2: ['db'], 3: ['web'] });
    const { slotNow, refused } = takeOverTotals(before, totals);
    expect([...slotNow.subarray(0, 5)]).toEqual([0, 3, 0, 2, 0]);
    expect(refused).toBe(0);
    expect(recordOf(totals, 1)).toEqual(Array(12).fill(0));
    expect(recordOf(totals, 2)).toEqual([9, ...Array<number>(11).fill(0)]);
    expect(recordOf(totals, 3)).toEqual([...counts, 0, 0, 0, 0]);
  });

  it('come without what a walk had counted of them', () => {
    const before = totalsOf({ 1: ['web', ...counts, 1, 1, 1, 1] });
    const totals = totalsOf({ 1: ['web'] });
    takeOverTotals(before, totals);
    expect(recordOf(totals, 1)).toEqual([...counts, 0, 0, 0, 0]);
  });

  it.each([
    ['no number', [NaN]],
    ['more than can be counted', [2 ** 60]],
    ['a part of a packet', [0.5]],
    ['fewer than none dropped', [0, 0, 0, 0, -1]],
  ])('that are damaged, %s, begin anew', (_what, words) => {
    const before = totalsOf({ 1: ['web', ...words], 2: ['db', 5] });
    const totals = totalsOf({ 1: ['db'], 2: ['web'] });
    const { slotNow, refused } = takeOverTotals(before, totals);
    expect(refused).toBe(1);
    // Its flows are its own still.
    expect([...slotNow.subarray(0, 3)]).toEqual([0, 2, 1]);
    expect(recordOf(totals, 1)[0]).toBe(5);
    expect(recordOf(totals, 2)).toEqual(Array(12).fill(0));
  });

  it('that were sealed are whole, or begin anew: whichever bit has changed', () => {
    const before = totalsOf({ 1: ['web', ...counts], 2: ['db', 5] }).slice(0, 3 * 128);
    sealTotals(before, 3);
    const taken = (): number[] => {
      const totals = totalsOf({ 1: ['web'], 2: ['db'] });
      const { refused } = takeOverTotals(before, totals);
      expect(recordOf(totals, 2)[0]).toBe(5);
      return [refused, ...recordOf(totals, 1)];
    };
    expect(taken()).toEqual([0, ...counts, 0, 0, 0, 0]);
    const bytes = new Uint8Array(before, 128, counts.length * 8);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(taken(), `bit ${bit}`).toEqual([1, ...Array<number>(12).fill(0)]);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  it('what passed may be less than nothing: the rest is in a flow', () => {
    const before = totalsOf({ 1: ['web', -7] });
    const totals = totalsOf({ 1: ['web'] });
    expect(takeOverTotals(before, totals).refused).toBe(0);
    expect(recordOf(totals, 1)[0]).toBe(-7);
  });

  it('one server is in one slot: a second record of it is not believed', () => {
    const before = totalsOf({ 1: ['web', 5], 2: ['web', 6] });
    const totals = totalsOf({ 1: ['web'] });
    expect([...takeOverTotals(before, totals).slotNow.subarray(0, 3)]).toEqual([0, 1, 0]);
    expect(recordOf(totals, 1)[0]).toBe(5);
  });

  it('of a version that kept none: there are none', () => {
    const totals = totalsOf({ 1: ['web'] });
    expect(takeOverTotals(new SharedArrayBuffer(0), totals)).toEqual({
      slotNow: new Uint16Array(0),
      refused: 0,
    });
  });
});
