/** Replay: the verdicts are those of the engine, the clock that of the packets, and the summary tells what is behind it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Replay } from '../../../../src/interop/captures/replay.ts';
import type { PacketReport, ReplayConfig } from '../../../../src/interop/captures/replay.ts';
import { replayFile } from '../../../../src/interop/captures/replay-file.ts';
import type {
  ReplayFileOptions,
  ReplayResult,
} from '../../../../src/interop/captures/replay-file.ts';
import { replayHints } from '../../../../src/cli/replay-summary.ts';
import { validateSet } from '../../../../src/policy/address-set.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { AddressSet, Template } from '../../../../src/policy/types.ts';
import { validateTemplate } from '../../../../src/policy/validate.ts';
import { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { PcapngBlocks, ScratchDirectory, pcapFile, readAll } from '../../../support/captures.ts';
import type { Recorded } from '../../../support/captures.ts';
import { buffersMade } from '../../../support/buffers-made.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import {
  icmpMessage,
  icmpQuery,
  ipv4Packet,
  tcpPacket,
  udpPacket,
  udpDatagram,
} from '../../../../src/testing/packets.ts';
import {
  at,
  client,
  config,
  db,
  fromClient,
  fromServer,
  handshake,
  server,
} from '../../../support/replay-fixture.ts';
import { toServers } from '../../../support/policies.ts';
import { seededRandom } from '../../../support/seed.ts';

let scratch: ScratchDirectory;
beforeAll(() => {
  scratch = new ScratchDirectory();
});
afterAll(() => scratch.remove());

interface Replayed {
  result: ReplayResult;
  /** `pass`, `held` or the drop reason, in order. */
  verdicts: string[];
  reports: PacketReport[];
}

async function replay(
  content: Uint8Array,
  options: Partial<ReplayFileOptions> = {},
): Promise<Replayed> {
  const reports: PacketReport[] = [];
  const result = await replayFile({
    file: scratch.file('replay.pcap', content),
    config,
    application: 'tunwall test',
    ignoreChecksums: false,
    onPacket: (report) => reports.push(report),
    ...options,
  });
  return { result, reports, verdicts: reports.map(({ verdict, reason }) => reason ?? verdict) };
}

