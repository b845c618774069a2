/** Captured packets on their way: nothing torn, nothing in another order, what does not fit is counted; and several captures. */
import { Buffer } from 'node:buffer';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  CaptureControl,
  CaptureRingReader,
  CaptureRingWriter,
  captureControlWords,
  createCaptureRing,
} from '../../../../src/dataplane/engine/capture-ring.ts';
import { LiveCapture } from '../../../../src/dataplane/worker/live-capture.ts';
import type { CaptureFilter } from '../../../../src/dataplane/worker/live-capture.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { ipv4Packet, udpPacket, udpDatagram } from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';
import { seed } from '../../../support/seed.ts';

function ringFixture(byteLength: number) {
  const control = new SharedArrayBuffer(captureControlWords * 4);
  const words = new Int32Array(control);
  const ring = createCaptureRing(byteLength);
  let timeUs = 1_700_000_000_123_456;
  const writer = new CaptureRingWriter(control, ring, () => timeUs++);
  const reader = new CaptureRingReader(ring);
  words[CaptureControl.snapLength] = 65_535;
  words[CaptureControl.verdicts] = 3;
  return { words, writer, reader };
}

describe('the ring of captured packets', () => {
  it('carries all that a packet is made of, and cuts it off', () => {
    const { words, writer, reader } = ringFixture(4096);
    words[CaptureControl.snapLength] = 5;
    expect(writer.begin()).toBe(3);
    const vnet = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    writer.write(Uint8Array.of(0, 0, ...vnet, 1, 2, 3, 4, 5, 6, 7), 2, 7, 21, 2, 0x10002);
    const { bytes, ...record } = reader.take()!;
    expect([...bytes]).toEqual([1, 2, 3, 4, 5]);
    expect(record).toEqual({
      timeUs: 1_700_000_000_123_456,
      originalLength: 7,
      reason: 21,
      direction: 2,
      servers: 0x10002,
      isChecksumWhole: false,
    });
    expect(reader.take()).toBeUndefined();
  });

  it('is not written to while nothing is captured, nor with packets of other servers', () => {
    const { words, writer, reader } = ringFixture(4096);
    words[CaptureControl.verdicts] = 0;
    expect(writer.begin()).toBe(0);
    words[CaptureControl.verdicts] = 1;
    words[CaptureControl.server] = 2;
    expect(writer.begin()).toBe(1);
    for (const servers of [0, 1, 2, 0x20000, 0x30001]) {
      writer.write(new Uint8Array(14), 0, 4, 1, 0, servers);
    }
    const taken = [reader.take()!.servers, reader.take()!.servers];
    expect([taken, reader.take()]).toEqual([[2, 0x20000], undefined]);
  });

  it('delivers in order, whole, and counts what it had no room for, however both alternate', () => {
    const step = fc.record({
      lengths: fc.array(fc.nat(400), { maxLength: 12 }),
      takes: fc.nat(12),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { writer, reader } = ringFixture(2048);
        writer.begin();
        const waiting: number[] = [];
        let mark = 0;
        const take = (): void => {
          const record = reader.take();
          expect(record?.reason).toBe(waiting.shift());
          if (record === undefined) return;
          expect(record.bytes.every((byte) => byte === (record.reason & 0xff))).toBe(true);
          expect(record.bytes.length).toBe(record.originalLength);
        };
        for (const { lengths, takes } of steps) {
          for (const length of lengths) {
            mark++;
            writer.write(new Uint8Array(10 + length).fill(mark), 0, length, mark, 0, 0);
            const lost = reader.takeLost();
            // Three of them fit, whatever has to be skipped at the end.
            expect(lost).toBeLessThanOrEqual(waiting.length > 2 ? 1 : 0);
            if (lost === 0) waiting.push(mark);
          }
          for (let i = 0; i < takes; i++) take();
        }
        while (waiting.length > 0) take();
        expect(reader.take()).toBeUndefined();
      }),
      { seed },
    );
  });
});

const client = '198.51.100.2';
const [web, db] = ['10.0.0.2', '10.0.0.3'] as const;

const policy = policyOf({ dns: { inbound: [{ protocol: 'udp', ports: [53] }], outbound: [] } }, [
  { name: 'web', addresses: [web], templates: ['dns'] },
  { name: 'db', addresses: [db], templates: ['dns'] },
]);

