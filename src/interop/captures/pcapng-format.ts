/**
 * Reading pcapng: sections one after the other, each in its own byte order and with its own interfaces; packets in
 * enhanced, simple and obsolete packet blocks; every other block is skipped.
 *
 * State lives as long as a section: its byte order and its interfaces. A simple packet has no time and belongs to the first
 * interface.
 */
import { maxCapturedLength, maxRecordLength } from './capture-window.ts';
import type { CaptureFormat, CaptureWindow, CapturedPacket } from './capture-window.ts';
import {
  BlockType,
  EnhancedField,
  InterfaceField,
  OptionCode,
  SectionField,
  SimpleField,
  blockHeaderLength,
  blockTrailerLength,
  byteOrderMagic,
  padded,
} from './pcapng-blocks.ts';
import { setTimeFromUnits } from './timestamps.ts';

/** A section with more interfaces than this is no capture. */
const maxInterfaces = 65_536;
const minimumBlockLength: number = blockHeaderLength + blockTrailerLength;

interface Interface {
  readonly linkType: number;
  /** 0: no limit. */
  readonly snapLength: number;
  unitsPerSecond: number;
  offsetSeconds: number;
}

export class PcapngFormat implements CaptureFormat {
  readonly name = 'pcapng';
  #littleEndian = true;
  #interfaces: Interface[] = [];

  /** The format, if the window starts with a section header. */
  static detect(window: CaptureWindow): PcapngFormat | undefined {
    const type = window.view.getUint32(window.start, true);
    return type === BlockType.sectionHeader ? new PcapngFormat() : undefined;
  }

  next(window: CaptureWindow, packet: CapturedPacket): boolean {
    for (;;) {
      if (!window.has(minimumBlockLength)) return false;
      // The type of a section header reads the same both ways; its byte order comes before its length.
      const type = window.view.getUint32(window.start, this.#littleEndian);
      if (type === BlockType.sectionHeader) this.#readByteOrder(window);
      const length = this.#blockLength(window);
      if (length > maxRecordLength) {
        if (isOfInterest(type)) {
          throw window.error(`a block of ${length} bytes: expected at most ${maxRecordLength}`);
        }
        window.skip(length);
        return false;
      }
      if (!window.has(length)) return false;
      this.#checkTrailer(window, length);
      const isPacket = this.#readBlock(window, type, length, packet);
      window.start += length;
      if (isPacket) return true;
    }
  }

  #readByteOrder(window: CaptureWindow): void {
    const at = window.start + SectionField.byteOrder;
    if (window.view.getUint32(at, true) === byteOrderMagic) this.#littleEndian = true;
    else if (window.view.getUint32(at, false) === byteOrderMagic) this.#littleEndian = false;
    else throw window.error('a section header without the byte-order magic 1a2b3c4d');
  }

  #blockLength(window: CaptureWindow): number {
    const length = window.view.getUint32(window.start + 4, this.#littleEndian);
    if (length < minimumBlockLength || length % 4 !== 0) {
      throw window.error(
        `a block of ${length} bytes: expected a multiple of 4, at least ${minimumBlockLength}`,
      );
    }
    return length;
  }

  #checkTrailer(window: CaptureWindow, length: number): void {
    const at = window.start + length - blockTrailerLength;
    const again = window.view.getUint32(at, this.#littleEndian);
    if (again !== length) {
      throw window.error(`a block that begins with length ${length} and ends with ${again}`);
    }
  }

