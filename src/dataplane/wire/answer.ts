/**
 * Packets that the firewall itself sends: a TCP RST, and ICMP "destination unreachable, communication administratively
 * prohibited" (RFC 1812 section 5.2.7.1). Each is written behind an empty virtio header, with complete checksums.
 *
 * Fields that no RFC fixes are those of Linux's reject target (net/ipv4/netfilter/nf_reject_ipv4.c): no options, TTL 64, and
 * "don't fragment" with identification 0, since no fragment of it will exist (RFC 6864 section 4.1).
 */
import { fold } from './checksum.ts';
import { Icmp, IcmpType, Ipv4, Protocol, Tcp, VnetHeader } from './headers.ts';
import { readU16, writeI32, writeU16 } from './readers.ts';

/** Length of an RST, virtio header included. */
export const resetLength: number = VnetHeader.length + Ipv4.minimumLength + Tcp.minimumLength;

/** Bytes that an ICMP answer quotes at most: it has 576 bytes then (RFC 1812 section 4.3.2.3). */
export const maxQuoteLength: number = 576 - Ipv4.minimumLength - Icmp.minimumLength;

/** Where the quote lies in an ICMP answer, from its virtio header on. */
export const quoteOffset: number = VnetHeader.length + Ipv4.minimumLength + Icmp.minimumLength;

const timeToLive = 64;
const dontFragment = 0x4000;
const administrativelyProhibited = 13;
/** Precedence "internetwork control", which an ICMP error has beside the type of service of its packet (section 4.3.2.5). */
const internetworkControl = 0xc0;
const typeOfServiceMask = 0x1e;

/** Sum of the 16-bit words from `at` on; a last odd byte is a high byte. */
function sumFrom(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  for (let i = 0; i + 1 < length; i += 2) sum += readU16(bytes, at + i);
  return (length & 1) === 0 ? sum : sum + (bytes[at + length - 1]! << 8);
}

function writeIpHeader(
  bytes: Uint8Array,
  at: number,
  typeOfService: number,
  totalLength: number,
  protocol: number,
  srcAddr: number,
  dstAddr: number,
): void {
  bytes[at + Ipv4.versionAndLength] = 0x45;
  bytes[at + Ipv4.typeOfService] = typeOfService;
  writeU16(bytes, at + Ipv4.totalLength, totalLength);
  writeU16(bytes, at + Ipv4.identification, 0);
  writeU16(bytes, at + Ipv4.flagsAndFragmentOffset, dontFragment);
  bytes[at + Ipv4.ttl] = timeToLive;
  bytes[at + Ipv4.protocol] = protocol;
  writeU16(bytes, at + Ipv4.checksum, 0);
  writeI32(bytes, at + Ipv4.source, srcAddr);
  writeI32(bytes, at + Ipv4.destination, dstAddr);
  writeU16(bytes, at + Ipv4.checksum, ~fold(sumFrom(bytes, at, Ipv4.minimumLength)));
}

/**
 * Writes an RST of {@link resetLength} bytes at `at`.
 *
 * @param flags TcpFlag.rst, with or without TcpFlag.ack; without it the acknowledgment is 0
 */
export function writeReset(
  bytes: Uint8Array,
  at: number,
  srcAddr: number,
  srcPort: number,
  dstAddr: number,
  dstPort: number,
  flags: number,
  sequence: number,
  acknowledgment: number,
): void {
  bytes.fill(0, at, at + resetLength);
  const ip = at + VnetHeader.length;
  const tcp = ip + Ipv4.minimumLength;
  const totalLength = resetLength - VnetHeader.length;
  writeIpHeader(bytes, ip, 0, totalLength, Protocol.tcp, srcAddr, dstAddr);
  writeU16(bytes, tcp + Tcp.sourcePort, srcPort);
  writeU16(bytes, tcp + Tcp.destinationPort, dstPort);
  writeI32(bytes, tcp + Tcp.sequence, sequence);
  writeI32(bytes, tcp + Tcp.acknowledgment, acknowledgment);
  bytes[tcp + Tcp.dataOffset] = Tcp.minimumLength << 2;
  bytes[tcp + Tcp.flags] = flags;
  const pseudoHeader = sumFrom(bytes, ip + Ipv4.source, 8) + Protocol.tcp + Tcp.minimumLength;
  const sum = pseudoHeader + sumFrom(bytes, tcp, Tcp.minimumLength);
  writeU16(bytes, tcp + Tcp.checksum, ~fold(sum));
}

/**
 * Writes the ICMP answer around a quote that lies {@link quoteOffset} behind `at` already.
 *
 * @param quoteLength bytes of it, from its IPv4 header on; at most {@link maxQuoteLength}
 * @returns bytes of the answer, virtio header included
 */
export function writeProhibited(
  bytes: Uint8Array,
  at: number,
  srcAddr: number,
  dstAddr: number,
  quoteLength: number,
): number {
  const length = quoteOffset + quoteLength;
  bytes.fill(0, at, at + quoteOffset);
  const ip = at + VnetHeader.length;
  const icmp = ip + Ipv4.minimumLength;
  const quotedService = bytes[at + quoteOffset + Ipv4.typeOfService]!;
  const typeOfService = (quotedService & typeOfServiceMask) | internetworkControl;
  const totalLength = length - VnetHeader.length;
  writeIpHeader(bytes, ip, typeOfService, totalLength, Protocol.icmp, srcAddr, dstAddr);
  bytes[icmp + Icmp.type] = IcmpType.destinationUnreachable;
  bytes[icmp + Icmp.code] = administrativelyProhibited;
  const sum = sumFrom(bytes, icmp, Icmp.minimumLength + quoteLength);
  writeU16(bytes, icmp + Icmp.checksum, ~fold(sum));
  return length;
}
