import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DropReason, dropReasonNames } from '../../../../src/dataplane/wire/drop-reason.ts';
import { Packet } from '../../../../src/dataplane/wire/packet.ts';
import { parsePacket } from '../../../../src/dataplane/wire/parse.ts';
import { MemoryBatch } from '../../../../src/testing/memory-batch.ts';
import { naiveParse } from '../../../support/naive-parser.ts';
import {
  icmpQuery,
  internetChecksum,
  ipv4Packet,
  synOptions,
  tcpPacket,
  tcpSegment,
  udpPacket,
} from '../../../../src/testing/packets.ts';
import { seed } from '../../../support/seed.ts';

const batch = new MemoryBatch();
const packet = new Packet();
const a = '198.51.100.2';
const b = '10.0.0.2';

function parse(bytes: Uint8Array, vnetFlags = 0): string {
  batch.fill([{ bytes, vnetFlags }]);
  const code = parsePacket(batch.bytes, batch.words, batch.offsets[0]!, batch.lengths[0]!, packet);
  return dropReasonNames[code]!;
}

/** Changes bytes of a packet and makes its IPv4 header checksum right again. */
function patched(bytes: Uint8Array, ...changes: [number, number][]): Uint8Array {
  const copy = bytes.slice();
  for (const [at, value] of changes) copy[at] = value;
  const headerLength = Math.min((copy[0]! & 15) * 4, copy.length);
  copy[10] = 0;
  copy[11] = 0;
  const sum = internetChecksum(copy.subarray(0, headerLength));
  copy[10] = sum >> 8;
  copy[11] = sum & 255;
  return copy;
}

const syn = tcpPacket(a, b, {
  srcPort: 40_000,
  dstPort: 443,
  flags: 'S',
  seq: 7,
  options: synOptions(7),
});
const query = udpPacket(a, b, 5353, 53);
const ping = icmpQuery(a, b, 8, 77);
const withIpOptions = (...options: number[]): Uint8Array =>
  ipv4Packet({
    src: a,
    dst: b,
    protocol: 17,
    payload: query.slice(20),
    options: Uint8Array.from(options),
  });
const withTcpOptions = (...options: number[]): Uint8Array =>
  tcpPacket(a, b, { srcPort: 1, dstPort: 2, flags: 'S', options: Uint8Array.from(options) });

