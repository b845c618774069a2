/** Reject instead of drop: what is answered, with which bytes, and what is never answered. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AnswerKind,
  AnswerOutcome,
  Counter,
  answerIndex,
} from '../../../../src/dataplane/engine/counters.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { Cold, coldWords, hotShift } from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../../../src/dataplane/flow/flow-record.ts';
import { flowTag } from '../../../../src/dataplane/worker/flow-inspector.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { naiveProhibited, naiveReset } from '../../../support/naive-answer.ts';
import { observe } from '../../../support/observed.ts';
import {
  icmpMessage,
  icmpQuery,
  internetChecksum,
  ipv4Packet,
  tcpPacket,
  tcpSegment,
  udpPacket,
  udpDatagram,
} from '../../../../src/testing/packets.ts';
import type { TcpFields } from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';
import type { PlainServer } from '../../../support/policies.ts';
import { seed } from '../../../support/seed.ts';

const client = '198.51.100.2';
const web = '10.0.0.2';
const db = '10.0.1.2';

const templates = {
  web: { inbound: [{ protocol: 'tcp' as const, ports: [80] }], outbound: [] },
};

interface Settings {
  web?: PlainServer['reject'];
  db?: PlainServer['reject'];
  gateway?: Partial<Parameters<typeof policyOf>[3] & object>;
}

function policy(settings: Settings = {}, epoch = 1, ports: number[] = [80]) {
  return policyOf(
    { web: { ...templates.web, inbound: [{ protocol: 'tcp', ports }] } },
    [
      {
        ...{ name: 'web', addresses: [web], templates: ['web'] },
        ...(settings.web && { reject: settings.web }),
      },
      { name: 'db', addresses: [db], templates: [], ...(settings.db && { reject: settings.db }) },
    ],
    epoch,
    settings.gateway,
  );
}

const both = { gateway: { inbound: true, outbound: true } };
const fixture = (settings: Settings = both) => new EngineFixture({ policy: policy(settings) });

const syn = (dstPort: number, fields: Partial<TcpFields> = {}): Uint8Array =>
  tcpPacket(client, web, { srcPort: 4000, dstPort, flags: 'S', seq: 1000, ...fields });

const broken = (packet: Uint8Array, at: number): Uint8Array => {
  const bytes = packet.slice();
  bytes[at]! ^= 0xff;
  return bytes;
};

/** A packet from another source. The header's checksum is right again. */
const from = (src: number[], packet: Uint8Array, dst?: number[]): Uint8Array => {
  const bytes = packet.slice();
  bytes.set(src, 12);
  if (dst !== undefined) bytes.set(dst, 16);
  bytes.set([0, 0], 10);
  new DataView(bytes.buffer).setUint16(10, internetChecksum(bytes.subarray(0, 20)));
  return bytes;
};

const datagram = (payload?: Uint8Array) => udpPacket(client, web, 1, 2, payload);
const quote = udpPacket(web, client, 53, 1000).subarray(0, 28);
const error = (type: number, code: number): Uint8Array =>
  ipv4Packet({ src: client, dst: web, protocol: 1, payload: icmpMessage(type, code, 0, quote) });