  /** Reads one whole block; true if it was a packet. */
  #readBlock(window: CaptureWindow, type: number, length: number, packet: CapturedPacket): boolean {
    switch (type) {
      case BlockType.sectionHeader:
        this.#readSection(window, length);
        return false;
      case BlockType.interfaceDescription:
        this.#readInterface(window, length);
        return false;
      case BlockType.enhancedPacket:
      case BlockType.packet:
        this.#readPacket(window, type, length, packet);
        return true;
      case BlockType.simplePacket:
        this.#readSimplePacket(window, length, packet);
        return true;
      default:
        return false;
    }
  }

  #readSection(window: CaptureWindow, length: number): void {
    expectLength(window, length, SectionField.options);
    const major = window.view.getUint16(window.start + SectionField.major, this.#littleEndian);
    if (major !== 1) throw window.error(`pcapng version ${major}: expected 1`);
    this.#interfaces = [];
  }

  #readInterface(window: CaptureWindow, length: number): void {
    expectLength(window, length, InterfaceField.options);
    if (this.#interfaces.length === maxInterfaces) {
      throw window.error(`more than ${maxInterfaces} interfaces in one section`);
    }
    const { view, start } = window;
    const described: Interface = {
      linkType: view.getUint16(start + InterfaceField.linkType, this.#littleEndian),
      snapLength: view.getUint32(start + InterfaceField.snapLength, this.#littleEndian),
      unitsPerSecond: 1_000_000,
      offsetSeconds: 0,
    };
    const end = start + length - blockTrailerLength;
    let at = start + InterfaceField.options;
    while (at + 4 <= end) {
      const code = view.getUint16(at, this.#littleEndian);
      const valueLength = view.getUint16(at + 2, this.#littleEndian);
      const value = at + 4;
      if (code === OptionCode.end) break;
      if (value + valueLength > end) throw window.error('an option that is longer than its block');
      if (code === OptionCode.ifTimeResolution && valueLength === 1) {
        described.unitsPerSecond = unitsPerSecond(window, window.bytes[value]!);
      } else if (code === OptionCode.ifTimeOffset && valueLength === 8) {
        described.offsetSeconds = Number(view.getBigInt64(value, this.#littleEndian));
      }
      at = value + padded(valueLength);
    }
    this.#interfaces.push(described);
  }

  #readPacket(window: CaptureWindow, type: number, length: number, packet: CapturedPacket): void {
    expectLength(window, length, EnhancedField.data);
    const littleEndian = this.#littleEndian;
    const { view, start } = window;
    const index =
      type === BlockType.enhancedPacket
        ? view.getUint32(start + EnhancedField.interface, littleEndian)
        : view.getUint16(start + EnhancedField.interface, littleEndian);
    const from = this.#interface(window, index);
    const captured = view.getUint32(start + EnhancedField.captured, littleEndian);
    const room = length - EnhancedField.data - blockTrailerLength;
    expectCaptured(window, captured, room);
    const high = view.getUint32(start + EnhancedField.timeHigh, littleEndian);
    const low = view.getUint32(start + EnhancedField.timeLow, littleEndian);
    setTimeFromUnits(packet, high, low, from.unitsPerSecond, from.offsetSeconds);
    packet.hasTime = true;
    packet.bytes = window.bytes;
    packet.offset = start + EnhancedField.data;
    packet.length = captured;
    packet.originalLength = Math.max(
      captured,
      view.getUint32(start + EnhancedField.original, littleEndian),
    );
    packet.linkType = from.linkType;
  }

  #readSimplePacket(window: CaptureWindow, length: number, packet: CapturedPacket): void {
    expectLength(window, length, SimpleField.data);
    const from = this.#interface(window, 0);
    const original = window.view.getUint32(window.start + SimpleField.original, this.#littleEndian);
    const captured = from.snapLength === 0 ? original : Math.min(original, from.snapLength);
    expectCaptured(window, captured, length - SimpleField.data - blockTrailerLength);
    packet.hasTime = false;
    packet.bytes = window.bytes;
    packet.offset = window.start + SimpleField.data;
    packet.length = captured;
    packet.originalLength = original;
    packet.linkType = from.linkType;
  }

  #interface(window: CaptureWindow, index: number): Interface {
    const found = this.#interfaces[index];
    if (found === undefined) {
      throw window.error(
        `a packet of interface ${index}: this section describes ${this.#interfaces.length}`,
      );
    }
    return found;
  }
}

/** Blocks that may not be skipped. */
function isOfInterest(type: number): boolean {
  return (
    type === BlockType.sectionHeader ||
    type === BlockType.interfaceDescription ||
    type === BlockType.enhancedPacket ||
    type === BlockType.packet ||
    type === BlockType.simplePacket
  );
}

function expectLength(window: CaptureWindow, length: number, fixed: number): void {
  const least = fixed + blockTrailerLength;
  if (length < least) throw window.error(`a block of ${length} bytes: expected at least ${least}`);
}

function expectCaptured(window: CaptureWindow, captured: number, room: number): void {
  if (captured > room) {
    throw window.error(`a packet of ${captured} bytes in a block that has room for ${room}`);
  }
  if (captured > maxCapturedLength) {
    throw window.error(
      `a packet of ${captured} captured bytes: expected at most ${maxCapturedLength}`,
    );
  }
}

/** if_tsresol: a negative power of ten, or of two if the top bit is set. */
function unitsPerSecond(window: CaptureWindow, resolution: number): number {
  const exponent = resolution & 0x7f;
  const isPowerOfTwo = (resolution & 0x80) !== 0;
  if (exponent > (isPowerOfTwo ? 63 : 19)) {
    throw window.error(`a time resolution of ${isPowerOfTwo ? 2 : 10}^-${exponent} seconds`);
  }
  return (isPowerOfTwo ? 2 : 10) ** exponent;
}
