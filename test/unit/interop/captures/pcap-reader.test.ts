/** Reading capture files: both formats in both byte orders, every link layer, and damaged files, which are one error. */
import { open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CaptureError } from '../../../../src/interop/captures/capture-error.ts';
import { maxRecordLength, windowLength } from '../../../../src/interop/captures/capture-window.ts';
import {
  networkOffset,
  notIp,
  unsupportedLinkType,
} from '../../../../src/interop/captures/link-layer.ts';
import { CaptureReader } from '../../../../src/interop/captures/pcap-reader.ts';
import { formatTime } from '../../../../src/interop/captures/timestamps.ts';
import { buffersMade } from '../../../support/buffers-made.ts';
import {
  PcapngBlocks,
  ScratchDirectory,
  pcapFile,
  readAll,
  written,
} from '../../../support/captures.ts';
import { udpPacket } from '../../../../src/testing/packets.ts';
import { seededRandom } from '../../../support/seed.ts';

let scratch: ScratchDirectory;
beforeAll(() => {
  scratch = new ScratchDirectory();
});
afterAll(() => scratch.remove());

const probe = udpPacket('198.51.100.2', '10.0.0.2', 4000, 53);

describe('the reader', () => {
  it.each([
    ['little-endian', true, 0xa1b2c3d4, 1000],
    ['big-endian', false, 0xa1b2c3d4, 1000],
    ['little-endian with nanoseconds', true, 0xa1b23c4d, 1],
    ['big-endian with nanoseconds', false, 0xa1b23c4d, 1],
  ])('reads pcap, %s', async (_, littleEndian, magic, nanosecondsPerUnit) => {
    const content = pcapFile(
      [
        { seconds: 0xfffffffe, fraction: 999_999, bytes: probe },
        { seconds: 3, fraction: 1, bytes: probe.slice(0, 20), originalLength: 36 },
      ],
      { littleEndian, magic, linkType: 228 },
    );
    expect(await readAll(scratch.file('plain.pcap', content))).toEqual([
      {
        seconds: 0xfffffffe,
        nanoseconds: 999_999 * nanosecondsPerUnit,
        bytes: Buffer.from(probe),
        originalLength: 36,
        linkType: 228,
        hasTime: true,
      },
      {
        seconds: 3,
        nanoseconds: nanosecondsPerUnit,
        bytes: Buffer.from(probe.slice(0, 20)),
        originalLength: 36,
        linkType: 228,
        hasTime: true,
      },
    ]);
  });

  it('reads a file without packets', async () => {
    expect(await readAll(scratch.file('none.pcap', pcapFile([])))).toEqual([]);
    expect(await readAll(scratch.file('none.pcapng', await written([])))).toEqual([]);
  });

  it('reads pcapng of several sections, byte orders, interfaces and kinds of blocks', async () => {
    const section = (littleEndian: boolean): Buffer[] => {
      const blocks = new PcapngBlocks(littleEndian);
      const resolution = (exponent: number): Buffer => blocks.option(9, Uint8Array.of(exponent));
      const behind = blocks.option(0, new Uint8Array());
      const offset = Buffer.alloc(8);
      if (littleEndian) offset.writeBigInt64LE(-100n);
      else offset.writeBigInt64BE(-100n);
      return [
        blocks.section(blocks.option(4, Buffer.from('a test')), behind),
        blocks.interface(1, 40),
        blocks.interface(101, 0, blocks.option(2, Buffer.from('fw0')), resolution(9), behind),
        blocks.block(0x0bad, new Uint8Array(100)),
        blocks.interface(113, 0, resolution(0x80 | 10), blocks.option(14, offset)),
        blocks.interface(276, 0, resolution(12)),
        blocks.enhanced(0, 1_700_000_000_000_001n, probe),
        blocks.enhanced(1, 1_700_000_000_123_456_789n, probe, 2000),
        blocks.enhanced(2, 5n * 1024n + 512n, probe),
        blocks.enhanced(3, 5_000_000_001_999n, probe),
        // A block larger than what is kept in memory.
        blocks.block(0x80000bad, new Uint8Array(maxRecordLength)),
        blocks.obsolete(1, 1_000_000_001n, probe),
        blocks.simple(probe.slice(0, 36)),
        blocks.simple(new Uint8Array(40), 1500),
      ];
    };
    const content = Buffer.concat([...section(true), ...section(false), ...section(true)]);
    const packets = await readAll(scratch.file('several.pcapng', content));
    const of = (
      linkType: number,
      time: readonly [seconds: number, nanoseconds: number],
      rest: object = {},
    ): object => ({
      bytes: Buffer.from(probe),
      originalLength: 36,
      linkType,
      hasTime: true,
      seconds: time[0],
      nanoseconds: time[1],
      ...rest,
    });
    const each = [
      of(1, [1_700_000_000, 1000]),
      of(101, [1_700_000_000, 123_456_789], { originalLength: 2000 }),
      of(113, [-95, 500_000_000]),
      of(276, [5, 1]),
      of(101, [1, 1]),
      of(1, [1, 1], { hasTime: false }),
      of(1, [1, 1], { hasTime: false, bytes: Buffer.alloc(40), originalLength: 1500 }),
    ];
    expect(packets).toEqual([...each, ...each, ...each]);
  });

  const frames = (tags: string, type: string): string => `${'00'.repeat(12)}${tags}${type}`;
  it.each<[what: string, linkType: number, header: string, found: number]>([
    ['Ethernet', 1, frames('', '0800'), 14],
    ['Ethernet with IPv6', 1, frames('', '86dd'), 14],
    ['a VLAN tag', 1, frames('8100002a', '0800'), 18],
    ['two VLAN tags', 1, frames('88a8002a8100002b', '0800'), 22],
    ['five VLAN tags', 1, frames('81000001'.repeat(5), '0800'), notIp],
    ['ARP', 1, frames('', '0806'), notIp],
    ['an 802.3 length', 1, frames('', '0026'), notIp],
    ['raw', 101, '', 0],
    ['raw of Linux', 12, '', 0],
    ['raw of OpenBSD', 14, '', 0],
    ['IPv4', 228, '', 0],
    ['Linux cooked', 113, `${'00'.repeat(14)}0800`, 16],
    ['Linux cooked with a VLAN tag', 113, `${'00'.repeat(14)}8100002a0800`, 20],
    ['Linux cooked, ARP', 113, `${'00'.repeat(14)}0806`, notIp],
    ['Linux cooked 2', 276, `0800${'00'.repeat(18)}`, 20],
    ['loopback, little-endian', 0, '02000000', 4],
    ['loopback, big-endian', 0, '00000002', 4],
    ['loopback, IPv6', 0, '1e000000', 4],
    ['loopback, another family', 0, '07000000', notIp],
    ['loopback of OpenBSD', 108, '00000002', 4],
    ['radiotap', 127, '', unsupportedLinkType],
  ])('finds the IP packet behind %s', (_, linkType, header, found) => {
    const offset = 50;
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(header, 'hex'), probe]);
    const time = { seconds: 0, nanoseconds: 0, hasTime: true };
    const captured = (length: number): number =>
      networkOffset({ ...time, bytes, offset, length, originalLength: length, linkType });
    expect(captured(bytes.length - offset)).toBe(found < 0 ? found : offset + found);
    // However short the frame is, what is found lies in it.
    for (let length = 0; length <= header.length / 2; length++) {
      expect(captured(length)).toBeLessThan(0);
    }
  });

  it('tells times that no calendar has', () => {
    expect(formatTime({ seconds: 1_700_000_000, nanoseconds: 123_456_789 })).toBe(
      '2023-11-14T22:13:20.123456Z',
    );
    expect(formatTime({ seconds: 2 ** 62, nanoseconds: 1000 })).toBe(`${2 ** 62}.000001`);
    expect(formatTime({ seconds: -1e15, nanoseconds: 0 })).toBe('-1000000000000000.000000');
  });
});

