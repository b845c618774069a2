/**
 * Writes packets as pcapng (draft-ietf-opsawg-pcapng) into a stream: one section, one interface of raw IP packets with
 * times in nanoseconds, a comment and a direction for each packet, and statistics at the end.
 *
 *     const writer = new PcapngWriter(stream, options);
 *     if (!writer.packet(packet)) await writer.drained();
 *     await writer.end();
 *
 * Blocks gather in chunks that the stream gets whole, so that writing a packet costs a copy and no call. `packet` says
 * false when the stream has enough for now, as the streams of Node do; a writer that goes on regardless makes the stream
 * hold all of it in memory. An error of the stream is remembered, and thrown by `drained` and `end`.
 */
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { maxCapturedLength } from './capture-window.ts';
import {
  BlockType,
  EnhancedField,
  InterfaceField,
  OptionCode,
  SectionField,
  blockTrailerLength,
  byteOrderMagic,
  padded,
} from './pcapng-blocks.ts';
import { LinkType } from './link-layer.ts';
import { putNanoseconds } from './timestamps.ts';
import type { PacketTime } from './timestamps.ts';

const chunkLength = 1 << 16;
/** The largest value of an option's 16-bit length that is a multiple of 4, even if the last character had to be left out. */
const maxOptionLength = 65_532;
const optionHeaderLength = 4;
/** if_tsresol: 10^-9 s. */
const nanosecondResolution = 9;
/** The section's length is not known beforehand: -1. */
const unknownLength = 0xffffffff;

/** Low bits of epb_flags. */
const directionFlags = { inbound: 1, outbound: 2 } as const;

export interface PcapngOptions {
  /** Machine, system and program that capture, as text. */
  readonly hardware?: string;
  readonly os?: string;
  readonly application?: string;
  readonly interfaceName?: string;
  /** Packets are truncated to this length. Default: the most that readers accept. */
  readonly snapLength?: number;
}

/** A packet as it is to be written, from its IP header on. */
export interface PacketToWrite extends Readonly<PacketTime> {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  /** Bytes on the wire. Default: `length`. */
  readonly originalLength?: number | undefined;
  /** Shown beside the packet by Wireshark: the verdict and its reason. */
  readonly comment?: string | undefined;
  readonly direction?: 'inbound' | 'outbound' | undefined;
}

/** Statistics of the whole capture, at the end of the file. */
export interface CaptureStatistics {
  /** Packets seen. Default: packets written. */
  readonly received?: number;
  /** Packets that should have been written and were lost. */
  readonly dropped?: number;
}

export class PcapngWriter {
  readonly #stream: Writable;
  readonly #snapLength: number;
  #chunk: Buffer = Buffer.allocUnsafe(chunkLength);
  #view: DataView = viewOf(this.#chunk);
  #used = 0;
  #error: Error | undefined;
  readonly #firstTime: PacketTime = { seconds: 0, nanoseconds: 0 };
  readonly #lastTime: PacketTime = { seconds: 0, nanoseconds: 0 };

  /** Packets and bytes of the file so far. */
  packets = 0;
  bytes = 0;

