/**
 * The internet checksum (RFC 1071) over packet bytes.
 *
 * The one's complement sum does not depend on byte order, so words are summed as the machine reads them: the arena is also
 * seen as 16-bit words, and every header starts at an even offset (a contract of the batch: the IPv4 header is 4-aligned).
 */

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/** Byte-swaps a 16-bit value on little-endian machines: a value in network order, as the word view reads it. */
const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

export function asNetworkWord(value: number): number {
  return littleEndian ? ((value & 0xff) << 8) | ((value >>> 8) & 0xff) : value & 0xffff;
}

/**
 * Unfolded sum of `length` bytes at the even `offset`. A last odd byte counts as the high byte of a word.
 * At most 65,535 bytes, so that the sum stays below 2^31.
 */
export function sumWords(
  words: Uint16Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): number {
  let sum = 0;
  const end = (offset + length) >> 1;
  for (let word = offset >> 1; word < end; word++) sum += words[word]!;
  if ((length & 1) !== 0) sum += asNetworkWord(bytes[offset + length - 1]! << 8);
  return sum;
}

/** Whether the IPv4 header of `length` bytes at `offset` sums to zero (RFC 791). */
export function ipv4HeaderChecksumOk(words: Uint16Array, offset: number, length: number): boolean {
  const at = offset >> 1;
  // Written out for the header that nearly every packet has: a loop costs more than the sum.
  let sum =
    words[at]! +
    words[at + 1]! +
    words[at + 2]! +
    words[at + 3]! +
    words[at + 4]! +
    words[at + 5]! +
    words[at + 6]! +
    words[at + 7]! +
    words[at + 8]! +
    words[at + 9]!;
  const end = (offset + length) >> 1;
  for (let word = at + 10; word < end; word++) sum += words[word]!;
  // At most 30 words: folding once leaves 0xffff exactly if the sum is a multiple of it.
  return (sum & 0xffff) + (sum >>> 16) === 0xffff;
}

/** Whether the ICMP message of `length` bytes at `offset` sums to zero (RFC 792). */
export function icmpChecksumOk(
  words: Uint16Array,
  bytes: Uint8Array,
  offset: number,
  length: number,
): boolean {
  return fold(sumWords(words, bytes, offset, length)) === 0xffff;
}

/**
 * Whether a TCP segment or UDP datagram sums to zero with its pseudo-header (RFC 9293 section 3.1, RFC 768).
 *
 * @param ipOffset start of the IPv4 header, whose addresses (bytes 12 to 19) enter the sum
 * @param l4Offset start of the TCP or UDP header
 * @param l4Length bytes from there to the end of the segment
 */
export function transportChecksumOk(
  words: Uint16Array,
  bytes: Uint8Array,
  ipOffset: number,
  protocol: number,
  l4Offset: number,
  l4Length: number,
): boolean {
  let sum = asNetworkWord(protocol) + asNetworkWord(l4Length);
  const addresses = (ipOffset + 12) >> 1;
  sum += words[addresses]! + words[addresses + 1]! + words[addresses + 2]! + words[addresses + 3]!;
  sum += sumWords(words, bytes, l4Offset, l4Length);
  return fold(sum) === 0xffff;
}
