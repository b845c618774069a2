/** Writing pcapng: the bytes, the pressure back, and that our reader, tcpdump and tshark read the same out of it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, createWriteStream } from 'node:fs';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PcapngWriter } from '../../../../src/interop/captures/pcapng-writer.ts';
import type { PacketToWrite } from '../../../../src/interop/captures/pcapng-writer.ts';
import { ScratchDirectory, readAll, written } from '../../../support/captures.ts';
import { tcpPacket, udpPacket } from '../../../../src/testing/packets.ts';
import { seed } from '../../../support/seed.ts';

let scratch: ScratchDirectory;
beforeAll(() => {
  scratch = new ScratchDirectory();
  chmodSync(scratch.path, 0o755);
});
afterAll(() => scratch.remove());

const installed = (program: string): boolean => {
  const found = spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  if (!found) console.log(`tests with ${program} do not run: it is not installed`);
  return found;
};

const packetOf = (fields: Partial<PacketToWrite>): PacketToWrite => {
  const bytes = fields.bytes ?? udpPacket('198.51.100.2', '10.0.0.2', 4000, 53);
  return {
    seconds: 1_700_000_000,
    nanoseconds: 0,
    offset: 0,
    length: bytes.length,
    ...fields,
    bytes,
  };
};

const arbitraryPacket = fc
  .record({
    seconds: fc.integer({ min: 0, max: 0xffff_ffff }),
    nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 70_000 }),
    before: fc.nat(100),
    cut: fc.nat(3000),
    comment: fc.option(fc.string({ unit: 'binary', maxLength: 40 }), { nil: undefined }),
    direction: fc.constantFrom('inbound' as const, 'outbound' as const, undefined),
  })
  .map(({ bytes, before, cut, ...packet }) => {
    const offset = Math.min(before, bytes.length - 1);
    const length = bytes.length - offset;
    return { ...packet, bytes, offset, length, originalLength: length + cut };
  });

describe('the writer', () => {
  it('writes these bytes', async () => {
    const packet = packetOf({
      seconds: 16,
      nanoseconds: 1,
      bytes: Uint8Array.of(0x45, 1, 2, 3, 4),
      originalLength: 9,
      comment: 'tunwall: drop no-server',
      direction: 'outbound',
    });
    const about = { hardware: 'x86', os: 'Linux', application: 'tunwall 1', interfaceName: 'fw0' };
    // 16.000000001 s are 0x3b9aca001 ns. tshark 4.0 shows every field of these bytes as it was meant.
    const section = `0a0d0d0a 44000000 4d3c2b1a 01000000 ffffffff ffffffff
      02000300 78383600 03000500 4c696e7578000000 04000900 74756e77616c6c2031000000 00000000 44000000`;
    const fw0 = `01000000 28000000 65000000 00000400 09000100 09000000 02000300 66773000 00000000 28000000`;
    const enhanced = `06000000 50000000 00000000 03000000 01a0acb9 05000000 09000000 4501020304000000
      01001700 74756e77616c6c3a2064726f70206e6f2d73657276657200 02000400 02000000 00000000 50000000`;
    const time = '03000000 01a0acb9';
    const statistics = `05000000 4c000000 00000000 ${time} 02000800 ${time} 03000800 ${time}
      04000800 0700000000000000 05000800 0200000000000000 00000000 4c000000`;
    const wanted = [section, fw0, enhanced, statistics].join('').replace(/\s/g, '');
    const file = await written([packet], about, { received: 7, dropped: 2 });
    expect(file.toString('hex')).toBe(wanted);
  });

  it('cuts packets off at the snap length, and texts at what an option can hold', async () => {
    const bytes = new Uint8Array(1500).fill(7);
    // The last character that fits would be cut in two.
    const comment = 'é'.repeat(40_000) + 'x';
    const file = scratch.file(
      'snap.pcapng',
      await written([packetOf({ bytes, comment })], { snapLength: 90 }),
    );
    const [packet, ...others] = await readAll(file);
    expect(others).toEqual([]);
    expect(packet).toMatchObject({ originalLength: 1500, bytes: Buffer.alloc(90, 7) });
  });

  it('says when the stream has enough, and goes on when it has drained', async () => {
    const release: (() => void)[] = [];
    let taken = 0;
    const slow = new Writable({
      highWaterMark: 1000,
      write(chunk: Buffer, _, done) {
        taken += chunk.length;
        release.push(done);
      },
    });
    const writer = new PcapngWriter(slow);
    const packet = packetOf({ bytes: new Uint8Array(1400) });
    let more = true;
    for (let i = 0; i < 200 && more; i++) more = writer.packet(packet);
    expect(more).toBe(false);
    expect(writer.bytes).toBeLessThan(140_000);
    let drained = false;
    const waiting = writer.drained().then(() => (drained = true));
    await new Promise(setImmediate);
    expect(drained).toBe(false);
    release.shift()!();
    await waiting;
    const ending = writer.end();
    const pump = setInterval(() => release.shift()?.(), 1);
    await ending;
    clearInterval(pump);
    expect(taken).toBe(writer.bytes);
  });

  it('an error of the stream comes out of drained and end, not from nowhere', async () => {
    const writer = new PcapngWriter(createWriteStream('/dev/full'));
    let more = true;
    for (let i = 0; i < 1000 && more; i++) more = writer.packet(packetOf({ length: 40 }));
    writer.flush();
    await expect(writer.end()).rejects.toThrow('ENOSPC');
    expect(writer.packet(packetOf({}))).toBe(false);
    await expect(writer.drained()).rejects.toThrow('ENOSPC');
  });
});

describe('writer and reader', () => {
  it('give back what they were given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arbitraryPacket, { maxLength: 20 }), async (packets) => {
        const file = scratch.file('round.pcapng', await written(packets));
        expect(await readAll(file)).toEqual(
          packets.map(({ seconds, nanoseconds, bytes, offset, originalLength }) => ({
            seconds,
            nanoseconds,
            bytes: Buffer.from(bytes.slice(offset)),
            originalLength,
            linkType: 101,
            hasTime: true,
          })),
        );
      }),
      { seed, numRuns: 60 },
    );
  });

  const several = (count: number): PacketToWrite[] =>
    Array.from({ length: count }, (_, i) =>
      packetOf({
        seconds: 1_700_000_000 + i,
        nanoseconds: 123_456_789,
        bytes: tcpPacket('198.51.100.2', '10.0.0.2', {
          srcPort: 4000,
          dstPort: 80,
          flags: 'S',
          payload: new Uint8Array(i),
        }),
        comment: `tunwall: drop no-inbound-rule, packet ${i}`,
        direction: i % 2 === 0 ? 'inbound' : 'outbound',
      }),
    );

  it.skipIf(!installed('tcpdump'))('tcpdump reads it', async () => {
    const file = scratch.file('tcpdump.pcapng', await written(several(50)));
    const output = execFileSync('tcpdump', ['-ttnr', file], { encoding: 'utf8' });
    const lines = output.trim().split('\n');
    expect(lines).toHaveLength(50);
    lines.forEach((line, i) => {
      expect(line).toContain(`${1_700_000_000 + i}.123456 IP 198.51.100.2.4000 > 10.0.0.2.80`);
      expect(line).toMatch(new RegExp(`length ${i}(:|$)`));
    });
  });

  it.skipIf(!installed('tshark'))('tshark reads it without a word of warning', async () => {
    const file = scratch.file('tshark.pcapng', await written(several(20)));
    const fields = [
      'frame.time_epoch',
      'frame.len',
      'frame.comment',
      'frame.packet_flags_direction',
    ];
    const shown = fields.flatMap((field) => ['-e', field]);
    const { stdout, stderr } = spawnSync('tshark', ['-r', file, '-T', 'fields', ...shown], {
      encoding: 'utf8',
    });
    expect(stderr.replace(/^Running as user "root".*\n/m, '')).toBe('');
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(rows).toEqual(
      several(20).map(({ seconds, length, comment }, i) => [
        `${seconds}.123456789`,
        String(length),
        comment,
        ['0x00000001', '0x00000002'][i % 2],
      ]),
    );
  });
});