describe('a packet for which a rule is missing', () => {
  const rows: [string, Uint8Array, (packet: Uint8Array) => Uint8Array][] = [
    ['a SYN', syn(22), naiveReset],
    ['a SYN with data', syn(22, { payload: new Uint8Array(7) }), naiveReset],
    ['a SYN whose numbers wrap', syn(22, { seq: 0xffffffff }), naiveReset],
    ['a datagram', udpPacket(client, web, 4000, 53), naiveProhibited],
    ['an empty datagram', udpPacket(client, web, 4000, 53, new Uint8Array()), naiveProhibited],
    ['a datagram of odd length', datagram(Uint8Array.of(1, 2, 3)), naiveProhibited],
    ['a large datagram', datagram(new Uint8Array(1401)), naiveProhibited],
    ['an echo request', icmpQuery(client, web, 8, 7), naiveProhibited],
    [
      'a SYN that goes out',
      tcpPacket(web, client, { srcPort: 1, dstPort: 25, flags: 'S' }),
      naiveReset,
    ],
    ['a datagram that goes out', udpPacket(web, client, 4000, 123), naiveProhibited],
    ['a packet between servers', udpPacket(web, db, 1, 2), naiveProhibited],
  ];
  it.each(rows)('is answered: %s', (_name, packet, twin) => {
    const f = fixture();
    expect(f.forward(packet)).toEqual([twin(packet)]);
  });

  it('is answered with its own options and type of service quoted', () => {
    const payload = udpDatagram(client, web, 1, 2, new Uint8Array(9));
    const packet = ipv4Packet({
      ...{ src: client, dst: web, protocol: 17, payload },
      options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0),
    });
    packet[1] = 0xff;
    const marked = from([198, 51, 100, 2], packet);
    marked.set([0, 0], 10);
    new DataView(marked.buffer).setUint16(10, internetChecksum(marked.subarray(0, 28)));
    expect(fixture().forward(marked)).toEqual([naiveProhibited(marked)]);
  });

  it('stays a drop in every count', () => {
    const [answering, silent] = [fixture(), fixture({})];
    const packets = [syn(22), datagram(), icmpQuery(client, web, 8, 7)];
    expect(answering.forward(...packets)).toHaveLength(3);
    expect(silent.forward(...packets)).toHaveLength(0);
    const counts = (f: EngineFixture) => [...f.counters.subarray(0, Counter.answers)];
    expect(counts(answering)).toEqual(counts(silent));
    expect(answering.counter(Counter.drops + DropReason.noInboundRule)).toBe(3);
    expect(answering.counter(answerIndex(AnswerKind.rst, AnswerOutcome.sent))).toBe(1);
    expect(answering.counter(answerIndex(AnswerKind.icmp, AnswerOutcome.sent))).toBe(2);
  });

  it('is answered by the setting of its server and direction', () => {
    const inwards = syn(22);
    const outwards = tcpPacket(web, client, { srcPort: 1, dstPort: 25, flags: 'S' });
    const toDb = tcpPacket(client, db, { srcPort: 1, dstPort: 25, flags: 'S' });
    const answered = (settings: Settings) =>
      [inwards, outwards, toDb].map((each) => fixture(settings).forward(each).length);
    expect(answered({})).toEqual([0, 0, 0]);
    expect(answered({ gateway: { inbound: true } })).toEqual([1, 0, 1]);
    expect(answered({ web: { outbound: true } })).toEqual([0, 1, 0]);
    expect(answered({ gateway: { inbound: true }, web: { inbound: false } })).toEqual([0, 0, 1]);
    expect(answered({ gateway: { inbound: true }, web: { outbound: true } })).toEqual([1, 1, 1]);
    expect(answered({ db: { inbound: true, outbound: false } })).toEqual([0, 0, 1]);
  });

  it('has the setting of a new policy from the next batch on', () => {
    const f = fixture({});
    expect(f.forward(syn(22))).toHaveLength(0);
    f.engine.setPolicy(policy(both, 2), ReloadMode.cut, 0);
    expect(f.forward(syn(22))).toHaveLength(1);
    f.engine.setPolicy(policy({}, 3), ReloadMode.cut, 0);
    expect(f.forward(syn(22))).toHaveLength(0);
  });

  it('is not answered by an engine without memory for it', () => {
    const f = fixture();
    const { flows, fragments } = f.memory;
    const without = new EngineFixture({ policy: policy(both) }, { memory: { flows, fragments } });
    expect(without.forward(syn(22))).toHaveLength(0);
  });
});