describe('what is no capture, or a damaged one', () => {
  const blocks = new PcapngBlocks(true);
  const start = [blocks.section(), blocks.interface(101)];
  const badTrailer = Buffer.from(blocks.enhanced(0, 0n, probe));
  badTrailer[badTrailer.length - 4]! ^= 1;
  const tooLong = Buffer.from(blocks.enhanced(0, 0n, probe));
  tooLong.writeUInt32LE(5000, 20);
  const overlongOption = Buffer.concat([blocks.u16(2, 400), Buffer.from('fw0\0')]);

  it.each<[what: string, content: Uint8Array, message: RegExp]>([
    ['nothing', Buffer.alloc(0), /FILE: not a pcap or pcapng file: it is empty/],
    ['three bytes', Buffer.alloc(3), /it is too short/],
    [
      'text',
      Buffer.from('hello world'),
      /FILE: not a pcap or pcapng file: it begins with 68656c6c/,
    ],
    ['gzip', Buffer.from('1f8b0800', 'hex'), /compressed with gzip, which is not supported/],
    ['zstd', Buffer.from('28b52ffd', 'hex'), /compressed with zstd, which is not supported/],
    ['another version of pcap', pcapFile([], { major: 3 }), /byte 0: pcap version 3: expected 2/],
    ['modified pcap', pcapFile([], { magic: 0xa1b2cd34 }), /byte 0: .*modified.* not supported/],
    ['half a pcap header', pcapFile([]).subarray(0, 20), /byte 0: the file ends in the middle/],
    [
      'half a packet',
      pcapFile([{ bytes: probe }, { bytes: probe }]).subarray(0, -1),
      /byte 76: the file ends in the middle of a record: 51 bytes of at least 52 are there/,
    ],
    [
      'a huge packet',
      Buffer.concat([pcapFile([{ bytes: probe }]), Buffer.alloc(16, 0x7f)]),
      /byte 76: a packet of 2139062143 captured bytes/,
    ],
    [
      'a fraction over a second',
      pcapFile([{ bytes: probe, fraction: 1_000_000 }]),
      /byte 24: a packet time with a fraction of 1000000/,
    ],
    [
      'a section without byte order',
      Buffer.from('0a0d0d0a1c00000000000000', 'hex'),
      /byte 0: .*1a2b3c4d/,
    ],
    [
      'a block of length 7',
      Buffer.concat([...start, blocks.u32(6, 7, 0)]),
      /byte 48: a block of 7 bytes/,
    ],
    ['two lengths', Buffer.concat([...start, badTrailer]), /byte 48: .*length 68 and ends with 69/],
    [
      'no interface',
      Buffer.concat([...start, blocks.enhanced(1, 0n, probe)]),
      /packet of interface 1: this section describes 1/,
    ],
    [
      'more bytes than the block has',
      Buffer.concat([...start, tooLong]),
      /packet of 5000 bytes in a block that has room for 36/,
    ],
    [
      'a short packet block',
      Buffer.concat([...start, blocks.block(6, blocks.u32(0))]),
      /byte 48: a block of 16 bytes: expected at least 32/,
    ],
    [
      'a long option',
      Buffer.concat([...start, blocks.interface(1, 0, overlongOption)]),
      /byte 48: an option/,
    ],
    [
      'a strange clock',
      Buffer.concat([...start, blocks.interface(1, 0, blocks.option(9, Uint8Array.of(20)))]),
      /10\^-20 seconds/,
    ],
    [
      'the end within a block that is skipped',
      Buffer.concat([...start, blocks.u32(77, 5_000_000, 0)]),
      /byte 60: the file ends 4999988 bytes before the end of a block/,
    ],
    [
      'a packet block too large',
      Buffer.concat([...start, blocks.u32(6, 5_000_000, 0)]),
      /byte 48: a block of 5000000 bytes: expected at most 4194304/,
    ],
  ])('%s', async (_, content, message) => {
    const file = scratch.file('FILE', content);
    await expect(readAll(file)).rejects.toThrow(CaptureError);
    await expect(readAll(file)).rejects.toThrow(message);
  });

  it('says so of files that cannot be read', async () => {
    const missing = join(scratch.path, 'missing');
    await expect(readAll(missing)).rejects.toThrow(`${missing}: cannot be read: it does not exist`);
    await expect(readAll(scratch.path)).rejects.toThrow('cannot be read: it is a directory');
  });

  it('never throws anything else, whatever is wrong, and always comes to an end', async () => {
    const random = seededRandom();
    const pick = (below: number): number => Math.floor(random() * below);
    const good = [
      pcapFile([{ bytes: probe }, { bytes: probe }, { bytes: probe }]),
      Buffer.concat([
        ...start,
        blocks.interface(
          1,
          60,
          blocks.option(9, Uint8Array.of(9)),
          blocks.option(0, Buffer.alloc(0)),
        ),
        blocks.enhanced(0, 1n << 40n, probe),
        blocks.simple(probe),
        blocks.obsolete(1, 5n, probe),
      ]),
    ];
    let refused = 0;
    for (let round = 0; round < 600; round++) {
      const bad = Buffer.from(good[round % 2]!);
      for (let flips = 1 + pick(4); flips > 0; flips--) {
        bad[pick(bad.length)] = random() < 0.3 ? 255 : pick(256);
      }
      const file = scratch.file('bad', random() < 0.3 ? bad.subarray(0, pick(bad.length)) : bad);
      try {
        const packets = await readAll(file);
        for (const packet of packets) formatTime(packet);
        // Every packet takes bytes of the file.
        expect(packets.length).toBeLessThan(bad.length / 12);
      } catch (error) {
        expect(error, `round ${round}`).toBeInstanceOf(CaptureError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });
});

it('memory stays bounded: 300 MB with one packet at the end', async () => {
  const blocks = new PcapngBlocks(true);
  const path = scratch.file(
    'large.pcapng',
    Buffer.concat([blocks.section(), blocks.interface(101)]),
  );
  const hole = 100_000_000;
  const file = await open(path, 'r+');
  let at = 0;
  try {
    at = (await file.stat()).size;
    // Unknown blocks, with holes in the file for bodies.
    for (let i = 0; i < 3; i++) {
      await file.write(blocks.u32(0x0bad, hole), 0, 8, at);
      await file.write(blocks.u32(hole), 0, 4, at + hole - 4);
      at += hole;
    }
    const last = blocks.enhanced(0, 7_000_000n, probe);
    await file.write(last, 0, last.length, at);
  } finally {
    await file.close();
  }
  let [found, position] = [0, 0];
  const made = await buffersMade(async () => {
    const reader = await CaptureReader.open(path);
    while (await reader.fill()) while (reader.next()) found++;
    ({ position } = reader);
    await reader.close();
  });
  await truncate(path, 0);
  expect([found, position]).toEqual([1, at + 68]);
  // The window, and what tells the format.
  expect(made.bytes).toBeGreaterThanOrEqual(windowLength);
  expect(made.bytes).toBeLessThan(2 * windowLength);
});