describe('verdicts', () => {
  it('are reported with direction, rule and reason', async () => {
    const { reports, result } = await replay(
      pcapFile([
        ...handshake,
        at(3, fromClient('S', 1, 0, 8080)),
        at(4, tcpPacket(server, db, { srcPort: 7, dstPort: 5432, flags: 'S' })),
        at(5, icmpQuery(client, server, 8, 1)),
        at(6, udpPacket(client, '192.0.2.1', 1, 2)),
        at(7, Uint8Array.of(0x60, 0, 0, 0)),
      ]),
    );
    const tellings = reports.map(({ direction, protocol, from, to, detail, ...rest }) =>
      [direction, protocol, from, to, detail, rest.reason ?? rest.verdict, rest.newFlow]
        .filter((part) => part !== undefined)
        .join(' '),
    );
    expect(tellings).toEqual([
      `inbound tcp ${client}:4000 ${server}:80 S pass web inbound[0]`,
      `outbound tcp ${server}:80 ${client}:4000 SA pass`,
      `inbound tcp ${client}:4000 ${server}:80 A pass`,
      `inbound tcp ${client}:4000 ${server}:8080 S no-inbound-rule`,
      `internal tcp ${server}:7 ${db}:5432 S pass web outbound[0],db inbound[0]`,
      `inbound icmp ${client} ${server} 8/0 pass web inbound[2]`,
      `none udp ${client}:1 192.0.2.1:2  no-server`,
      'none ipv6 - -  ipv6',
    ]);
    expect(result).toMatchObject({
      format: 'pcap',
      packets: 8,
      bytes: 4 * 40 + 40 + 36 + 36 + 4,
      first: { seconds: 1_700_000_000, nanoseconds: 0 },
      last: { seconds: 1_700_000_000, nanoseconds: 7_000_000 },
      error: undefined,
    });
    expect(result.counts).toMatchObject({
      judged: 8,
      passed: 5,
      dropped: 3,
      drops: { 'no-inbound-rule': 1, 'no-server': 1, ipv6: 1 },
      flows: { opened: 3, openAtEnd: 3, evicted: {} },
      fragmentsWaiting: 0,
    });
    expect(result.counts.traffic).toContainEqual({
      direction: 'inbound',
      protocol: 'tcp',
      verdict: 'pass',
      packets: 2,
      bytes: 80,
    });
  });

  it('name the rule that means a server by its label, or an address by a set', async () => {
    const template = (name: string, text: string): Template =>
      validateTemplate(name, `${name}.yaml`, text).value!;
    const set = (name: string, text: string): AddressSet =>
      validateSet(name, `${name}.yaml`, text).value!;
    const own: ReplayConfig = {
      gateway: config.gateway,
      templates: [
        template(
          'db',
          'appliesTo: [role=db]\ninbound:\n  - { protocol: tcp, sources: ["label:role=web"] }\n' +
            '  - { protocol: tcp, sources: ["set:office"], except: [198.51.100.3] }\n',
        ),
        template('out', 'outbound: [{ protocol: all }]'),
      ],
      servers: toServers([
        { name: 'web', addresses: [server], templates: ['out'] },
        { name: 'db', addresses: [db], templates: [] },
      ]).map((each) => ({ ...each, labels: { role: each.name } })),
      sets: [
        set('vpn', `addresses: [${client}, 198.51.100.3]`),
        set('office', 'include: ["set:vpn"]'),
      ],
    };
    const syn = (from: string, ms: number): Recorded =>
      at(ms, tcpPacket(from, db, { srcPort: 7, dstPort: 5432, flags: 'S' }));
    const { reports } = await replay(
      pcapFile([server, client, '198.51.100.3', '203.0.113.1'].map(syn)),
      { config: own },
    );
    expect(reports.map(({ reason, newFlow }) => reason ?? newFlow)).toEqual([
      ['out outbound[0]', 'db inbound[0]'],
      ['db inbound[1]'],
      'no-inbound-rule',
      'no-inbound-rule',
    ]);
  });

  it('are those of the engine, whatever comes', async () => {
    const random = seededRandom();
    const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
    const ends = [client, '198.51.100.3', server, db];
    let ms = 0;
    const packets = Array.from({ length: 4000 }, () => {
      // Mostly close together, now and then longer than some timeout.
      ms += random() < 0.01 ? Math.floor(random() * 400_000) : Math.floor(random() * 50);
      const src = pick(ends);
      const dst = pick(ends.filter((end) => end !== src));
      const ports = { srcPort: pick([80, 4000, 5432]), dstPort: pick([80, 4000, 5432]) };
      const bytes = pick([
        () =>
          tcpPacket(src, dst, {
            ...ports,
            flags: pick(['S', 'SA', 'A', 'FA', 'R', 'SF']),
            seq: pick([1, 2]),
            ack: pick([1, 2]),
          }),
        () => udpPacket(src, dst, ports.srcPort, ports.dstPort),
        () => icmpQuery(src, dst, pick([0, 8, 13]), 1),
        () =>
          ipv4Packet({
            src,
            dst,
            protocol: pick([1, 47]),
            payload: icmpMessage(3, 1, 0, udpPacket(dst, src, 80, 4000)),
          }),
      ])();
      if (random() < 0.03) bytes[Math.floor(random() * bytes.length)]! ^= 1;
      return at(ms, bytes);
    });
    const policy = new Matcher(compilePolicy(config, 1).words);
    const fixture = new EngineFixture({ policy, capacity: 262_144, nowMs: 0 });
    const wanted = packets.map(({ seconds = 0, fraction = 0, bytes }) => {
      const nowMs = (seconds - 1_700_000_000) * 1000 + fraction / 1000;
      while (fixture.nowMs + 100 < nowMs) fixture.engine.tick((fixture.nowMs += 100));
      fixture.nowMs = nowMs;
      return fixture.judge(bytes);
    });
    const { verdicts, result } = await replay(pcapFile(packets));
    expect(verdicts).toEqual(wanted);
    expect(new Set(wanted).size).toBeGreaterThan(8);
    const reported = (verdict: string): number => wanted.filter((each) => each === verdict).length;
    expect(result.counts.passed).toBe(reported('pass'));
    for (const [reason, count] of Object.entries(result.counts.drops)) {
      expect([reason, count]).toEqual([reason, reported(reason)]);
    }
  });

  it('of fragments come with the last one', async () => {
    const payload = udpDatagram(client, server, 1, 2, new Uint8Array(4000));
    const fragment = (from: number, to: number, identification: number): Uint8Array =>
      ipv4Packet({
        src: client,
        dst: server,
        protocol: 17,
        identification,
        fragmentOffset: from,
        moreFragments: to < payload.length,
        payload: payload.subarray(from, to),
      });
    const { verdicts, reports, result } = await replay(
      pcapFile([
        at(0, fragment(0, 1480, 1)),
        at(1, fragment(2960, 4008, 1)),
        at(2, fragment(1480, 2960, 1)),
        at(3, fragment(0, 1480, 2)),
        at(40_000, fragment(0, 1480, 3)),
      ]),
    );
    expect(verdicts).toEqual(['held', 'held', 'pass', 'held', 'held']);
    expect(reports[2]).toMatchObject({ fragments: 3, direction: 'inbound', to: server });
    expect(result.counts).toMatchObject({
      passed: 3,
      dropped: 1,
      drops: { 'fragment-timeout': 1 },
      fragmentsWaiting: 1,
    });
  });
});

