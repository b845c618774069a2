/** Big-endian reads from packet bytes. The caller has checked that they are there. */

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
