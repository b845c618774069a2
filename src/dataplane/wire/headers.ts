/**
 * Header offsets and field values, as on the wire. Offsets are bytes from the start of the header named.
 *
 * Sources: RFC 791 (IPv4), RFC 792 and 1122 (ICMP), RFC 9293 (TCP), RFC 768 (UDP), and virtio 1.2 section 5.1.6 for the
 * header that a TUN device with IFF_VNET_HDR puts before each packet.
 */

/** struct virtio_net_hdr, host byte order: checksum and segmentation metadata of the packet after it. */
export const VnetHeader = {
  flags: 0,
  gsoType: 1,
  length: 10,
} as const;

/** Where a virtio header starts in memory of its own, so that the IPv4 header behind it is aligned as in a TUN's batch. */
export const alignedVnetOffset = 6;

/** The L4 checksum field holds only the pseudo-header sum: the kernel or the card completes it on the way out. */
export const vnetNeedsChecksum = 1;
/** The kernel has verified the L4 checksum already. */
export const vnetDataValid = 2;

export const Ipv4 = {
  versionAndLength: 0,
  typeOfService: 1,
  totalLength: 2,
  identification: 4,
  flagsAndFragmentOffset: 6,
  ttl: 8,
  protocol: 9,
  checksum: 10,
  source: 12,
  destination: 16,
  options: 20,
  minimumLength: 20,
} as const;

export const ipv4MoreFragments = 0x2000;
export const ipv4FragmentOffsetMask = 0x1fff;

export const IpOption = {
  end: 0,
  noOperation: 1,
  recordRoute: 7,
  timestamp: 68,
  looseSourceRoute: 131,
  strictSourceRoute: 137,
  routerAlert: 148,
} as const;

export const Protocol = { icmp: 1, tcp: 6, udp: 17 } as const;

export const Tcp = {
  sourcePort: 0,
  destinationPort: 2,
  sequence: 4,
  acknowledgment: 8,
  dataOffset: 12,
  flags: 13,
  window: 14,
  checksum: 16,
  options: 20,
  minimumLength: 20,
} as const;

export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

export const TcpOption = {
  end: 0,
  noOperation: 1,
  windowScale: 3,
  sackPermitted: 4,
  sack: 5,
  timestamp: 8,
} as const;

export const Udp = {
  sourcePort: 0,
  destinationPort: 2,
  length: 4,
  checksum: 6,
  minimumLength: 8,
} as const;

export const Icmp = {
  type: 0,
  code: 1,
  checksum: 2,
  identifier: 4,
  quoted: 8,
  minimumLength: 8,
} as const;

export const IcmpType = {
  echoReply: 0,
  destinationUnreachable: 3,
  sourceQuench: 4,
  redirect: 5,
  echoRequest: 8,
  timeExceeded: 11,
  parameterProblem: 12,
  timestampRequest: 13,
  timestampReply: 14,
  informationRequest: 15,
  informationReply: 16,
  addressMaskRequest: 17,
  addressMaskReply: 18,
} as const;
