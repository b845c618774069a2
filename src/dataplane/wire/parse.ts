/**
 * From raw bytes to a {@link Packet}: every check that needs no state.
 *
 * The one door to packet bytes: nothing behind it reads a header field that was not length-checked here. Headers are
 * checked in the order in which they stand; the first error is the drop reason.
 */
import {
  asNetworkWord,
  icmpChecksumOk,
  isHeaderSum,
  sumOfHalves,
  transportChecksumOk,
} from './checksum.ts';
import { DropReason } from './drop-reason.ts';
import type { DropReasonCode } from './drop-reason.ts';
import {
  Icmp,
  IpOption,
  Ipv4,
  Protocol,
  Tcp,
  TcpFlag,
  Udp,
  VnetHeader,
  ipv4FragmentOffsetMask,
  ipv4MoreFragments,
  vnetDataValid,
  vnetNeedsChecksum,
} from './headers.ts';
import type { Packet } from './packet.ts';
import { readU16 } from './readers.ts';
import { tcpOptionsWellFormed } from './tcp-options.ts';

/** 0/8, 127/8 and everything from 224/4 up: never a unicast address on the wire (RFC 1122 3.2.1.3, RFC 6890). */
export function isMartian(address: number): boolean {
  const top = address >>> 24;
  return top === 0 || top === 127 || top >= 224;
}

/**
 * Where a router would write next (RFC 791 section 3.1): a pointer into the option, behind which one entry still has room, or
 * beyond its end.
 */
function hasRoomAtPointer(bytes: Uint8Array, at: number, first: number, entry: number): boolean {
  const length = bytes[at + 1]!;
  if (length < first - 1) return false;
  const pointer = bytes[at + 2]!;
  return pointer >= first && (pointer > length || pointer + entry - 1 <= length);
}

/** A timestamp option: overflow may be set only when it is full, and its flag says whether entries are 4 or 8 bytes long. */
function timestampOptionOk(bytes: Uint8Array, at: number): boolean {
  if (bytes[at + 1]! < 4) return false;
  const overflowAndFlag = bytes[at + 3]!;
  const withAddress = (overflowAndFlag & 15) === 1 || (overflowAndFlag & 15) === 3;
  if (!hasRoomAtPointer(bytes, at, 5, withAddress ? 8 : 4)) return false;
  const full = bytes[at + 2]! > bytes[at + 1]!;
  return !full || (overflowAndFlag & 15) === 3 || overflowAndFlag >> 4 !== 15;
}

/** Checks the fields of an option that a router would write into or act on. */
function ipOptionOk(bytes: Uint8Array, at: number): boolean {
  switch (bytes[at]!) {
    case IpOption.recordRoute:
      return hasRoomAtPointer(bytes, at, 4, 4);
    case IpOption.timestamp:
      return timestampOptionOk(bytes, at);
    case IpOption.routerAlert:
      return bytes[at + 1]! >= 4;
    default:
      return true;
  }
}

/** IPv4 options: well formed, inside the header, and no source routing (RFC 7126 section 4.3 and 4.4). */
function checkIpOptions(bytes: Uint8Array, start: number, end: number): DropReasonCode {
  let at = start;
  let seenRecordRoute = false;
  let seenTimestamp = false;
  while (at < end) {
    const option = bytes[at]!;
    if (option === IpOption.end) return DropReason.none;
    if (option === IpOption.noOperation) {
      at++;
      continue;
    }
    if (option === IpOption.looseSourceRoute || option === IpOption.strictSourceRoute) {
      return DropReason.sourceRoute;
    }
    if (at + 1 >= end) return DropReason.badIpHeader;
    const length = bytes[at + 1]!;
    if (length < 2 || at + length > end || !ipOptionOk(bytes, at)) return DropReason.badIpHeader;
    if (option === IpOption.recordRoute) {
      if (seenRecordRoute) return DropReason.badIpHeader;
      seenRecordRoute = true;
    } else if (option === IpOption.timestamp) {
      if (seenTimestamp) return DropReason.badIpHeader;
      seenTimestamp = true;
    }
    at += length;
  }
  return DropReason.none;
}

/**
 * Flag sets that mean something, PSH, ECE and CWR aside (bit = FIN|SYN|RST|ACK|URG as in the header, PSH cleared):
 * SYN, SYN+URG, SYN+ACK, RST, RST+ACK, FIN+ACK, FIN+ACK+URG, ACK, ACK+URG (nf_conntrack_proto_tcp.c, tcp_valid_flags).
 */
const validTcpFlags: Uint8Array = new Uint8Array(64);
for (const set of [
  TcpFlag.syn,
  TcpFlag.syn | TcpFlag.urg,
  TcpFlag.syn | TcpFlag.ack,
  TcpFlag.rst,
  TcpFlag.rst | TcpFlag.ack,
  TcpFlag.fin | TcpFlag.ack,
  TcpFlag.fin | TcpFlag.ack | TcpFlag.urg,
  TcpFlag.ack,
  TcpFlag.ack | TcpFlag.urg,
]) {
  validTcpFlags[set] = 1;
}
const meaningfulTcpFlags = TcpFlag.fin | TcpFlag.syn | TcpFlag.rst | TcpFlag.ack | TcpFlag.urg;

