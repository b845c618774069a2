/**
 * The memory of held fragments: of fixed size, shared by the packet threads (fragments.ts works on it).
 *
 * Packet data lies in chunks of 2 KiB, a fragment in as many as it needs; a fragment's record is that of its first chunk.
 * Records are structures of 32-bit words, named by index; index 0 is no record.
 */

export const fragmentChunkLength = 2048;
export const fragmentBucketCount = 1024;
export const fragmentSourceCount = 4096;

/** Words of a datagram record. */
export const DatagramWord = {
  srcAddr: 0,
  dstAddr: 1,
  /** Protocol << 16 | identification. */
  key: 2,
  createdMs: 3,
  /** Next of the same bucket, or next free record. */
  chain: 4,
  /** Neighbours in order of creation. */
  older: 5,
  newer: 6,
  firstFragment: 7,
  lastFragment: 8,
  fragments: 9,
  /** Payload bytes held. */
  received: 10,
  /** Payload bytes of the whole; 0 until the last fragment was seen. */
  total: 11,
  /** Highest payload byte held + 1. */
  highest: 12,
  /** IPv4 bytes held, headers included. */
  packetBytes: 13,
  /** Why all further fragments are dropped; 0 = they are not. */
  dead: 14,
  /** The count of its source's fragments when the last one of this datagram came. */
  sourceCount: 15,
} as const;
export const datagramShift = 4;

/** Words of a fragment record, which is that of its first chunk. */
export const FragmentWord = {
  next: 0,
  offset: 1,
  payload: 2,
  /** Bytes stored: the virtio header and the packet. */
  stored: 3,
  headerLength: 4,
  /** Next chunk of the same fragment, or next free chunk. */
  chunk: 5,
} as const;
export const fragmentShift = 3;

/** Words of the control array. */
export const FragmentControl = {
  freeChunk: 0,
  freshChunk: 1,
  usedChunks: 2,
  freeDatagram: 3,
  freshDatagram: 4,
  oldest: 5,
  newest: 6,
  datagrams: 7,
  buckets: 16,
  /** Fragments by source, counted modulo 2^32 in places that are shared at random. */
  sourceCounts: 16 + fragmentBucketCount,
} as const;

export interface FragmentMemory {
  readonly chunks: number;
  readonly data: SharedArrayBuffer;
  readonly fragments: SharedArrayBuffer;
  readonly datagrams: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly hashKey: readonly [number, number];
}

/** Counts the fragments of a datagram that is dropped. */
export interface FragmentDropCounter {
  countFragments(
    reason: number,
    protocol: number,
    srcAddr: number,
    dstAddr: number,
    packets: number,
    bytes: number,
  ): void;
}

/** @param bytes for packet data; records come on top, 96 bytes for each 2 KiB */
export function createFragmentMemory(
  bytes: number,
  hashKey: readonly [number, number],
): FragmentMemory {
  const chunks = Math.max(64, Math.floor(bytes / fragmentChunkLength));
  const control = new SharedArrayBuffer((FragmentControl.sourceCounts + fragmentSourceCount) * 4);
  const words = new Int32Array(control);
  words[FragmentControl.freshChunk] = 1;
  words[FragmentControl.freshDatagram] = 1;
  return {
    chunks,
    data: new SharedArrayBuffer((chunks + 1) * fragmentChunkLength),
    fragments: new SharedArrayBuffer((chunks + 1) << (fragmentShift + 2)),
    datagrams: new SharedArrayBuffer((chunks + 1) << (datagramShift + 2)),
    control,
    hashKey,
  };
}

/** Incomplete datagrams. */
export function fragmentDatagramsHeld(memory: FragmentMemory): number {
  return new Int32Array(memory.control)[FragmentControl.datagrams]!;
}

/** Bytes of packet data held, as the metric shows it: whole chunks. */
export function fragmentBytesHeld(memory: FragmentMemory): number {
  return new Int32Array(memory.control)[FragmentControl.usedChunks]! * fragmentChunkLength;
}