describe('the clock', () => {
  const answer = (ms: number): Recorded => at(ms, udpPacket(server, client, 53, 4000));
  const question = at(0, udpPacket(client, server, 4000, 53));

  it.each([
    [29_999, 'pass'],
    [30_000, 'no-outbound-rule'],
  ])('goes by the packets: an answer after %i ms: %s', async (ms, verdict) => {
    expect((await replay(pcapFile([question, answer(ms)]))).verdicts).toEqual(['pass', verdict]);
  });

  it('ends flows while nothing comes', async () => {
    const { result } = await replay(pcapFile([question, at(31_000, fromClient('A', 1))]));
    expect(result.counts.flows).toMatchObject({ opened: 1, openAtEnd: 0 });
  });

  it('stands silences that are longer than its own range', async () => {
    // 49.7 days are 2^32 ms; a wrapped clock would find the flow fresh.
    const { verdicts } = await replay(
      pcapFile([...handshake, answer(2 ** 32 + 5), at(2 ** 32 + 10, fromClient('A', 2, 101))]),
    );
    expect(verdicts).toEqual(['pass', 'pass', 'pass', 'no-outbound-rule', 'invalid-state']);
  });

  it('does not go back', async () => {
    const { verdicts, result } = await replay(
      pcapFile([at(20_000, question.bytes), answer(1), answer(20_000 + 29_999)]),
    );
    expect(verdicts).toEqual(['pass', 'pass', 'pass']);
    expect(result.counts.outOfOrder).toBe(1);
  });

  it('stays where it is for packets without a time', async () => {
    const blocks = new PcapngBlocks(true);
    const { verdicts, result } = await replay(
      Buffer.concat([
        blocks.section(),
        blocks.interface(101),
        blocks.simple(question.bytes),
        blocks.simple(answer(0).bytes),
      ]),
    );
    expect(verdicts).toEqual(['pass', 'pass']);
    expect(result.first).toBeUndefined();
  });
});

