/**
 * The part of a capture file that is in memory: a buffer that slides along the file, and what the parsers of both formats
 * need of it.
 *
 * A parser looks at the bytes from `start` to `end`, and either takes some of them (`start` moves on), or says how many it
 * would need. The buffer holds {@link windowLength} bytes and never more than {@link maxRecordLength}; what is to be
 * skipped need not fit.
 */
import { CaptureError } from './capture-error.ts';
import type { PacketTime } from './timestamps.ts';

/** Bytes read at a time. */
export const windowLength: number = 1 << 20;
/** A record that has to be looked at as a whole is not longer than this. */
export const maxRecordLength: number = 4 << 20;
/** Most bytes of one packet: libpcap's MAXIMUM_SNAPLEN. */
export const maxCapturedLength = 262_144;

/** A packet as it lies in the file, link layer header first. The reader refills one of these. */
export interface CapturedPacket extends PacketTime {
  /** The window's memory: valid until the next `fill`. */
  bytes: Uint8Array;
  offset: number;
  /** Bytes that are in the file. */
  length: number;
  /** Bytes that were on the wire; more than `length` where the snap length cut the packet short. */
  originalLength: number;
  /** LINKTYPE_ of the interface it was captured on. */
  linkType: number;
  /** Whether the file has a time for this packet; if not, it is that of the one before. */
  hasTime: boolean;
}

export class CaptureWindow {
  readonly file: string;
  bytes: Uint8Array = new Uint8Array(windowLength);
  view: DataView = new DataView(this.bytes.buffer);
  /** What is not parsed yet. */
  start = 0;
  end = 0;
  /** Byte of the file that lies at index 0. */
  base = 0;
  /** Bytes after `end` to skip. */
  skipping = 0;
  /** Bytes from `start` on that the parser waits for. */
  needed = 0;

  constructor(file: string) {
    this.file = file;
  }

  get available(): number {
    return this.end - this.start;
  }

  /** Whether `length` bytes are there from `start` on; if not, remembers that they are needed. */
  has(length: number): boolean {
    if (this.end - this.start >= length) return true;
    this.needed = length;
    return false;
  }

  /** Goes on behind `length` bytes, which may not have been read yet. */
  skip(length: number): void {
    const here = Math.min(length, this.available);
    this.start += here;
    this.skipping = length - here;
  }

  /** Moves what is left to the front, and makes the buffer large enough for what the parser waits for. */
  makeRoom(): void {
    const rest = this.available;
    this.base += this.start;
    if (this.needed > this.bytes.length) {
      const grown = new Uint8Array(Math.min(maxRecordLength, Math.max(this.needed, rest * 2)));
      grown.set(this.bytes.subarray(this.start, this.end));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    } else {
      this.bytes.copyWithin(0, this.start, this.end);
    }
    this.start = 0;
    this.end = rest;
  }

  /** Takes note of `length` bytes that were read behind `end`. */
  added(length: number): void {
    const unwanted = Math.min(this.skipping, length);
    this.end += length;
    this.start += unwanted;
    this.skipping -= unwanted;
  }

  /** An error about the record at `start`. */
  error(problem: string): CaptureError {
    return new CaptureError(this.file, this.base + this.start, problem);
  }
}

/** How packets are found in the bytes of one format. */
export interface CaptureFormat {
  readonly name: 'pcap' | 'pcapng';
  /**
   * Takes the next packet out of the window. False: more bytes are needed (`window.needed`, or what is to be skipped).
   * Throws a {@link CaptureError}.
   */
  next(window: CaptureWindow, packet: CapturedPacket): boolean;
}