describe('is never answered', () => {
  const rows: [string, Uint8Array][] = [
    ['an RST', syn(22, { flags: 'R' })],
    ['an RST with ACK', syn(22, { flags: 'RA', ack: 1 })],
    ['a segment in mid-stream', syn(22, { flags: 'A', ack: 1 })],
    ['a SYN+ACK', syn(22, { flags: 'SA', ack: 1 })],
    ['destination unreachable', error(3, 13)],
    ['time exceeded', error(11, 0)],
    ['parameter problem', error(12, 0)],
    ['source quench', error(4, 0)],
    ['a redirect', error(5, 1)],
    ['an echo reply', icmpQuery(client, web, 0, 7)],
    ['an unknown ICMP type', error(42, 0)],
    ['a packet to a multicast address', from([198, 51, 100, 2], datagram(), [224, 0, 0, 1])],
    [
      'a packet to the broadcast address',
      from([198, 51, 100, 2], datagram(), [255, 255, 255, 255]),
    ],
    ['a packet from 0.0.0.0', from([0, 0, 0, 0], datagram())],
    ['a packet from a loopback address', from([127, 0, 0, 1], datagram())],
    ['a packet from a multicast address', from([224, 0, 0, 5], datagram())],
    ['a packet from the broadcast address', from([255, 255, 255, 255], datagram())],
    ['a packet from 240/4', from([240, 0, 0, 1], datagram())],
    ['a LAND packet', from([10, 0, 0, 2], datagram())],
    ['a SYN with a bad checksum', broken(syn(22), 36)],
    ['a datagram with a bad checksum', broken(datagram(), 26)],
    ['an echo request with a bad checksum', broken(icmpQuery(client, web, 8, 7), 22)],
    ['a packet with a bad header checksum', broken(datagram(), 10)],
    [
      'another protocol',
      ipv4Packet({ src: client, dst: web, protocol: 47, payload: new Uint8Array(20) }),
    ],
    ['a packet between two strangers', udpPacket(client, '203.0.113.5', 1, 2)],
  ];
  it.each(rows)('%s', (_name, packet) => {
    const f = fixture();
    expect(f.forward(packet)).toEqual([]);
    expect([...f.counters.subarray(Counter.answers)].every((count) => count === 0)).toBe(true);
  });
});

describe('a datagram in fragments', () => {
  const whole = udpDatagram(client, web, 4000, 53, new Uint8Array(2992));
  const fragment = (fragmentOffset: number, end: number): Uint8Array =>
    ipv4Packet({
      ...{ src: client, dst: web, protocol: 17, identification: 7 },
      ...{ fragmentOffset, moreFragments: end < whole.length },
      payload: whole.subarray(fragmentOffset, end),
    });
  const [first, middle, last] = [fragment(0, 1400), fragment(1400, 2800), fragment(2800, 3000)];

  it.each([
    ['in order', [first, middle, last]],
    ['the first one last', [last, middle, first]],
    ['the first one second', [middle, first, last]],
  ])('is answered once, with the first one quoted: %s', (_name, order) => {
    const f = fixture();
    expect(order.flatMap((each) => f.forward(each))).toEqual([naiveProhibited(first)]);
    expect(f.counter(Counter.drops + DropReason.noInboundRule)).toBe(3);
  });

  it('of TCP gets an RST', () => {
    const segment = tcpSegment(client, web, {
      ...{ srcPort: 4000, dstPort: 22, flags: 'S', seq: 5 },
      payload: new Uint8Array(100),
    });
    const part = (fragmentOffset: number, end: number): Uint8Array =>
      ipv4Packet({
        ...{ src: client, dst: web, protocol: 6, fragmentOffset },
        moreFragments: end < segment.length,
        payload: segment.subarray(fragmentOffset, end),
      });
    const wholeSegment = ipv4Packet({ src: client, dst: web, protocol: 6, payload: segment });
    const f = fixture();
    expect(f.forward(part(0, 64), part(64, 120))).toEqual([naiveReset(wholeSegment)]);
  });

  it('that never becomes complete is not answered', () => {
    const f = fixture();
    expect(f.forward(first, last)).toEqual([]);
    f.nowMs += 60_000;
    f.engine.tick(f.nowMs);
    expect(f.forward()).toEqual([]);
  });
});

