/**
 * Reads packets from a capture file, pcap or pcapng, of any size, in bounded memory:
 *
 *     const reader = await CaptureReader.open(path);
 *     while (await reader.fill()) while (reader.next()) use(reader.packet);
 *     await reader.close();
 *
 * `fill` reads the next megabyte, `next` takes packets out of it without waiting and without allocating. Whatever the file
 * holds, the only error is a {@link CaptureError} that names file and byte. /dev/stdin is a file too.
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { CaptureError } from './capture-error.ts';
import { CaptureWindow } from './capture-window.ts';
import type { CaptureFormat, CapturedPacket } from './capture-window.ts';
import { PcapFormat } from './pcap-format.ts';
import { PcapngFormat } from './pcapng-format.ts';
import { reasonOf } from '../../text/system-errors.ts';

/** What captures are compressed with: first bytes, name, and a command that undoes it. */
const compressions: readonly (readonly [magic: string, name: string, command: string])[] = [
  ['1f8b', 'gzip', 'gunzip'],
  ['28b52ffd', 'zstd', 'unzstd'],
  ['fd377a58', 'xz', 'unxz'],
  ['425a68', 'bzip2', 'bunzip2'],
  ['04224d18', 'lz4', 'unlz4'],
];

const magicLength = 4;

export class CaptureReader {
  readonly #file: FileHandle;
  readonly #window: CaptureWindow;
  #format: CaptureFormat | undefined;
  #ended = false;
  /** Bytes of the file; 0 where that is unknown, as of a pipe. */
  readonly size: number;

  /** The packet that `next` found last. */
  readonly packet: CapturedPacket;

  static async open(path: string): Promise<CaptureReader> {
    try {
      const file = await open(path, 'r');
      const stats = await file.stat();
      if (!stats.isDirectory()) return new CaptureReader(path, file, stats.size);
      await file.close();
    } catch (error) {
      throw new CaptureError(path, undefined, `cannot be read: ${reasonOf(error)}`);
    }
    throw new CaptureError(path, undefined, 'cannot be read: it is a directory');
  }

  private constructor(path: string, file: FileHandle, size: number) {
    this.#file = file;
    this.#window = new CaptureWindow(path);
    this.size = size;
    this.packet = {
      seconds: 0,
      nanoseconds: 0,
      bytes: this.#window.bytes,
      offset: 0,
      length: 0,
      originalLength: 0,
      linkType: 0,
      hasTime: false,
    };
  }

  /** Bytes of the file that have been parsed. */
  get position(): number {
    return this.#window.base + this.#window.start;
  }

  /** Known once the first `fill` was there. */
  get format(): CaptureFormat['name'] | undefined {
    return this.#format?.name;
  }

  /** Reads on; the packet that `next` gave last is gone. False at the end of the file. */
  async fill(): Promise<boolean> {
    const window = this.#window;
    for (;;) {
      if (this.#ended) return false;
      window.makeRoom();
      // Full of packets that were not taken yet.
      if (window.end === window.bytes.length) return true;
      const { bytesRead } = await this.#read();
      if (bytesRead === 0) {
        this.#ended = true;
        this.#checkEnd();
        return false;
      }
      window.added(bytesRead);
      if (this.#format === undefined && window.available >= magicLength) {
        this.#format = this.#detect();
      }
      if (this.#format !== undefined && window.skipping === 0) return true;
    }
  }

  /** Finds the next packet in what has been read; false if that is used up. */
  next(): boolean {
    return this.#window.skipping === 0 && this.#format?.next(this.#window, this.packet) === true;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #read(): Promise<{ bytesRead: number }> {
    const { bytes, end, file } = this.#window;
    try {
      return await this.#file.read(bytes, end, bytes.length - end, null);
    } catch (error) {
      throw new CaptureError(file, this.position, `cannot be read: ${reasonOf(error)}`);
    }
  }

  #detect(): CaptureFormat {
    const window = this.#window;
    const format = PcapngFormat.detect(window) ?? PcapFormat.detect(window);
    if (format !== undefined) return format;
    const first = Buffer.from(window.bytes.subarray(window.start, window.start + 4)).toString(
      'hex',
    );
    for (const [magic, name, command] of compressions) {
      if (!first.startsWith(magic)) continue;
      throw new CaptureError(
        window.file,
        undefined,
        `compressed with ${name}, which is not supported`,
        `uncompress it first: ${command} < ${window.file} > FILE`,
      );
    }
    throw this.#notACapture(`it begins with ${first}`);
  }

  /** A file has to end behind a packet. */
  #checkEnd(): void {
    const window = this.#window;
    if (this.#format === undefined) {
      throw this.#notACapture(window.available === 0 ? 'it is empty' : 'it is too short');
    }
    if (window.skipping > 0) {
      throw window.error(`the file ends ${window.skipping} bytes before the end of a block`);
    }
    if (window.available > 0) {
      throw window.error(
        `the file ends in the middle of a record: ${window.available} bytes of at least ${window.needed} are there`,
      );
    }
  }

  #notACapture(why: string): CaptureError {
    return new CaptureError(
      this.#window.file,
      undefined,
      `not a pcap or pcapng file: ${why}`,
      'tcpdump -w and Wireshark write such files',
    );
  }
}
