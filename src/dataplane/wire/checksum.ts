/**
 * The internet checksum (RFC 1071) over packet bytes.
 *
 * The one's complement sum does not depend on byte order, so the arena is also seen as 32-bit words in the machine's order, and
 * the halves of each are summed: half the loads, and every header starts at a multiple of 4 (a contract of the batch; header
 * lengths are multiples of 4 as well).
 */

/** A sum of 16-bit words as one, its carries added in. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Byte-swaps a 16-bit value on little-endian machines: a value in network order, as the machine reads it. */
export function asNetworkHalf(value: number): number {
  return littleEndian ? ((value & 0xff) << 8) | ((value >>> 8) & 0xff) : value & 0xffff;
}

/** A 32-bit word of the arena, read in network order, as a signed integer. */
export function asNetworkWord(value: number): number {
  if (!littleEndian) return value;
  const pairs = ((value & 0x00ff00ff) << 8) | ((value >>> 8) & 0x00ff00ff);
  return (pairs << 16) | (pairs >>> 16);
}

/** The two 16-bit halves of a word in the machine's order, added. */
export function sumOfHalves(word: number): number {
  return (word & 0xffff) + (word >>> 16);
}

/**
 * Unfolded sum of `length` bytes at `offset`, a multiple of 4. A last odd byte counts as the high byte of a 16-bit word.
 * At most 65,535 bytes, so that the sum stays below 2^31.
 */
function sumBytes(words: Int32Array, bytes: Uint8Array, offset: number, length: number): number {
  let sum = 0;
  const end = (offset + length) >> 2;
  for (let word = offset >> 2; word < end; word++) sum += sumOfHalves(words[word]!);
  const rest = length & 3;
  const at = offset + length - rest;
  if (rest >= 2) sum += asNetworkHalf((bytes[at]! << 8) | bytes[at + 1]!);
  if ((rest & 1) !== 0) sum += asNetworkHalf(bytes[offset + length - 1]! << 8);
  return sum;
}

/** Whether the unfolded sum of an IPv4 header, at most 15 words, is correct (RFC 791). */
export function isHeaderSum(sum: number): boolean {
  // Folding once leaves 0xffff exactly if so small a sum is a multiple of it.
  return (sum & 0xffff) + (sum >>> 16) === 0xffff;
}

/** Whether the ICMP message of `length` bytes at `offset` sums to zero (RFC 792). */
export function icmpChecksumOk(
  words: Int32Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): boolean {
  return fold(sumBytes(words, bytes, offset, length)) === 0xffff;
}

/**
 * Whether a TCP segment or UDP datagram sums to zero with its pseudo-header (RFC 9293 section 3.1, RFC 768).
 *
 * @param ipOffset start of the IPv4 header, whose addresses (bytes 12 to 19) enter the sum
 * @param l4Offset start of the TCP or UDP header
 * @param l4Length bytes from there to the end of the segment
 */
export function transportChecksumOk(
  words: Int32Array,
  bytes: Uint8Array,
  ipOffset: number,
  protocol: number,
  l4Offset: number,
  l4Length: number,
): boolean {
  let sum = asNetworkHalf(protocol) + asNetworkHalf(l4Length);
  const addresses = (ipOffset + 12) >> 2;
  sum += sumOfHalves(words[addresses]!) + sumOfHalves(words[addresses + 1]!);
  sum += sumBytes(words, bytes, l4Offset, l4Length);
  return fold(sum) === 0xffff;
}