it('a super-packet is answered once', () => {
  const packet = udpPacket(client, web, 4000, 53, new Uint8Array(30_000));
  const f = fixture();
  const sent = f.forward({ bytes: packet, vnetFlags: 1, gsoType: 5 });
  expect(sent).toEqual([naiveProhibited(packet)]);
  const { batch } = f;
  const at = batch.offsets[1]!;
  expect([...batch.bytes.subarray(at, at + 10)]).toEqual(new Array(10).fill(0));
});

describe('a connection that is cut', () => {
  /** The client has sent up to 1001 + 100, the server up to 5001 + 50. */
  const open = (f: EngineFixture): void => {
    const there = (fields: Partial<TcpFields>): Uint8Array =>
      syn(80, { flags: 'A', seq: 1001, ack: 5001, ...fields });
    const reply = (fields: Partial<TcpFields>): Uint8Array =>
      tcpPacket(web, client, {
        ...{ srcPort: 80, dstPort: 4000, flags: 'A', seq: 5001, ack: 1101 },
        ...fields,
      });
    const packets = [
      syn(80),
      reply({ flags: 'SA', seq: 5000, ack: 1001 }),
      there({}),
      there({ flags: 'PA', payload: new Uint8Array(100) }),
      reply({ flags: 'PA', payload: new Uint8Array(50) }),
    ];
    expect(f.forward(...packets)).toHaveLength(5);
  };
  const data = syn(80, { flags: 'PA', seq: 1101, ack: 5051, payload: new Uint8Array(10) });
  const toServer = tcpPacket(client, web, {
    ...{ srcPort: 4000, dstPort: 80, flags: 'RA', seq: 1101, ack: 5051, win: 0 },
  });
  const toClient = tcpPacket(web, client, {
    ...{ srcPort: 80, dstPort: 4000, flags: 'RA', seq: 5051, ack: 1101, win: 0 },
  });
  const fields = (packet: Uint8Array): Uint8Array =>
    Uint8Array.of(...packet.subarray(12, 34), ...packet.subarray(34, 36));
  const resets = [toClient, toServer].map(fields);
  const forbidding = (settings: Settings = both) => policy(settings, 2, [443]);

  it('by a packet: both ends get an RST of the exact sequence number', () => {
    const f = fixture();
    open(f);
    f.engine.setPolicy(forbidding(), ReloadMode.cut, 0);
    expect(f.forward(data).map(fields)).toEqual(resets);
    expect(f.counter(Counter.drops + DropReason.policyCut)).toBe(1);
  });

  it('in the background', () => {
    const f = fixture();
    open(f);
    f.engine.setPolicy(forbidding(), ReloadMode.cut, 0);
    f.batch.fill([]);
    f.engine.judge(0, f.nowMs);
    const slots = f.engine.tick(f.nowMs);
    expect(slots).toBe(2);
    expect([...f.batch.verdicts.subarray(0, 2)]).toEqual([1, 1]);
  });

  it('by an operator: with the next batch of a packet thread', () => {
    const f = fixture();
    open(f);
    const [flow] = [...f.check()] as FlowIndex[];
    const { hot, cold } = f.engine.table;
    const tag = flowTag(hot, flow! << hotShift, cold[flow! * coldWords + Cold.created]!);
    expect(observe(f).flows.kill(flow!, tag)).toBe(true);
    expect(f.forward().map(fields)).toEqual(resets);
    expect(f.forward()).toEqual([]);
  });

  it('is reset at the numbers that its ends expect, whatever they have sent', () => {
    const step = fc.record({ side: fc.nat(1), length: fc.nat(1400), acks: fc.boolean() });
    const isn = fc.nat(0xffffffff);
    fc.assert(
      fc.property(isn, isn, fc.array(step, { maxLength: 30 }), (clientIsn, serverIsn, steps) => {
        const f = fixture();
        const ends = [
          { from: client, to: web, srcPort: 4000, dstPort: 80, next: (clientIsn + 1) >>> 0 },
          { from: web, to: client, srcPort: 80, dstPort: 4000, next: (serverIsn + 1) >>> 0 },
        ];
        /** What each side has acknowledged of the other. */
        const acked = [ends[1]!.next, ends[0]!.next];
        const send = (side: number, flags: string, seq: number, length = 0): void => {
          const { from, to, srcPort, dstPort } = ends[side]!;
          const ack = flags === 'S' ? 0 : acked[side]!;
          const payload = new Uint8Array(length);
          const packet = tcpPacket(from, to, { srcPort, dstPort, flags, seq, ack, payload });
          expect(f.forward(packet)).toEqual([packet]);
        };
        send(0, 'S', clientIsn);
        send(1, 'SA', serverIsn);
        send(0, 'A', ends[0]!.next);
        for (const { side, length, acks } of steps) {
          const end = ends[side]!;
          if (acks) acked[side] = ends[side ^ 1]!.next;
          send(side, length > 0 ? 'PA' : 'A', end.next, length);
          end.next = (end.next + length) >>> 0;
        }
        f.engine.setPolicy(forbidding(), ReloadMode.cut, 0);
        f.engine.judge(0, f.nowMs);
        f.engine.tick(f.nowMs);
        const numbers = [0, 1].map((slot) => {
          const view = new DataView(f.batch.bytes.buffer, f.batch.offsets[slot]! + 30);
          return [view.getUint32(4), view.getUint32(8), view.getUint8(13)];
        });
        const [there, back] = [ends[0]!.next, ends[1]!.next];
        expect(numbers).toEqual([
          [back, there, 20],
          [there, back, 20],
        ]);
      }),
      { seed, numRuns: 60 },
    );
  });

  it('and whose ends go on is answered again: with the number that its sender expects', () => {
    const f = fixture();
    open(f);
    f.engine.setPolicy(forbidding(), ReloadMode.cut, 0);
    f.forward(data);
    expect(f.forward(data)).toEqual([naiveReset(data)]);
    const challenge = tcpPacket(web, client, {
      ...{ srcPort: 80, dstPort: 4000, flags: 'A', seq: 5051, ack: 1101 },
    });
    expect(f.forward(challenge)).toEqual([naiveReset(challenge)]);
    const rst = tcpPacket(web, client, { srcPort: 80, dstPort: 4000, flags: 'R', seq: 5051 });
    expect(f.forward(rst)).toEqual([]);
  });

  it('is not told anything if its server does not reject in its direction', () => {
    const f = fixture({ gateway: { outbound: true } });
    open(f);
    f.engine.setPolicy(forbidding({ gateway: { outbound: true } }), ReloadMode.cut, 0);
    expect(f.forward(data)).toEqual([]);
    expect(f.forward(data)).toEqual([]);
  });

  it('is told by the setting of the gateway if its server is gone', () => {
    const without = (epoch: number) => policyOf({}, [], epoch, both.gateway);
    const f = fixture();
    open(f);
    f.engine.setPolicy(without(2), ReloadMode.cut, 0);
    expect(f.forward(data).map(fields)).toEqual(resets);
  });

  it('before its handshake was complete: only what comes is answered', () => {
    const f = fixture();
    f.forward(syn(80));
    f.engine.setPolicy(forbidding(), ReloadMode.cut, 0);
    expect(f.forward(syn(80))).toEqual([naiveReset(syn(80))]);
  });

  it('of UDP: what comes is answered, also the packet that cuts it', () => {
    const open53 = (ports: number[], epoch: number) =>
      policyOf(
        { web: { inbound: [{ protocol: 'udp', ports }], outbound: [] } },
        [{ name: 'web', addresses: [web], templates: ['web'] }],
        epoch,
        both.gateway,
      );
    const f = new EngineFixture({ policy: open53([53], 1) });
    const query = udpPacket(client, web, 4000, 53);
    expect(f.forward(query)).toEqual([query]);
    f.engine.setPolicy(open53([5353], 2), ReloadMode.cut, 0);
    expect(f.forward(query)).toEqual([naiveProhibited(query)]);
    expect(f.forward(query)).toEqual([naiveProhibited(query)]);
  });

  it('whose ports begin a connection that is allowed: nobody is told', () => {
    const f = fixture();
    open(f);
    const outwards = policyOf(
      { web: { inbound: [], outbound: [{ protocol: 'tcp' }] } },
      [{ name: 'web', addresses: [web], templates: ['web'] }],
      2,
      both.gateway,
    );
    f.engine.setPolicy(outwards, ReloadMode.cut, 0);
    const again = tcpPacket(web, client, { srcPort: 80, dstPort: 4000, flags: 'S', seq: 9 });
    expect(f.forward(again)).toEqual([again]);
  });

  it('in large numbers: so many in each batch, and the rest counted', () => {
    const f = new EngineFixture({
      policy: policy({ gateway: { ...both.gateway, perSecond: 1_000_000 } }),
      capacity: 4096,
    });
    for (let port = 1; port <= 2000; port++) {
      const there = { srcPort: port, dstPort: 80, seq: 1 };
      const back = { srcPort: 80, dstPort: port, seq: 1 };
      f.forward(
        tcpPacket(client, web, { ...there, flags: 'S', seq: 0 }),
        tcpPacket(web, client, { ...back, flags: 'SA', seq: 0, ack: 1 }),
        tcpPacket(client, web, { ...there, flags: 'A', ack: 1 }),
      );
    }
    const cutting = policy({ gateway: { ...both.gateway, perSecond: 1_000_000 } }, 2, [443]);
    f.engine.setPolicy(cutting, ReloadMode.cut, 0);
    f.engine.judge(0, f.nowMs);
    let told = f.engine.tick(f.nowMs);
    expect(told).toBeLessThanOrEqual(512);
    for (let batch = 0; batch < 10; batch++) told += f.forward().length;
    expect(told).toBe(2048);
    expect(f.counter(answerIndex(AnswerKind.rst, AnswerOutcome.noRoom))).toBe(4000 - 2048);
  });
});