describe('captures that are not what a TUN device delivers', () => {
  const hints = ({ result }: Replayed): string => replayHints(result).join('\n');
  const damaged = (bytes: Uint8Array, index: number, ...values: number[]): Uint8Array => {
    const copy = bytes.slice();
    copy.set(values, index);
    return copy;
  };

  it('checksums that the card would complete: reported, and --ignore-checksums accepts them', async () => {
    // What Linux leaves there: the pseudo-header's sum, not complemented.
    const partial = handshake.map(({ bytes, ...time }) => {
      const header = [...bytes.slice(12, 20), 0, 6, 0, bytes.length - 20];
      let sum = 0;
      for (let i = 0; i < header.length; i += 2) sum += (header[i]! << 8) | header[i + 1]!;
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
      return { ...time, bytes: damaged(bytes, 36, sum >> 8, sum & 255) };
    });
    const verified = await replay(pcapFile(partial));
    expect(verified.verdicts).toEqual(Array(3).fill('bad-checksum'));
    expect(verified.result.counts.partialChecksums).toBe(3);
    expect(hints(verified)).toMatch(/3 packets .* not completed yet.*--ignore-checksums/);
    const ignored = await replay(pcapFile(partial), { ignoreChecksums: true });
    expect(ignored.verdicts).toEqual(['pass', 'pass', 'pass']);
    expect(hints(ignored)).toBe('');
  });

  it('checksums that are wrong otherwise', async () => {
    const wrong = handshake.map(({ bytes, ...rest }) => ({
      ...rest,
      bytes: damaged(bytes, 36, 1, 2),
    }));
    const verified = await replay(pcapFile(wrong));
    expect(verified.result.counts).toMatchObject({
      partialChecksums: 0,
      drops: { 'bad-checksum': 3 },
    });
    expect(hints(verified)).toMatch(/^3 packets were dropped for their checksums/);
    // The header's own checksum too, which some cards make.
    const none = wrong.map(({ bytes, ...rest }) => ({ ...rest, bytes: damaged(bytes, 10, 0, 0) }));
    expect((await replay(pcapFile(none))).verdicts).toEqual(Array(3).fill('bad-ip-checksum'));
    const ignored = await replay(pcapFile(none), { ignoreChecksums: true });
    expect(ignored.verdicts).toEqual(['pass', 'pass', 'pass']);
  });

  it('packets cut short: judged as long as their headers are there', async () => {
    const long = tcpPacket(client, server, {
      srcPort: 4000,
      dstPort: 80,
      flags: 'A',
      seq: 2,
      ack: 101,
      payload: new Uint8Array(1000).fill(65),
    });
    const acknowledged = at(4, fromServer('A', 101, 1002));
    const cut = (length: number): Promise<Replayed> =>
      replay(pcapFile([...handshake, at(3, long.slice(0, length), long.length), acknowledged]));
    const whole = await cut(long.length);
    const short = await cut(96);
    expect(short.verdicts).toEqual(whole.verdicts);
    expect(short.verdicts).toEqual(Array(5).fill('pass'));
    expect(short.result.counts.traffic).toEqual(whole.result.counts.traffic);
    expect(hints(short)).toMatch(/^1 packets are cut short/);
    const hopeless = await cut(39);
    expect(hopeless.verdicts[3]).toBe('truncated');
    expect(hints(hopeless)).toMatch(/^1 packets were dropped as truncated/);
  });

  it('super-packets without a length, and those too long for one', async () => {
    const payload = new Uint8Array(9000);
    const big = tcpPacket(client, server, {
      srcPort: 4000,
      dstPort: 80,
      flags: 'A',
      seq: 2,
      ack: 101,
      payload,
    });
    const unlimited = new Uint8Array(70_000);
    unlimited.set(damaged(big, 2, 0, 0));
    const replayed = await replay(
      pcapFile([
        ...handshake,
        at(3, damaged(big, 2, 0, 0)),
        at(4, fromServer('A', 101, 9002)),
        at(5, damaged(fromClient('A', 9002, 101), 2, 0, 0)),
        at(6, unlimited),
      ]),
    );
    expect(replayed.verdicts).toEqual([...Array<string>(5).fill('pass'), 'bad-ip-header']);
    expect(replayed.result.counts).toMatchObject({ withoutLength: 1, skipped: { tooLong: 1 } });
    expect(hints(replayed)).toMatch(/length field of 0.*TSO[^]*longer than 65,535 bytes/);
  });

  it('frames that are not IP are left out, and a link layer that is not known is an error', async () => {
    const ethernet = (type: string, bytes: Uint8Array): Uint8Array =>
      Buffer.concat([Buffer.alloc(12), Buffer.from(type, 'hex'), bytes]);
    const frames = [
      at(0, ethernet('0806', new Uint8Array(28))),
      at(1, ethernet('0800', fromClient('S', 1))),
    ];
    const replayed = await replay(pcapFile(frames, { linkType: 1 }));
    expect(replayed.verdicts).toEqual(['pass']);
    expect(hints(replayed)).toMatch(/^1 packets are not IP/);
    await expect(replay(pcapFile(frames, { linkType: 127 }))).rejects.toThrow(
      'link layer 127 is not supported',
    );
  });
});

it('--write puts verdicts beside the packets', async () => {
  const ethernet = handshake.map(({ bytes, ...rest }) => ({
    ...rest,
    bytes: Buffer.concat([Buffer.alloc(12), Buffer.from('0800', 'hex'), bytes]),
    originalLength: bytes.length + 14,
  }));
  const write = join(scratch.path, 'verdicts.pcapng');
  await replay(
    pcapFile([...ethernet, { ...ethernet[2]!, seconds: 1_800_000_000 }], { linkType: 1 }),
    { write },
  );
  const packets = await readAll(write);
  expect(packets.map(({ bytes }) => bytes)).toEqual(
    [...handshake, handshake[2]!].map(({ bytes }) => Buffer.from(bytes)),
  );
  expect(packets.map(({ seconds, nanoseconds }) => [seconds, nanoseconds])).toEqual([
    [1_700_000_000, 0],
    [1_700_000_000, 1_000_000],
    [1_700_000_000, 2_000_000],
    [1_800_000_000, 2_000_000],
  ]);
  const comments = readFileSync(write, 'latin1').match(/tunwall: [ -~]+/g);
  expect(comments).toEqual([
    'tunwall: pass, inbound tcp, new flow by web inbound[0]',
    'tunwall: pass, outbound tcp',
    'tunwall: pass, inbound tcp',
    'tunwall: drop invalid-state, inbound tcp',
  ]);
});

it('judges without a buffer for each packet', async () => {
  const judging = new Replay(config, { ignoreChecksums: false });
  const bytes = fromClient('A', 1);
  const packet = {
    seconds: 1,
    nanoseconds: 0,
    bytes,
    offset: 0,
    length: 40,
    originalLength: 40,
    linkType: 101,
    hasTime: true,
  };
  const made = await buffersMade(() => {
    for (let i = 0; i < 1000; i++) judging.judge(packet);
  });
  expect(judging.counts().dropped).toBe(1000);
  expect(made).toEqual({ count: 0, bytes: 0 });
});
