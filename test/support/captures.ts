/** Capture files for tests, put together field by field, in either byte order, and read as a whole. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { CaptureReader } from '../../src/interop/captures/pcap-reader.ts';
import { PcapngWriter } from '../../src/interop/captures/pcapng-writer.ts';
import type {
  CaptureStatistics,
  PacketToWrite,
  PcapngOptions,
} from '../../src/interop/captures/pcapng-writer.ts';

export interface ReadPacket {
  seconds: number;
  nanoseconds: number;
  bytes: Buffer;
  originalLength: number;
  linkType: number;
  hasTime: boolean;
}

/** A directory that other users may read, as tcpdump wants it; removed by `remove`. */
export class ScratchDirectory {
  readonly path: string = mkdtempSync(join(tmpdir(), 'tunwall-capture-'));

  file(name: string, content: Uint8Array): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.path, { recursive: true });
  }
}

export async function readAll(path: string): Promise<ReadPacket[]> {
  const reader = await CaptureReader.open(path);
  const packets: ReadPacket[] = [];
  try {
    while (await reader.fill()) {
      while (reader.next()) {
        const { seconds, nanoseconds, originalLength, linkType, hasTime, ...at } = reader.packet;
        const bytes = Buffer.from(at.bytes.slice(at.offset, at.offset + at.length));
        packets.push({ seconds, nanoseconds, bytes, originalLength, linkType, hasTime });
      }
    }
  } finally {
    await reader.close();
  }
  return packets;
}

/** What the writer makes of packets, as one buffer. */
export async function written(
  packets: readonly PacketToWrite[],
  options: PcapngOptions = {},
  statistics: CaptureStatistics = {},
): Promise<Buffer> {
  const stream = new PassThrough();
  const gathered: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => gathered.push(chunk));
  const writer = new PcapngWriter(stream, options);
  for (const packet of packets) {
    if (!writer.packet(packet)) await writer.drained();
  }
  await writer.end(statistics);
  return Buffer.concat(gathered);
}

export interface Recorded {
  seconds?: number;
  /** Of the second, in the file's unit. */
  fraction?: number;
  bytes: Uint8Array;
  originalLength?: number;
}

export interface PcapFields {
  littleEndian?: boolean;
  magic?: number;
  linkType?: number;
  major?: number;
}

/** Numbers of 16 and 32 bits in one byte order. */
function numbers(littleEndian: boolean): {
  u16: (...values: number[]) => Buffer;
  u32: (...values: number[]) => Buffer;
} {
  const put = (size: 2 | 4, values: number[]): Buffer => {
    const buffer = Buffer.alloc(size * values.length);
    values.forEach((value, i) =>
      littleEndian
        ? buffer.writeUIntLE(value, i * size, size)
        : buffer.writeUIntBE(value, i * size, size),
    );
    return buffer;
  };
  return { u16: (...values) => put(2, values), u32: (...values) => put(4, values) };
}

export function pcapFile(packets: readonly Recorded[], fields: PcapFields = {}): Buffer {
  const { littleEndian = true, magic = 0xa1b2c3d4, linkType = 101, major = 2 } = fields;
  const { u16, u32 } = numbers(littleEndian);
  return Buffer.concat([
    u32(magic),
    u16(major, 4),
    u32(0, 0, 262_144, linkType),
    ...packets.flatMap(({ seconds = 0, fraction = 0, bytes, originalLength }) => [
      u32(seconds, fraction, bytes.length, originalLength ?? bytes.length),
      bytes,
    ]),
  ]);
}

/** Blocks of pcapng in one byte order. */
export class PcapngBlocks {
  readonly u16: (...values: number[]) => Buffer;
  readonly u32: (...values: number[]) => Buffer;

  constructor(littleEndian: boolean) {
    const { u16, u32 } = numbers(littleEndian);
    this.u16 = u16;
    this.u32 = u32;
  }

  block(type: number, ...body: Uint8Array[]): Buffer {
    const content = this.padded(Buffer.concat(body));
    const length = content.length + 12;
    return Buffer.concat([this.u32(type, length), content, this.u32(length)]);
  }

  padded(bytes: Uint8Array): Buffer {
    return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  }

  option(code: number, value: Uint8Array): Buffer {
    return Buffer.concat([this.u16(code, value.length), this.padded(value)]);
  }

  section(...options: Uint8Array[]): Buffer {
    const unknownLength = [0xffffffff, 0xffffffff] as const;
    const head = [this.u32(0x1a2b3c4d), this.u16(1, 0), this.u32(...unknownLength)];
    return this.block(0x0a0d0d0a, ...head, ...options);
  }

  interface(linkType: number, snapLength = 0, ...options: Uint8Array[]): Buffer {
    return this.block(1, this.u16(linkType, 0), this.u32(snapLength), ...options);
  }

  enhanced(on: number, units: bigint, bytes: Uint8Array, original: number = bytes.length): Buffer {
    const [high, low] = [Number(units >> 32n), Number(units & 0xffffffffn)];
    return this.block(6, this.u32(on, high, low, bytes.length, original), bytes);
  }

  obsolete(on: number, units: bigint, bytes: Uint8Array): Buffer {
    const [high, low] = [Number(units >> 32n), Number(units & 0xffffffffn)];
    const lengths = this.u32(high, low, bytes.length, bytes.length);
    return this.block(2, this.u16(on, 0xffff), lengths, bytes);
  }

  simple(bytes: Uint8Array, original: number = bytes.length): Buffer {
    return this.block(3, this.u32(original), bytes);
  }
}
