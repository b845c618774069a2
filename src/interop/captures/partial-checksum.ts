/**
 * Completes checksums that the kernel has left to the card (virtio's NEEDS_CSUM), so that a packet in a file is one that every
 * reader takes for whole.
 */
import { fold } from '../../dataplane/wire/checksum.ts';
import { Ipv4, Protocol, Tcp, Udp } from '../../dataplane/wire/headers.ts';

/** More fragments, and the offset. */
const fragmentMask = 0x3fff;

/**
 * @param bytes an IPv4 packet as a whole, from its header on
 * @returns the packet with the checksum of its TCP segment or UDP datagram; itself if it has none of its own
 */
export function withWholeChecksum(bytes: Uint8Array): Uint8Array {
  const headerLength = ((bytes[Ipv4.versionAndLength] ?? 0) & 0xf) << 2;
  const protocol = bytes[Ipv4.protocol];
  if (protocol !== Protocol.tcp && protocol !== Protocol.udp) return bytes;
  if ((halfAt(bytes, Ipv4.flagsAndFragmentOffset) & fragmentMask) !== 0) return bytes;
  const field = headerLength + (protocol === Protocol.tcp ? Tcp.checksum : Udp.checksum);
  if (headerLength < Ipv4.minimumLength || field + 2 > bytes.length) return bytes;

  const whole = bytes.slice();
  whole[field] = 0;
  whole[field + 1] = 0;
  let sum = protocol + ((bytes.length - headerLength) & 0xffff);
  for (let at: number = Ipv4.source; at < Ipv4.source + 8; at += 2) sum += halfAt(whole, at);
  // A last odd byte counts as the high one of a half.
  for (let at = headerLength; at < whole.length; at += 2) sum += halfAt(whole, at);
  const checksum = ~fold(sum) & 0xffff;
  // UDP's 0 means that there is none (RFC 768).
  const written = checksum === 0 && protocol === Protocol.udp ? 0xffff : checksum;
  whole[field] = written >> 8;
  whole[field + 1] = written & 0xff;
  return whole;
}

function halfAt(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
