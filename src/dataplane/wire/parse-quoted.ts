/**
 * The packet that an ICMP error quotes: its IPv4 header and at least the first eight bytes behind it (RFC 792, RFC 1812
 * section 4.3.2.3). Only what names its flow is read: checksums and the end are what a quoting router may have changed or
 * cut off.
 */
import { Icmp, Ipv4, Protocol, Tcp, ipv4FragmentOffsetMask } from './headers.ts';
import type { Packet } from './packet.ts';
import { readI32, readU16 } from './readers.ts';

/** Bytes of the quoted L4 header that every error carries. */
const quotedL4Length = 8;

/**
 * Parses the quote at `at`, `length` bytes long.
 *
 * @param quoted filled in: addresses, protocol, ports, TCP sequence, ICMP type and code
 * @returns false if it does not name a flow: cut off, not IPv4, a later fragment, or no supported protocol
 */
export function parseQuoted(
  bytes: Uint8Array,
  at: number,
  length: number,
  quoted: Packet,
): boolean {
  if (length < Ipv4.minimumLength + quotedL4Length) return false;
  const versionAndLength = bytes[at]!;
  const headerLength = (versionAndLength & 15) << 2;
  if (versionAndLength >> 4 !== 4 || headerLength < Ipv4.minimumLength) return false;
  if (length < headerLength + quotedL4Length) return false;
  const fragment = readU16(bytes, at + Ipv4.flagsAndFragmentOffset) & ipv4FragmentOffsetMask;
  if (fragment !== 0) return false;
  quoted.protocol = bytes[at + Ipv4.protocol]!;
  quoted.srcAddr = readI32(bytes, at + Ipv4.source);
  quoted.dstAddr = readI32(bytes, at + Ipv4.destination);
  const l4 = at + headerLength;
  switch (quoted.protocol) {
    case Protocol.tcp:
      quoted.sequence = readI32(bytes, l4 + Tcp.sequence);
      break;
    case Protocol.udp:
      break;
    case Protocol.icmp:
      quoted.icmpType = bytes[l4 + Icmp.type]!;
      quoted.icmpCode = bytes[l4 + Icmp.code]!;
      quoted.srcPort = readU16(bytes, l4 + Icmp.identifier);
      quoted.dstPort = quoted.srcPort;
      return true;
    default:
      return false;
  }
  quoted.srcPort = readU16(bytes, l4);
  quoted.dstPort = readU16(bytes, l4 + 2);
  return true;
}