describe('live captures', () => {
  const running: LiveCapture[] = [];
  afterEach(() => {
    for (const capture of running.splice(0)) capture.stop();
  });

  /** Two packet threads. */
  function fixture(ringLength = 65_536) {
    const capture = new LiveCapture();
    running.push(capture);
    let timeUs = 5000;
    const first = new EngineFixture({ policy });
    const engines = [0, 1].map(() => {
      const ring = createCaptureRing(ringLength);
      capture.addRing(ring);
      const writer = new CaptureRingWriter(capture.control, ring, () => ++timeUs);
      return new EngineFixture({ policy, capture: writer }, first);
    });
    const start = (filter: Partial<CaptureFilter> = {}) => {
      const got: { packet: string; reason: number; direction: number; at: number }[] = [];
      const lost = { count: 0 };
      const stop = capture.start(
        { passed: true, dropped: true, ...filter },
        {
          onPacket: ({ bytes, reason, direction, timeUs: at }) =>
            got.push({ packet: Buffer.from(bytes).toString('hex'), reason, direction, at }),
          onBatch: () => undefined,
          onLost: (count) => (lost.count += count),
        },
      );
      return { got, lost, stop };
    };
    return { capture, engines: engines as [EngineFixture, EngineFixture], start };
  }
  const hex = (packet: Uint8Array): string => Buffer.from(packet).toString('hex');
  const query = udpPacket(client, web, 4000, 53);
  const answer = udpPacket(web, client, 53, 4000);
  const probe = udpPacket(client, db, 4000, 54);

  it('get what all packet threads judge, in the order of time, with verdict and direction', () => {
    const { engines, start } = fixture();
    engines[0].forward(query);
    const { got, stop } = start();
    engines[0].forward(query, probe);
    engines[1].forward(answer);
    engines[0].forward(query);
    stop();
    engines[0].forward(query);
    expect(got).toEqual([
      { packet: hex(query), reason: 0, direction: 1, at: 5001 },
      { packet: hex(probe), reason: 21, direction: 1, at: 5001 },
      { packet: hex(answer), reason: 0, direction: 2, at: 5002 },
      { packet: hex(query), reason: 0, direction: 1, at: 5003 },
    ]);
  });

  it('each get their own, of what is written once', () => {
    const { engines, start } = fixture();
    const dropped = start({ passed: false });
    const ofWeb = start({ server: 1 });
    const short = start({ dropped: false, snapLength: 20 });
    const ofNobody = start({ server: -1 });
    engines[0].forward(query, answer, probe);
    ofWeb.stop();
    engines[1].forward(query, probe);
    for (const { stop } of [dropped, short, ofNobody]) stop();
    expect(dropped.got.map(({ packet }) => packet)).toEqual([hex(probe), hex(probe)]);
    expect(ofWeb.got.map(({ packet }) => packet)).toEqual([hex(query), hex(answer)]);
    expect(short.got.map(({ packet }) => packet.length)).toEqual([40, 40, 40]);
    expect(ofNobody.got).toEqual([]);
  });

  it('get the fragments of a datagram when they leave, or the one that it fails with', () => {
    const { engines, start } = fixture();
    const parts = (port: number): Uint8Array[] => {
      const datagram = udpDatagram(client, web, 4000, port, new Uint8Array(1000));
      return [0, 504].map((from) =>
        ipv4Packet({
          src: client,
          dst: web,
          protocol: 17,
          identification: port,
          fragmentOffset: from,
          moreFragments: from === 0,
          payload: datagram.slice(from, from === 0 ? 504 : undefined),
        }),
      );
    };
    const { got, stop } = start();
    const [allowed, forbidden] = [parts(53), parts(54)];
    engines[0].forward(allowed[0]!);
    engines[1].forward(allowed[1]!);
    engines[0].forward(...forbidden);
    stop();
    expect(got.map(({ packet, reason }) => [packet, reason])).toEqual([
      [hex(allowed[0]!), 0],
      [hex(allowed[1]!), 0],
      [hex(forbidden[1]!), 21],
    ]);
  });

  it('count what was lost, and begin with nothing of the one before', () => {
    const { engines, start } = fixture(4096);
    const one = start();
    for (let i = 0; i < 100; i++) engines[0].forward(query);
    one.stop();
    expect(one.got.length).toBeGreaterThan(10);
    expect(one.got.length + one.lost.count).toBe(100);
    const two = start();
    two.stop();
    expect([two.got, two.lost.count]).toEqual([[], 0]);
  });

  it('end only once', () => {
    const { engines, start } = fixture();
    const one = start();
    const two = start();
    one.stop();
    one.stop();
    engines[0].forward(query);
    two.stop();
    expect([one.got.length, two.got.length]).toEqual([0, 1]);
  });
});
