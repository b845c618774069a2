/**
 * One parsed packet. There is one of these per packet thread; the parser refills it for every packet.
 *
 * All fields are 32-bit integers, so that the engine keeps them unboxed. Addresses, sequence numbers and acknowledgments
 * are *signed* 32-bit values (`a << 24 | b << 16 | c << 8 | d`): compare them for equality or by wrapping difference, and
 * print them through `formatAddress`. A field of a protocol that the packet does not carry keeps a stale value: look at
 * `protocol` first.
 */
export class Packet {
  /** Offset of the IPv4 header in the batch memory. */
  ipOffset = 0;
  /** IPv4 header length in bytes, 20 to 60. */
  ipHeaderLength = 0;
  /** IPv4 total length in bytes: a super-packet is as long as it really is. */
  totalLength = 0;
  protocol = 0;
  srcAddr = 0;
  dstAddr = 0;
  /** IPv4 identification; the key of a fragment. */
  identification = 0;
  /** Fragment offset in bytes. */
  fragmentOffset = 0;
  /** 1 if more fragments follow. */
  moreFragments = 0;

  /** Offset of the ICMP, TCP or UDP header in the batch memory. */
  l4Offset = 0;
  /** Bytes from there to the end of the IPv4 packet. */
  l4Length = 0;
  /** TCP and UDP ports; for ICMP queries both are the identifier. */
  srcPort = 0;
  dstPort = 0;

  tcpFlags = 0;
  sequence = 0;
  acknowledgment = 0;
  /** The window field as it stands, not scaled. */
  window = 0;
  /** TCP header length in bytes, 20 to 60. */
  tcpHeaderLength = 0;

  icmpType = 0;
  icmpCode = 0;

  /** 1 if the virtio header vouches for the L4 checksum: it is partial, or the kernel has verified it. */
  checksumVouched = 0;
}
