/**
 * Numbers of the pcapng format (draft-ietf-opsawg-pcapng), which reader and writer share.
 *
 * Every block is its type, its length, a body padded to 32 bits, and its length again; a body may end with options: code,
 * length, value padded to 32 bits.
 */

export const BlockType = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  /** Obsolete, still found in old files. */
  packet: 2,
  simplePacket: 3,
  interfaceStatistics: 5,
  enhancedPacket: 6,
} as const;

export const byteOrderMagic = 0x1a2b3c4d;

/** Type and length in front of the body, and the length behind it. */
export const blockHeaderLength = 8;
export const blockTrailerLength = 4;

export const OptionCode = {
  end: 0,
  comment: 1,
  shbHardware: 2,
  shbOs: 3,
  shbApplication: 4,
  ifName: 2,
  ifDescription: 3,
  ifTimeResolution: 9,
  ifTimeOffset: 14,
  epbFlags: 2,
  isbStartTime: 2,
  isbEndTime: 3,
  isbReceived: 4,
  isbDropped: 5,
} as const;

/** Where the fixed fields of the block bodies lie, from the start of the block. */
export const SectionField = { byteOrder: 8, major: 12, minor: 14, options: 24 } as const;
export const InterfaceField = { linkType: 8, snapLength: 12, options: 16 } as const;
export const EnhancedField = {
  interface: 8,
  timeHigh: 12,
  timeLow: 16,
  captured: 20,
  original: 24,
  data: 28,
} as const;
/** The obsolete block has a 16-bit interface and a drop count instead of a 32-bit interface; else it is the same. */
export const SimpleField = { original: 8, data: 12 } as const;

/** Bytes up to the next multiple of four. */
export function padded(length: number): number {
  return (length + 3) & ~3;
}
