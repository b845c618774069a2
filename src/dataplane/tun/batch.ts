/** The memory of a batch, laid out as native/tunwall.h describes it. */
import type { PacketBatch } from './device.ts';

/** Control words; the native side exports its own, and a test compares them. */
export const ControlWord = {
  nowMs: 0,
  woken: 1,
  written: 2,
  writeFailures: 3,
  tcpRefused: 4,
  udpRefused: 5,
  lastErrno: 6,
} as const;

export const controlWords = 32;
export const packetAlignment = 64;
/** Largest packet with its virtio header. */
export const maxPacketLength: number = 10 + 65_535;

/** With io_uring: distance between packet buffers. */
export const ringBufferStride: number = 65_536 + 2 * packetAlignment;

/** How large a batch is. */
export interface BatchSize {
  /** Packets that one read takes at most. */
  readonly readSlots: number;
  /** Bytes that one read takes at most; room for a packet of the largest size is always kept. */
  readonly readBytes: number;
  /** Slots and bytes for packets that are appended. */
  readonly extraSlots: number;
  readonly extraBytes: number;
}

export const defaultBatchSize: BatchSize = {
  readSlots: 64,
  readBytes: 1 << 20,
  extraSlots: 0,
  extraBytes: 0,
};

/** With io_uring every packet has a buffer of the largest size: as many for the current batch as for the kernel to fill. */
export function ringBatchSize(size: BatchSize): BatchSize {
  return { ...size, readBytes: 2 * size.readSlots * ringBufferStride };
}

export interface Batch extends PacketBatch {
  readonly buffer: ArrayBuffer;
  readonly control: Uint32Array;
  readonly readBytes: number;
}

export function createBatch(size: BatchSize): Batch {
  const totalSlots = size.readSlots + size.extraSlots;
  const offsets = controlWords * 4;
  const lengths = offsets + totalSlots * 4;
  const verdicts = lengths + totalSlots * 4;
  const arena = Math.ceil((verdicts + totalSlots) / packetAlignment) * packetAlignment;
  // Room for the last packet of a read, however long it is.
  const readBytes = size.readBytes + maxPacketLength + packetAlignment;
  const spareOffset = arena + Math.ceil(readBytes / packetAlignment) * packetAlignment;
  const buffer = new ArrayBuffer(spareOffset + size.extraBytes);
  // Touched now: no packet waits for a page fault, and a flood does not grow the process.
  const bytes = new Uint8Array(buffer).fill(0);
  return {
    buffer,
    control: new Uint32Array(buffer, 0, controlWords),
    bytes,
    offsets: new Uint32Array(buffer, offsets, totalSlots),
    lengths: new Uint32Array(buffer, lengths, totalSlots),
    verdicts: new Uint8Array(buffer, verdicts, totalSlots),
    readSlots: size.readSlots,
    totalSlots,
    readBytes,
    spareOffset,
    spareLength: size.extraBytes,
  };
}