describe('parsePacket: one line a packet', () => {
  it.each<[string, Uint8Array, string, number?]>([
    ['TCP SYN', syn, 'none'],
    ['UDP', query, 'none'],
    ['ICMP echo request', ping, 'none'],
    ['nothing', new Uint8Array(), 'truncated'],
    ['19 bytes', syn.slice(0, 19), 'truncated'],
    ['total length beyond the packet', syn.slice(0, 30), 'truncated'],
    ['trailing bytes are not the packet', Uint8Array.from([...query, 0, 0, 0]), 'none'],
    ['IPv6', patched(syn, [0, 0x60]), 'ipv6'],
    ['version 5', patched(syn, [0, 0x55]), 'bad-ip-header'],
    ['header length 16', patched(syn, [0, 0x44]), 'bad-ip-header'],
    ['total length below header length', patched(syn, [2, 0], [3, 19]), 'bad-ip-header'],
    [
      'wrong IPv4 checksum',
      Uint8Array.from(syn, (v, i) => (i === 10 ? v ^ 1 : v)),
      'bad-ip-checksum',
    ],
    ['source 0.0.0.1', patched(query, [12, 0]), 'martian-source'],
    ['source 127.0.0.1', patched(query, [12, 127]), 'martian-source'],
    ['source 224.0.0.1', patched(query, [12, 224]), 'martian-source'],
    ['source 240.0.0.1', patched(query, [12, 240]), 'martian-source'],
    ['source 223.255.255.255', patched(syn, [12, 223], [13, 255]), 'none', 2],
    ['destination 127.0.0.1', patched(query, [16, 127]), 'martian-destination'],
    ['destination 239.0.0.1', patched(query, [16, 239]), 'martian-destination'],
    [
      'destination broadcast',
      patched(query, [16, 255], [17, 255], [18, 255], [19, 255]),
      'martian-destination',
    ],
    ['LAND', tcpPacket(a, a, { srcPort: 1, dstPort: 1, flags: 'S' }), 'land'],
    ['loose source route', withIpOptions(131, 3, 4, 0), 'source-route'],
    ['strict source route behind a NOP', withIpOptions(1, 137, 3, 4), 'source-route'],
    ['source route behind the end of options', withIpOptions(0, 131, 3, 4), 'none'],
    ['record route', withIpOptions(7, 3, 4, 0), 'none'],
    ['IP option without a length', withIpOptions(1, 1, 1, 7), 'bad-ip-header'],
    ['IP option of length 1', withIpOptions(7, 1, 0, 0), 'bad-ip-header'],
    ['IP option beyond the header', withIpOptions(7, 5, 4, 0), 'bad-ip-header'],
    ['GRE', ipv4Packet({ src: a, dst: b, protocol: 47, payload: new Uint8Array(20) }), 'protocol'],
    [
      'SCTP',
      ipv4Packet({ src: a, dst: b, protocol: 132, payload: new Uint8Array(20) }),
      'protocol',
    ],
    ['first fragment', patched(query, [6, 0x20]), 'fragment'],
    ['last fragment', patched(query, [7, 1]), 'fragment'],
    ["don't fragment", patched(query, [6, 0x40]), 'none'],
    [
      'TCP of 19 bytes',
      ipv4Packet({ src: a, dst: b, protocol: 6, payload: syn.slice(20, 39) }),
      'bad-tcp-header',
    ],
    ['TCP data offset 4', patched(syn, [32, 0x40]), 'bad-tcp-header'],
    ['TCP data offset beyond the segment', patched(syn, [32, 0xf0]), 'bad-tcp-header'],
    ['no flags', patched(syn, [33, 0]), 'bad-tcp-flags'],
    ['bare FIN', patched(syn, [33, 1]), 'bad-tcp-flags'],
    ['SYN+FIN', patched(syn, [33, 3]), 'bad-tcp-flags'],
    ['SYN+RST', patched(syn, [33, 6]), 'bad-tcp-flags'],
    ['Christmas tree', patched(syn, [33, 0x3f]), 'bad-tcp-flags'],
    ['SYN+ECE+CWR', tcpPacket(a, b, { srcPort: 1, dstPort: 2, flags: 'SEC' }), 'none'],
    ['FIN+ACK+PSH+URG', tcpPacket(a, b, { srcPort: 1, dstPort: 2, flags: 'FAPU' }), 'none'],
    ['TCP option without a length', withTcpOptions(1, 1, 1, 3), 'bad-tcp-options'],
    ['TCP option of length 0', withTcpOptions(2, 0, 0, 0), 'bad-tcp-options'],
    ['TCP option beyond the header', withTcpOptions(2, 4, 5, 180, 8, 10, 0, 0), 'bad-tcp-options'],
    ['rubbish behind the end of options', withTcpOptions(0, 99, 0, 0), 'none'],
    ['wrong TCP checksum', patched(syn, [36, 1], [37, 2]), 'bad-checksum'],
    ['partial TCP checksum', patched(syn, [36, 1], [37, 2]), 'none', 1],
    ['TCP checksum verified by the kernel', patched(syn, [36, 1], [37, 2]), 'none', 2],
    [
      'UDP of 7 bytes',
      ipv4Packet({ src: a, dst: b, protocol: 17, payload: query.slice(20, 27) }),
      'bad-udp-length',
    ],
    ['UDP length 7', patched(query, [24, 0], [25, 7]), 'bad-udp-length'],
    ['UDP length beyond the packet', patched(query, [24, 1], [25, 0]), 'bad-udp-length'],
    ['UDP without checksum', patched(query, [26, 0], [27, 0]), 'none'],
    ['wrong UDP checksum', patched(query, [26, 1], [27, 1]), 'bad-checksum'],
    [
      'ICMP of 7 bytes',
      ipv4Packet({ src: a, dst: b, protocol: 1, payload: ping.slice(20, 27) }),
      'bad-icmp',
    ],
    ['wrong ICMP checksum', patched(ping, [22, 1], [23, 1]), 'bad-checksum'],
  ])('%s', (_name, bytes, expected, vnetFlags) => {
    expect(parse(bytes, vnetFlags ?? 0)).toBe(expected);
  });

  it('fills in every field', () => {
    expect(parse(syn)).toBe('none');
    expect(packet).toMatchObject({
      srcAddr: (198 << 24) | (51 << 16) | (100 << 8) | 2,
      dstAddr: (10 << 24) | 2,
      protocol: 6,
      srcPort: 40_000,
      dstPort: 443,
      sequence: 7,
      window: 65_535,
      tcpFlags: 2,
      tcpHeaderLength: 32,
      totalLength: 52,
      l4Length: 32,
    });
  });

  it('takes a super-packet of 65,535 bytes as one segment', () => {
    const payload = tcpSegment(a, b, {
      srcPort: 1,
      dstPort: 2,
      flags: 'A',
      payload: new Uint8Array(65_495),
    });
    expect(parse(ipv4Packet({ src: a, dst: b, protocol: 6, payload }), 1)).toBe('none');
    expect(packet.totalLength).toBe(65_535);
  });
});

