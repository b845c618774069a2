/** Slots of servers: one name one number, for as long as there are numbers. */
import { describe, expect, it } from 'vitest';
import { ServerSlots } from '../../../src/policy/server-slots.ts';

describe('the slot of a server', () => {
  it('stays with its name, whoever comes and goes', () => {
    const slots = new ServerSlots();
    expect(slots.assign(['a', 'b', 'c'])).toEqual([1, 2, 3]);
    expect(slots.assign(['c', 'a'])).toEqual([3, 1]);
    expect(slots.assign(['d', 'b', 'a'])).toEqual([4, 2, 1]);
    expect([1, 2, 3, 4, 0, 5].map((slot) => slots.nameOf(slot))).toEqual([
      'a',
      'b',
      'c',
      'd',
      undefined,
      undefined,
    ]);
    expect([slots.slotOf('c'), slots.slotOf('x'), slots.end]).toEqual([3, 0, 5]);
  });

  it('goes to another one when there are no more, of the server that is gone for longest', () => {
    const taken: string[] = [];
    const slots = new ServerSlots((slot, name) => taken.push(`${slot} ${name}`), 4);
    slots.assign(['a', 'b', 'c']);
    slots.assign(['a', 'c']);
    slots.assign(['c']);
    // One that has come back in between is not gone.
    slots.assign(['b', 'c']);
    slots.assign(['c']);
    expect(slots.assign(['c', 'd'])).toEqual([3, 1]);
    expect(taken).toEqual(['1 a', '2 b', '3 c', '1 d']);
    expect([slots.nameOf(1), slots.slotOf('a'), slots.end]).toEqual(['d', 0, 4]);
    expect(slots.assign(['c', 'd', 'e', 'f'])).toEqual([3, 1, 2, 0]);
    expect(taken.slice(4)).toEqual(['2 e']);
  });
});