it('any packet is answered as the naive twin does, or not at all', () => {
  const letters = fc.subarray(['S', 'A', 'F', 'R', 'P', 'U']).map((each) => each.join(''));
  const segment = fc
    .record({
      srcPort: fc.nat(65_535),
      dstPort: fc.integer({ min: 100, max: 65_535 }),
      flags: letters,
      seq: fc.nat(0xffffffff),
      ack: fc.nat(0xffffffff),
      payload: fc.uint8Array({ maxLength: 40 }),
    })
    .map((fields) => [tcpPacket(client, web, fields), fields.flags] as [Uint8Array, string]);
  const datagram = fc
    .tuple(fc.nat(65_535), fc.nat(65_535), fc.uint8Array({ maxLength: 1200 }))
    .map(([srcPort, dstPort, payload]): [Uint8Array, undefined] => [
      udpPacket(client, web, srcPort, dstPort, payload),
      undefined,
    ]);
  const f = fixture();
  fc.assert(
    fc.property(fc.oneof(segment, datagram), fc.nat(255), ([packet, flags], service) => {
      const marked = packet.slice();
      marked[1] = service;
      const sent = from([198, 51, 100, 2], marked);
      const isOpening = flags === undefined || /^S(P|U|PU)?$/.test(flags);
      const twin = flags === undefined ? naiveProhibited(sent) : naiveReset(sent);
      // The buckets are full again.
      f.nowMs += 1000;
      expect(f.forward(sent)).toEqual(isOpening ? [twin] : []);
    }),
    { seed, numRuns: 500 },
  );
});