  /** @param stream is ended by `end` */
  constructor(stream: Writable, options: PcapngOptions = {}) {
    this.#stream = stream;
    this.#snapLength = options.snapLength ?? maxCapturedLength;
    stream.on('error', (error) => (this.#error ??= error));
    this.#writeSection(options);
    this.#writeInterface(options);
  }

  /** Takes a packet; its bytes are copied. False: wait for `drained` before the next one. */
  packet(packet: PacketToWrite): boolean {
    const captured = Math.min(packet.length, this.#snapLength);
    const { comment, direction } = packet;
    const commentLength = comment === undefined ? 0 : optionLength(comment);
    const flagsLength = direction === undefined ? 0 : optionHeaderLength + 4;
    const optionsLength = commentLength + flagsLength;
    const endLength = optionsLength === 0 ? 0 : optionHeaderLength;
    const dataLength = padded(captured);
    const length = EnhancedField.data + dataLength + optionsLength + endLength + blockTrailerLength;

    const start = this.#begin(BlockType.enhancedPacket, length);
    const view = this.#view;
    view.setUint32(start + EnhancedField.interface, 0, true);
    putNanoseconds(view, start + EnhancedField.timeHigh, packet);
    view.setUint32(start + EnhancedField.captured, captured, true);
    view.setUint32(start + EnhancedField.original, packet.originalLength ?? packet.length, true);
    let at = start + EnhancedField.data;
    this.#chunk.set(packet.bytes.subarray(packet.offset, packet.offset + captured), at);
    this.#chunk.fill(0, at + captured, at + dataLength);
    at += dataLength;
    if (comment !== undefined) at = this.#putText(at, OptionCode.comment, comment);
    if (direction !== undefined) {
      at = this.#putOption(at, OptionCode.epbFlags, 4);
      view.setUint32(at, directionFlags[direction], true);
      at += 4;
    }
    if (endLength !== 0) this.#putOption(at, OptionCode.end, 0);

    if (this.packets === 0) copyTime(this.#firstTime, packet);
    copyTime(this.#lastTime, packet);
    this.packets++;
    return this.#error === undefined && !this.#stream.writableNeedDrain;
  }

  /** Hands over what has gathered, so that a reader at the other end sees it. */
  flush(): void {
    if (this.#used === 0) return;
    if (this.#error === undefined) this.#stream.write(this.#chunk.subarray(0, this.#used));
    this.#newChunk(chunkLength);
  }

  /** Resolves when the stream takes more; throws the stream's error. */
  async drained(): Promise<void> {
    while (this.#error === undefined && this.#stream.writableNeedDrain) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          for (const event of events) this.#stream.off(event, done);
          resolve();
        };
        const events = ['drain', 'error', 'close'];
        for (const event of events) this.#stream.once(event, done);
      });
      if (this.#stream.destroyed) this.#error ??= new Error('the output was closed');
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** Writes statistics and ends the stream; resolves when everything is written, throws the stream's error. */
  async end(statistics: CaptureStatistics = {}): Promise<void> {
    this.#writeStatistics(statistics);
    this.flush();
    if (this.#error === undefined) {
      this.#stream.end();
      await finished(this.#stream).catch((error: unknown) => (this.#error ??= error as Error));
    }
    if (this.#error !== undefined) throw this.#error;
  }

  #writeSection({ hardware, os, application }: PcapngOptions): void {
    const texts: readonly Text[] = [
      [OptionCode.shbHardware, hardware],
      [OptionCode.shbOs, os],
      [OptionCode.shbApplication, application],
    ];
    const length = SectionField.options + optionsLength(texts) + blockTrailerLength;
    const start = this.#begin(BlockType.sectionHeader, length);
    this.#view.setUint32(start + SectionField.byteOrder, byteOrderMagic, true);
    this.#view.setUint16(start + SectionField.major, 1, true);
    this.#view.setUint16(start + SectionField.minor, 0, true);
    this.#view.setUint32(start + SectionField.minor + 2, unknownLength, true);
    this.#view.setUint32(start + SectionField.minor + 6, unknownLength, true);
    this.#putTexts(start + SectionField.options, texts);
  }

  #writeInterface({ interfaceName }: PcapngOptions): void {
    const texts: readonly Text[] = [[OptionCode.ifName, interfaceName]];
    const resolutionLength = optionHeaderLength + 4;
    const length =
      InterfaceField.options + resolutionLength + optionsLength(texts, true) + blockTrailerLength;
    const start = this.#begin(BlockType.interfaceDescription, length);
    this.#view.setUint32(start + InterfaceField.linkType, LinkType.raw, true);
    this.#view.setUint32(start + InterfaceField.snapLength, this.#snapLength, true);
    const at = this.#putOption(start + InterfaceField.options, OptionCode.ifTimeResolution, 1);
    this.#view.setUint32(at, nanosecondResolution, true);
    this.#putTexts(at + 4, texts, true);
  }

  #writeStatistics({ received = this.packets, dropped = 0 }: CaptureStatistics): void {
    const optionsAt = 20;
    const length = optionsAt + 4 * (optionHeaderLength + 8) + optionHeaderLength;
    const start = this.#begin(BlockType.interfaceStatistics, length + blockTrailerLength);
    const view = this.#view;
    view.setUint32(start + 8, 0, true);
    putNanoseconds(view, start + 12, this.#lastTime);
    let at = this.#putOption(start + optionsAt, OptionCode.isbStartTime, 8);
    putNanoseconds(view, at, this.#firstTime);
    at = this.#putOption(at + 8, OptionCode.isbEndTime, 8);
    putNanoseconds(view, at, this.#lastTime);
    at = this.#putOption(at + 8, OptionCode.isbReceived, 8);
    view.setBigUint64(at, BigInt(received), true);
    at = this.#putOption(at + 8, OptionCode.isbDropped, 8);
    view.setBigUint64(at, BigInt(dropped), true);
    this.#putOption(at + 8, OptionCode.end, 0);
  }

  /** Makes room for a block and writes its frame; returns where it starts. */
  #begin(type: number, length: number): number {
    if (this.#used + length > this.#chunk.length) {
      this.flush();
      if (length > this.#chunk.length) this.#newChunk(length);
    }
    const start = this.#used;
    this.#view.setUint32(start, type, true);
    this.#view.setUint32(start + 4, length, true);
    this.#view.setUint32(start + length - blockTrailerLength, length, true);
    this.#used += length;
    this.bytes += length;
    return start;
  }

  /** The stream keeps a chunk until it is written, so each is a new one. */
  #newChunk(length: number): void {
    this.#chunk = Buffer.allocUnsafe(length);
    this.#view = viewOf(this.#chunk);
    this.#used = 0;
  }

  /** Writes the head of an option; returns where its value goes. */
  #putOption(at: number, code: number, length: number): number {
    this.#view.setUint16(at, code, true);
    this.#view.setUint16(at + 2, length, true);
    return at + optionHeaderLength;
  }

  /** Writes an option of text, padded; returns where the next one goes. */
  #putText(at: number, code: number, text: string): number {
    const value = at + optionHeaderLength;
    const length = this.#chunk.write(text, value, Math.min(maxOptionLength, byteLength(text)));
    this.#putOption(at, code, length);
    const end = at + optionLength(text);
    this.#chunk.fill(0, value + length, end);
    return end;
  }

  #putTexts(start: number, texts: readonly Text[], endAlways = false): void {
    let at = start;
    for (const [code, text] of texts) {
      if (text !== undefined) at = this.#putText(at, code, text);
    }
    if (at !== start || endAlways) this.#putOption(at, OptionCode.end, 0);
  }
}

type Text = readonly [code: number, text: string | undefined];

function viewOf(chunk: Buffer): DataView {
  return new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

function byteLength(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/** Bytes of an option with a text: what is too long for one is cut off. */
function optionLength(text: string): number {
  return optionHeaderLength + padded(Math.min(maxOptionLength, byteLength(text)));
}

/** Bytes of the options with these texts, and of the mark behind them. */
function optionsLength(texts: readonly Text[], endAlways = false): number {
  const length = texts.reduce(
    (sum, [, text]) => sum + (text === undefined ? 0 : optionLength(text)),
    0,
  );
  return length === 0 && !endAlways ? 0 : length + optionHeaderLength;
}

function copyTime(into: PacketTime, { seconds, nanoseconds }: Readonly<PacketTime>): void {
  into.seconds = seconds;
  into.nanoseconds = nanoseconds;
}
