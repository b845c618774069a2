/** Batches in memory, laid out as the TUN device does it: what a test feeds to the parser or the engine. */

export const vnetLength = 10;

/** A packet on its way through a batch; flags and segmentation type as in the virtio header (1 = partial checksum). */
export interface BatchPacket {
  bytes: Uint8Array;
  vnetFlags?: number;
  gsoType?: number;
}

export class MemoryBatch {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly verdicts: Uint8Array;
  readonly readSlots: number;
  readonly totalSlots: number;
  readonly spareOffset: number;
  readonly spareLength: number;

  constructor(readSlots = 64, arenaLength = 1_048_576, extraSlots = 256, spareLength = 262_144) {
    this.bytes = new Uint8Array(arenaLength + spareLength);
    this.words = new Int32Array(this.bytes.buffer);
    this.readSlots = readSlots;
    this.totalSlots = readSlots + extraSlots;
    this.offsets = new Uint32Array(this.totalSlots);
    this.lengths = new Uint32Array(this.totalSlots);
    this.verdicts = new Uint8Array(this.totalSlots);
    this.spareOffset = arenaLength;
    this.spareLength = spareLength;
  }

  /** Lays the packets out, each IPv4 header at an offset of 64k + 16. Returns their count. */
  fill(packets: readonly (Uint8Array | BatchPacket)[]): number {
    let at = 6;
    packets.forEach((packet, slot) => {
      const {
        bytes,
        vnetFlags = 0,
        gsoType = 0,
      } = packet instanceof Uint8Array ? { bytes: packet } : packet;
      this.bytes.fill(0, at, at + vnetLength);
      this.bytes[at] = vnetFlags;
      this.bytes[at + 1] = gsoType;
      this.bytes.set(bytes, at + vnetLength);
      this.offsets[slot] = at;
      this.lengths[slot] = vnetLength + bytes.length;
      at = ((at + vnetLength + bytes.length + 63) & ~63) + 6;
    });
    this.verdicts.fill(0);
    return packets.length;
  }
}