/**
 * Parses one packet as it lies behind its virtio header.
 *
 * @param bytes the batch memory
 * @param words the same memory as 32-bit words
 * @param vnetOffset where the virtio header starts; the IPv4 header behind it must be 4-aligned
 * @param length bytes from there on, virtio header included
 * @param packet filled in; after a drop it holds what was read until then, and no flags or types of an earlier packet
 * @returns `DropReason.none`; `DropReason.fragment` when the packet is a well-formed fragment of a supported protocol,
 *   whose L4 header was not looked at; otherwise what is wrong
 */
export function parsePacket(
  bytes: Uint8Array,
  words: Int32Array,
  vnetOffset: number,
  length: number,
  packet: Packet,
): DropReasonCode {
  const ip = vnetOffset + VnetHeader.length;
  const available = length - VnetHeader.length;
  if (available < Ipv4.minimumLength || bytes[ip]! >> 4 !== 4) {
    return rejectEarly(bytes, ip, available, packet);
  }
  // Everything is read before anything is stored: a store to one object makes V8 load the others' fields again.
  // Five loads hold the header: fields are taken from the words, and the words' halves go into the checksum.
  const word = ip >> 2;
  const word0 = words[word]!;
  const word1 = words[word + 1]!;
  const word2 = words[word + 2]!;
  const word3 = words[word + 3]!;
  const word4 = words[word + 4]!;
  const vnetFlags = bytes[vnetOffset + VnetHeader.flags]!;
  const lengths = asNetworkWord(word0);
  const headerLength = (lengths >>> 22) & 60;
  const totalLength = lengths & 0xffff;
  const fragmentField = asNetworkWord(word1) & 0xffff;
  const protocol = (asNetworkWord(word2) >>> 16) & 0xff;
  const srcAddr = asNetworkWord(word3);
  const dstAddr = asNetworkWord(word4);
  const fits = headerLength >= Ipv4.minimumLength && headerLength <= totalLength;
  const whole = fits && totalLength <= available;
  let sum =
    sumOfHalves(word0) +
    sumOfHalves(word1) +
    sumOfHalves(word2) +
    sumOfHalves(word3) +
    sumOfHalves(word4);
  if (whole && headerLength > Ipv4.minimumLength) {
    const end = word + (headerLength >> 2);
    for (let at = word + 5; at < end; at++) sum += sumOfHalves(words[at]!);
  }

  packet.ipOffset = ip;
  packet.ipHeaderLength = headerLength;
  packet.totalLength = whole ? totalLength : available;
  packet.protocol = protocol;
  packet.srcAddr = srcAddr;
  packet.dstAddr = dstAddr;
  packet.srcPort = 0;
  packet.dstPort = 0;
  packet.l4Offset = ip + headerLength;
  packet.l4Length = totalLength - headerLength;
  packet.checksumVouched = (vnetFlags & (vnetNeedsChecksum | vnetDataValid)) === 0 ? 0 : 1;
  if (!fits) return withoutTransport(packet, DropReason.badIpHeader);
  if (!whole) return withoutTransport(packet, DropReason.truncated);
  if (!isHeaderSum(sum)) return withoutTransport(packet, DropReason.badIpChecksum);
  if (isMartian(srcAddr)) return withoutTransport(packet, DropReason.martianSource);
  if (isMartian(dstAddr)) return withoutTransport(packet, DropReason.martianDestination);
  if (srcAddr === dstAddr) return withoutTransport(packet, DropReason.land);
  if (headerLength > Ipv4.minimumLength) {
    const reason = checkIpOptions(bytes, ip + Ipv4.options, ip + headerLength);
    if (reason !== DropReason.none) return withoutTransport(packet, reason);
  }

  if (protocol !== Protocol.tcp && protocol !== Protocol.udp && protocol !== Protocol.icmp) {
    return withoutTransport(packet, DropReason.protocol);
  }
  if ((fragmentField & (ipv4FragmentOffsetMask | ipv4MoreFragments)) !== 0) {
    packet.identification = readU16(bytes, ip + Ipv4.identification);
    packet.fragmentOffset = (fragmentField & ipv4FragmentOffsetMask) << 3;
    packet.moreFragments = (fragmentField & ipv4MoreFragments) === 0 ? 0 : 1;
    return withoutTransport(packet, DropReason.fragment);
  }
  return parseTransport(bytes, words, packet);
}

/**
 * For a packet whose transport header was not read: what the packet before it had must not be reported as its own.
 *
 * @returns `reason`
 */
function withoutTransport(packet: Packet, reason: DropReasonCode): DropReasonCode {
  packet.tcpFlags = 0;
  packet.icmpType = 0;
  packet.icmpCode = 0;
  return reason;
}

