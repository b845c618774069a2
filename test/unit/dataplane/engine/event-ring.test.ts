/** The ring of drop records: what the reader gets is what was written, in order, and what it missed is counted. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EventRingReader,
  EventRingWriter,
  EventWord,
  createEventRing,
} from '../../../../src/dataplane/engine/event-ring.ts';
import { Packet } from '../../../../src/dataplane/wire/packet.ts';
import { seed } from '../../../support/seed.ts';

const size = 8;

function fixture(): { write: (mark: number) => void; reader: EventRingReader } {
  const ring = createEventRing(size);
  const writer = new EventRingWriter(ring);
  const packet = new Packet();
  return {
    write: (mark) => writer.write(mark, packet, 0, 1, 0, mark),
    reader: new EventRingReader(ring),
  };
}

describe('the ring of drop records', () => {
  it('carries all that a drop is made of', () => {
    const ring = createEventRing(size);
    const packet = new Packet();
    packet.srcAddr = 1;
    packet.dstAddr = -2;
    packet.srcPort = 65_535;
    packet.dstPort = 22;
    packet.protocol = 6;
    packet.tcpFlags = 18;
    packet.totalLength = 1500;
    new EventRingWriter(ring).write(5, packet, 2, 7, 0x30004, -4);
    const reader = new EventRingReader(ring);
    expect(reader.read()).toBe(true);
    const words = reader.record;
    expect([
      words[EventWord.reason],
      words[EventWord.srcAddr],
      words[EventWord.dstAddr],
      words[EventWord.ports]! >>> 16,
      words[EventWord.ports]! & 0xffff,
      words[EventWord.protocol],
      words[EventWord.length],
      words[EventWord.detail],
      words[EventWord.direction],
      words[EventWord.epoch],
      words[EventWord.timeMs],
    ]).toEqual([5, 1, -2, 65_535, 22, 6, 1500, 18, 2, 7, -4]);
    expect(reader.read()).toBe(false);
  });

  it('delivers in order and counts what it had to skip, however writing and reading alternate', () => {
    const step = fc.record({ writes: fc.nat(20), reads: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const { write, reader } = fixture();
        let written = 0;
        let last = 0;
        let delivered = 0;
        const take = (): boolean => {
          if (!reader.read()) return false;
          const mark = reader.record[EventWord.reason]!;
          expect(mark).toBeGreaterThan(last);
          last = mark;
          delivered++;
          return true;
        };
        for (const { writes, reads } of steps) {
          for (let i = 0; i < writes; i++) write(++written);
          for (let i = 0; i < reads && take(); i++);
        }
        while (take());
        expect(last).toBe(written);
        expect(delivered + reader.missed).toBe(written);
      }),
      { seed },
    );
  });

  it('misses exactly what was overwritten', () => {
    const { write, reader } = fixture();
    for (let mark = 1; mark <= 100; mark++) write(mark);
    const marks: number[] = [];
    while (reader.read()) marks.push(reader.record[EventWord.reason]!);
    expect(marks.length + reader.missed).toBe(100);
    expect(marks).toEqual([94, 95, 96, 97, 98, 99, 100]);
  });
});
