/**
 * From a captured frame to the IP packet in it: the headers of the link layers that captures of IP networks have.
 *
 * Sources: the LINKTYPE_ registry of tcpdump.org, IEEE 802.3 and 802.1Q.
 */
import { readU16 } from '../../dataplane/wire/readers.ts';
import type { CapturedPacket } from './capture-window.ts';

export const LinkType = {
  null: 0,
  ethernet: 1,
  /** DLT_RAW of Linux and the BSDs, DLT_RAW of OpenBSD, and the number that files should have. */
  rawLinux: 12,
  rawOpenBsd: 14,
  raw: 101,
  loop: 108,
  linuxCooked: 113,
  ipv4: 228,
  linuxCooked2: 276,
} as const;

/** Results of {@link networkOffset} instead of an offset. */
export const notIp = -1;
export const unsupportedLinkType = -2;

const etherTypeIpv4 = 0x0800;
const etherTypeIpv6 = 0x86dd;
const vlanTagLength = 4;
/** A frame with more tags is nothing that a network forwards. */
const maxVlanTags = 4;

/** Headers up to the EtherType or protocol field, and that field's place. */
const Ethernet = { etherType: 12, length: 14 } as const;
const LinuxCooked = { protocol: 14, length: 16 } as const;
const LinuxCooked2 = { protocol: 0, length: 20 } as const;
const loopbackHeaderLength = 4;

/** Address families in the loopback header: 2 everywhere; IPv6 is 24, 28 or 30 on the BSDs and 10 on Linux. */
const ipFamilies: readonly number[] = [2, 10, 24, 28, 30];

export function isLinkTypeSupported(linkType: number): boolean {
  return (Object.values(LinkType) as number[]).includes(linkType);
}

/** Where the IPv4 or IPv6 header of a frame lies in its memory; or {@link notIp} or {@link unsupportedLinkType}. */
export function networkOffset(packet: Readonly<CapturedPacket>): number {
  const { bytes, offset } = packet;
  const end = offset + packet.length;
  switch (packet.linkType) {
    case LinkType.ethernet:
      return behindEtherType(bytes, offset + Ethernet.etherType, offset + Ethernet.length, end);
    case LinkType.linuxCooked:
      return behindEtherType(
        bytes,
        offset + LinuxCooked.protocol,
        offset + LinuxCooked.length,
        end,
      );
    case LinkType.linuxCooked2:
      return behindEtherType(
        bytes,
        offset + LinuxCooked2.protocol,
        offset + LinuxCooked2.length,
        end,
      );
    case LinkType.null:
    case LinkType.loop:
      return behindFamily(bytes, offset, end);
    case LinkType.raw:
    case LinkType.rawLinux:
    case LinkType.rawOpenBsd:
    case LinkType.ipv4:
      return end > offset ? offset : notIp;
    default:
      return unsupportedLinkType;
  }
}

/** Follows VLAN tags: each has the EtherType of what it tags behind it. */
function behindEtherType(bytes: Uint8Array, field: number, header: number, end: number): number {
  if (header > end) return notIp;
  let type = readU16(bytes, field);
  let at = header;
  for (let tags = 0; isVlanTag(type) && tags < maxVlanTags; tags++) {
    if (at + vlanTagLength > end) return notIp;
    type = readU16(bytes, at + 2);
    at += vlanTagLength;
  }
  const isIp = type === etherTypeIpv4 || type === etherTypeIpv6;
  return isIp && at < end ? at : notIp;
}

/** 802.1Q, 802.1ad, and what was used before it. */
function isVlanTag(etherType: number): boolean {
  return etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100;
}

/** The family is in the byte order of the capturing machine: the small number is at one end or the other. */
function behindFamily(bytes: Uint8Array, offset: number, end: number): number {
  const at = offset + loopbackHeaderLength;
  if (at >= end || bytes[offset + 1] !== 0 || bytes[offset + 2] !== 0) return notIp;
  const first = bytes[offset]!;
  const last = bytes[offset + 3]!;
  if (first !== 0 && last !== 0) return notIp;
  return ipFamilies.includes(first + last) ? at : notIp;
}
