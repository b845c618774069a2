/**
 * A batch of one packet, laid out as the TUN device does it, and how a captured packet gets into it.
 *
 * A capture differs from what a TUN device delivers. The copy is repaired where possible: a packet truncated by the
 * snap length is padded with zeros, as long as its headers are complete; a super-packet without a length gets its real
 * one; and a checksum that cannot be right is vouched for in the virtio header, as the kernel would.
 */
import type { PacketBatch } from '../../dataplane/engine/engine.ts';
import { fragmentChunkLength } from '../../dataplane/flow/fragment-memory.ts';
import { asNetworkHalf, fold, sumOfHalves } from '../../dataplane/wire/checksum.ts';
import {
  Icmp,
  IcmpType,
  Ipv4,
  Protocol,
  Tcp,
  Udp,
  VnetHeader,
  ipv4FragmentOffsetMask,
  ipv4MoreFragments,
  vnetDataValid,
} from '../../dataplane/wire/headers.ts';
import type { Packet } from '../../dataplane/wire/packet.ts';
import { readU16 } from '../../dataplane/wire/readers.ts';
import type { CapturedPacket } from './capture-window.ts';

/** Where the packet lies: its IPv4 header at a multiple of 16 (src/dataplane/tun/device.ts). */
const ipOffset = 16;
const vnetOffset: number = ipOffset - VnetHeader.length;
const maxPacketLength = 65_535;
/** A packet that is longer and says that its length is 0 is a super-packet; a shorter one is broken. */
const longestPlainPacket = 1500;
/** A quoted IPv4 header without options, and the ports and sequence number behind it. */
const quotedLength: number = Ipv4.minimumLength + 8;

export class ReplayBatch implements PacketBatch {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly offsets: Uint32Array;
  readonly lengths: Uint32Array;
  readonly verdicts: Uint8Array;
  readonly totalSlots: number;
  readonly spareOffset: number;
  readonly spareLength: number;

  /** Packets that were judged although the file has only their beginning. */
  cutShort = 0;
  /** Of these, fragments. */
  cutFragments = 0;
  /** Packets that were judged although their length field is 0. */
  withoutLength = 0;

  /** @param fragmentChunks of the engine's fragment memory: all that waits may leave behind one packet */
  constructor(fragmentChunks: number) {
    this.totalSlots = 1 + fragmentChunks + 1;
    this.spareOffset = ipOffset + maxPacketLength + 1;
    this.spareLength = fragmentChunks * fragmentChunkLength;
    this.bytes = new Uint8Array(this.spareOffset + this.spareLength);
    this.words = new Int32Array(this.bytes.buffer);
    this.offsets = new Uint32Array(this.totalSlots);
    this.lengths = new Uint32Array(this.totalSlots);
    this.verdicts = new Uint8Array(this.totalSlots);
  }

  /**
   * Puts a packet into the first slot.
   *
   * @param at where its IP header lies, @param vouched its checksums are taken for right
   * @returns false if it is too long for an IPv4 packet
   */
  load(packet: Readonly<CapturedPacket>, at: number, vouched: boolean): boolean {
    const linkHeader = at - packet.offset;
    const captured = packet.length - linkHeader;
    const original = packet.originalLength - linkHeader;
    if (original > maxPacketLength) return false;
    const { bytes } = this;
    bytes.set(packet.bytes.subarray(at, at + captured), ipOffset);
    bytes.fill(0, vnetOffset, ipOffset);
    this.offsets[0] = vnetOffset;
    let length = captured;
    if (captured >= Ipv4.minimumLength && bytes[ipOffset]! >> 4 === 4) {
      if (vouched) this.#vouch();
      length = this.#mend(captured, original);
    }
    this.lengths[0] = VnetHeader.length + length;
    return true;
  }

  /** Bytes of the slot from its virtio header on. */
  get vnetOffset(): number {
    return this.offsets[0]!;
  }