/** A packet without an IPv4 header: too short, or of another version. */
function rejectEarly(
  bytes: Uint8Array,
  ip: number,
  available: number,
  packet: Packet,
): DropReasonCode {
  packet.ipOffset = ip;
  packet.ipHeaderLength = 0;
  packet.totalLength = available;
  packet.protocol = 0;
  packet.srcAddr = 0;
  packet.dstAddr = 0;
  packet.srcPort = 0;
  packet.dstPort = 0;
  packet.l4Offset = ip;
  packet.l4Length = 0;
  withoutTransport(packet, DropReason.none);
  if (available < 1) return DropReason.truncated;
  const version = bytes[ip]! >> 4;
  if (version === 6) return DropReason.ipv6;
  return version === 4 ? DropReason.truncated : DropReason.badIpHeader;
}

/**
 * Parses the ICMP, TCP or UDP header at `packet.l4Offset`, `packet.l4Length` bytes long. The second half of
 * {@link parsePacket}; also called for a datagram that was put together from fragments.
 */
export function parseTransport(
  bytes: Uint8Array,
  words: Int32Array,
  packet: Packet,
): DropReasonCode {
  switch (packet.protocol) {
    case Protocol.tcp:
      return parseTcp(bytes, words, packet);
    case Protocol.udp:
      return parseUdp(bytes, words, packet);
    default:
      return parseIcmp(bytes, words, packet);
  }
}

function parseTcp(bytes: Uint8Array, words: Int32Array, packet: Packet): DropReasonCode {
  const at = packet.l4Offset;
  const length = packet.l4Length;
  if (length < Tcp.minimumLength) return withoutTransport(packet, DropReason.badTcpHeader);
  const word = at >> 2;
  const ports = asNetworkWord(words[word + (Tcp.sourcePort >> 2)]!);
  const sequence = asNetworkWord(words[word + (Tcp.sequence >> 2)]!);
  const acknowledgment = asNetworkWord(words[word + (Tcp.acknowledgment >> 2)]!);
  const control = asNetworkWord(words[word + (Tcp.dataOffset >> 2)]!);
  const headerLength = (control >>> 26) & 60;
  const flags = (control >>> 16) & 0xff;
  const window = control & 0xffff;
  packet.srcPort = ports >>> 16;
  packet.dstPort = ports & 0xffff;
  if (headerLength < Tcp.minimumLength || headerLength > length) {
    return withoutTransport(packet, DropReason.badTcpHeader);
  }
  packet.tcpHeaderLength = headerLength;
  packet.sequence = sequence;
  packet.acknowledgment = acknowledgment;
  packet.window = window;
  packet.tcpFlags = flags;
  if (validTcpFlags[flags & meaningfulTcpFlags] === 0) return DropReason.badTcpFlags;
  if (
    headerLength > Tcp.minimumLength &&
    !tcpOptionsWellFormed(bytes, at + Tcp.options, at + headerLength)
  ) {
    return DropReason.badTcpOptions;
  }
  if (
    packet.checksumVouched === 0 &&
    !transportChecksumOk(words, bytes, packet.ipOffset, Protocol.tcp, at, length)
  ) {
    return DropReason.badChecksum;
  }
  return DropReason.none;
}

function parseUdp(bytes: Uint8Array, words: Int32Array, packet: Packet): DropReasonCode {
  const at = packet.l4Offset;
  if (packet.l4Length < Udp.minimumLength) return DropReason.badUdpLength;
  const word = at >> 2;
  const ports = asNetworkWord(words[word + (Udp.sourcePort >> 2)]!);
  const lengthAndChecksum = words[word + (Udp.length >> 2)]!;
  const length = asNetworkWord(lengthAndChecksum) >>> 16;
  packet.srcPort = ports >>> 16;
  packet.dstPort = ports & 0xffff;
  if (length < Udp.minimumLength || length > packet.l4Length) return DropReason.badUdpLength;
  // A checksum of zero means that the sender made none (RFC 768).
  if (
    packet.checksumVouched === 0 &&
    (asNetworkWord(lengthAndChecksum) & 0xffff) !== 0 &&
    !transportChecksumOk(words, bytes, packet.ipOffset, Protocol.udp, at, length)
  ) {
    return DropReason.badChecksum;
  }
  return DropReason.none;
}

function parseIcmp(bytes: Uint8Array, words: Int32Array, packet: Packet): DropReasonCode {
  const at = packet.l4Offset;
  if (packet.l4Length < Icmp.minimumLength) return withoutTransport(packet, DropReason.badIcmp);
  packet.icmpType = bytes[at + Icmp.type]!;
  packet.icmpCode = bytes[at + Icmp.code]!;
  packet.srcPort = readU16(bytes, at + Icmp.identifier);
  packet.dstPort = packet.srcPort;
  if (packet.checksumVouched === 0 && !icmpChecksumOk(words, bytes, at, packet.l4Length)) {
    return DropReason.badChecksum;
  }
  return DropReason.none;
}