describe('parsePacket against its naive twin', () => {
  const samples = [
    syn,
    query,
    ping,
    withIpOptions(7, 3, 4, 0),
    withTcpOptions(8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1),
  ];
  const mutation = fc.record({ at: fc.nat(70), value: fc.nat(255) });
  const mutated = fc
    .record({
      sample: fc.nat(samples.length - 1),
      mutations: fc.array(mutation, { maxLength: 4 }),
      length: fc.option(fc.nat(80), { nil: undefined, freq: 4 }),
      repair: fc.boolean(),
    })
    .map(({ sample, mutations, length, repair }) => {
      const original = samples[sample]!;
      const bytes = original.slice(0, length ?? original.length);
      for (const { at, value } of mutations) if (at < bytes.length) bytes[at] = value;
      return repair && bytes.length >= 20 ? patched(bytes) : bytes;
    });
  const random = fc.uint8Array({ maxLength: 100 });

  it('agrees on the reason and every field', () => {
    const reasons = new Set<string>();
    fc.assert(
      fc.property(
        fc.oneof({ arbitrary: mutated, weight: 9 }, { arbitrary: random, weight: 1 }),
        fc.constantFrom(0, 0, 1, 2),
        (bytes, vnetFlags) => {
          const naive = naiveParse(bytes, vnetFlags);
          expect(parse(bytes, vnetFlags)).toBe(naive.reason);
          expect(packet).toMatchObject(naive.fields);
          reasons.add(naive.reason);
        },
      ),
      { seed, numRuns: 60_000 },
    );
    // A generator that only makes rubbish would agree on everything.
    expect(reasons.size).toBeGreaterThan(12);
  });
});

it('names every drop reason once', () => {
  const codes = Object.values(DropReason);
  expect(dropReasonNames).toHaveLength(codes.length);
  expect([...codes].sort((x, y) => x - y)).toEqual(codes.map((_, i) => i));
  expect(new Set(dropReasonNames).size).toBe(codes.length);
});

describe('a packet that is refused', () => {
  /** What a drop record has of a packet, and where its headers are. */
  const reported = ({ ipOffset, ipHeaderLength, totalLength, protocol, ...rest }: Packet) => {
    const { srcAddr, dstAddr, srcPort, dstPort, l4Offset, l4Length, tcpFlags } = rest;
    const { icmpType, icmpCode } = rest;
    return {
      ...{ ipOffset, ipHeaderLength, totalLength, protocol, srcAddr, dstAddr },
      ...{ srcPort, dstPort, l4Offset, l4Length },
      detail: protocol === 1 ? [icmpType, icmpCode] : protocol === 17 ? [] : [tcpFlags],
    };
  };

  it('has nothing of the packet before it', () => {
    const bytes = fc
      .tuple(
        fc.constantFrom(syn, query, ping, tcpPacket(a, b, { srcPort: 1, dstPort: 2, flags: 'A' })),
        fc.nat(60),
        fc.array(fc.tuple(fc.nat(45), fc.nat(255)), { maxLength: 2 }),
      )
      .map(([whole, length, changes]) => patched(whole.slice(0, length), ...changes));
    const before = [syn, ping].map((each) => patched(each));
    const reasons = new Set<string>();
    fc.assert(
      fc.property(bytes, (each) => {
        const fresh = new Packet();
        batch.fill([{ bytes: each, vnetFlags: 0 }]);
        const at = [batch.offsets[0]!, batch.lengths[0]!] as const;
        const code = parsePacket(batch.bytes, batch.words, ...at, fresh);
        if (code === DropReason.none) return;
        const wanted = reported(fresh);
        for (const earlier of before) expect(parse(earlier)).toBe('none');
        expect(parse(each)).toBe(dropReasonNames[code]);
        expect(reported(packet)).toEqual(wanted);
        reasons.add(dropReasonNames[code]!);
      }),
      { seed, numRuns: 5000 },
    );
    expect(reasons.size).toBeGreaterThan(8);
  });
});
