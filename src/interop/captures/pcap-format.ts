/**
 * The pcap format (draft-ietf-opsawg-pcap): one file header, then packets behind 16-byte record headers, in the byte order
 * of the machine that wrote them, with times in microseconds or nanoseconds.
 */
import { maxCapturedLength } from './capture-window.ts';
import type { CaptureFormat, CaptureWindow, CapturedPacket } from './capture-window.ts';

const fileHeaderLength = 24;
const recordHeaderLength = 16;

/** Magic numbers as the writer's byte order has them. */
const microsecondMagic = 0xa1b2c3d4;
const nanosecondMagic = 0xa1b23c4d;
/** A patched libpcap of old whose record headers are longer. */
const modifiedMagic = 0xa1b2cd34;

/** The fields behind the magic number. */
const FileHeader = { majorVersion: 4, linkType: 20 } as const;

/** The upper bits hold the length of the frame check sequence. */
const linkTypeMask = 0xffff;

const Record = { seconds: 0, fraction: 4, capturedLength: 8, originalLength: 12 } as const;

export class PcapFormat implements CaptureFormat {
  readonly name = 'pcap';
  readonly #littleEndian: boolean;
  readonly #nanosecondsPerUnit: number;
  #linkType = -1;

  /** The format, if the window starts with one of its magic numbers. */
  static detect(window: CaptureWindow): PcapFormat | undefined {
    for (const littleEndian of [true, false]) {
      const magic = window.view.getUint32(window.start, littleEndian);
      if (magic === microsecondMagic) return new PcapFormat(littleEndian, 1000);
      if (magic === nanosecondMagic) return new PcapFormat(littleEndian, 1);
      if (magic === modifiedMagic) {
        throw window.error('a variant of pcap ("modified", magic a1b2cd34) that is not supported');
      }
    }
    return undefined;
  }

  private constructor(littleEndian: boolean, nanosecondsPerUnit: number) {
    this.#littleEndian = littleEndian;
    this.#nanosecondsPerUnit = nanosecondsPerUnit;
  }

  next(window: CaptureWindow, packet: CapturedPacket): boolean {
    const littleEndian = this.#littleEndian;
    if (this.#linkType < 0 && !this.#readFileHeader(window)) return false;
    if (!window.has(recordHeaderLength)) return false;
    const { start, view } = window;
    const length = view.getUint32(start + Record.capturedLength, littleEndian);
    if (length > maxCapturedLength) {
      throw window.error(
        `a packet of ${length} captured bytes: expected at most ${maxCapturedLength}; the file is damaged here`,
      );
    }
    if (!window.has(recordHeaderLength + length)) return false;
    const fraction = view.getUint32(start + Record.fraction, littleEndian);
    const nanoseconds = fraction * this.#nanosecondsPerUnit;
    if (nanoseconds >= 1e9) {
      throw window.error(`a packet time with a fraction of ${fraction}, which is over a second`);
    }
    packet.seconds = view.getUint32(start + Record.seconds, littleEndian);
    packet.nanoseconds = nanoseconds;
    packet.hasTime = true;
    packet.bytes = window.bytes;
    packet.offset = start + recordHeaderLength;
    packet.length = length;
    packet.originalLength = Math.max(
      length,
      view.getUint32(start + Record.originalLength, littleEndian),
    );
    packet.linkType = this.#linkType;
    window.start += recordHeaderLength + length;
    return true;
  }

  #readFileHeader(window: CaptureWindow): boolean {
    if (!window.has(fileHeaderLength)) return false;
    const { start, view } = window;
    const version = view.getUint16(start + FileHeader.majorVersion, this.#littleEndian);
    if (version !== 2) throw window.error(`pcap version ${version}: expected 2`);
    const linkType = view.getUint32(start + FileHeader.linkType, this.#littleEndian);
    this.#linkType = linkType & linkTypeMask;
    window.start += fileHeaderLength;
    return true;
  }
}