  /** IPv4 protocol of the packet in the slot; anything if it is none. */
  get protocol(): number {
    return this.bytes[ipOffset + Ipv4.protocol]!;
  }

  /**
   * Whether the L4 checksum field holds the pseudo-header's sum and no more: the packet was captured on the host that sent
   * it, before its card would have completed the checksum. Some drivers leave the length out.
   */
  isChecksumPartial(packet: Packet): boolean {
    const isTcp = packet.protocol === Protocol.tcp;
    if (!isTcp && packet.protocol !== Protocol.udp) return false;
    const field = packet.l4Offset + (isTcp ? Tcp.checksum : Udp.checksum);
    const addresses = (packet.ipOffset + Ipv4.source) >> 2;
    const { bytes, words } = this;
    const sum =
      asNetworkHalf(packet.protocol) +
      sumOfHalves(words[addresses]!) +
      sumOfHalves(words[addresses + 1]!);
    const found = asNetworkHalf(readU16(bytes, field));
    return found === fold(sum + asNetworkHalf(packet.l4Length)) || found === fold(sum);
  }

  /** Makes good what capturing has done to an IPv4 packet; returns the bytes that there are now. */
  #mend(captured: number, original: number): number {
    const { bytes } = this;
    let total = readU16(bytes, ipOffset + Ipv4.totalLength);
    if (total === 0 && original > longestPlainPacket) {
      total = original;
      bytes[ipOffset + Ipv4.totalLength] = total >> 8;
      bytes[ipOffset + Ipv4.totalLength + 1] = total & 0xff;
      this.withoutLength++;
      this.#vouch();
    }
    if (total <= captured || total > original || captured < this.#headersLength()) return captured;
    bytes.fill(0, ipOffset + captured, ipOffset + total);
    bytes[vnetOffset + VnetHeader.flags] = vnetDataValid;
    this.cutShort++;
    const fragment = readU16(bytes, ipOffset + Ipv4.flagsAndFragmentOffset);
    if ((fragment & (ipv4FragmentOffsetMask | ipv4MoreFragments)) !== 0) this.cutFragments++;
    return total;
  }

  /** Bytes that a packet is judged by: all of its headers, which are read as far as the packet has been captured. */
  #headersLength(): number {
    const { bytes } = this;
    const headerLength = (bytes[ipOffset]! & 15) << 2;
    const l4 = ipOffset + headerLength;
    const fragment = readU16(bytes, ipOffset + Ipv4.flagsAndFragmentOffset);
    if ((fragment & ipv4FragmentOffsetMask) !== 0) return headerLength;
    switch (bytes[ipOffset + Ipv4.protocol]) {
      case Protocol.tcp:
        return headerLength + Math.max(Tcp.minimumLength, (bytes[l4 + Tcp.dataOffset]! >> 4) << 2);
      case Protocol.udp:
        return headerLength + Udp.minimumLength;
      case Protocol.icmp:
        return headerLength + Icmp.minimumLength + (quotes(bytes[l4]!) ? quotedLength : 0);
      default:
        return headerLength;
    }
  }

  /** Vouches for the L4 checksum, and makes that of the IPv4 header right. */
  #vouch(): void {
    const { bytes, words } = this;
    bytes[vnetOffset + VnetHeader.flags] = vnetDataValid;
    const field = ipOffset + Ipv4.checksum;
    bytes.fill(0, field, field + 2);
    let sum = 0;
    const end = (ipOffset >> 2) + (bytes[ipOffset]! & 15);
    for (let word = ipOffset >> 2; word < end; word++) sum += sumOfHalves(words[word]!);
    const checksum = asNetworkHalf(~fold(sum));
    bytes[field] = checksum >> 8;
    bytes[field + 1] = checksum & 0xff;
  }
}

function quotes(icmpType: number): boolean {
  return (
    icmpType === IcmpType.destinationUnreachable ||
    icmpType === IcmpType.timeExceeded ||
    icmpType === IcmpType.parameterProblem
  );
}
