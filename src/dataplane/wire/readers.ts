/** Big-endian reads and writes of packet bytes. The caller has checked that they are there. */

export function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

/** A 32-bit value as a signed integer. */
export function readI32(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset]! << 24) |
    (bytes[offset + 1]! << 16) |
    (bytes[offset + 2]! << 8) |
    bytes[offset + 3]!
  );
}

export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

export function writeI32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Copies bytes between arrays. A loop, because `set` needs a view, and a view is an object per fragment. */
export function copyBytes(
  from: Uint8Array,
  fromAt: number,
  into: Uint8Array,
  at: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) into[at + i] = from[fromAt + i]!;
}
