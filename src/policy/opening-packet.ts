/**
 * The bytes of a packet that would open a flow: a SYN, an empty UDP datagram, an ICMP query. For questions like "would
 * this pass?", so that they take the same way through the parser as a packet from the wire.
 */
import {
  Icmp,
  IcmpType,
  Ipv4,
  Protocol,
  Tcp,
  TcpFlag,
  Udp,
  VnetHeader,
  vnetDataValid,
} from '../dataplane/wire/headers.ts';

export type QuestionProtocol = 'tcp' | 'udp' | 'icmp';

/** What a flow is opened with. Addresses are unsigned 32-bit values. */
export interface FlowQuestion {
  readonly protocol: QuestionProtocol;
  readonly source: number;
  /** Absent: any; rules do not look at it. */
  readonly sourcePort?: number;
  readonly destination: number;
  /** For TCP and UDP. */
  readonly destinationPort?: number;
  /** For ICMP; absent: an echo request. */
  readonly icmpType?: number;
}

/** The first port of the range that IANA leaves to clients. */
const anyClientPort = 49_152;

const transportLength: Readonly<Record<QuestionProtocol, number>> = {
  tcp: Tcp.minimumLength,
  udp: Udp.minimumLength,
  icmp: Icmp.minimumLength,
};

/** A virtio header that vouches for the L4 checksum, and the packet behind it. */
export function openingPacket(question: FlowQuestion): Uint8Array {
  const { protocol } = question;
  const length = Ipv4.minimumLength + transportLength[protocol];
  const bytes = new Uint8Array(VnetHeader.length + length);
  bytes[VnetHeader.flags] = vnetDataValid;
  const ip = new DataView(bytes.buffer, VnetHeader.length);
  ip.setUint8(Ipv4.versionAndLength, 0x45);
  ip.setUint16(Ipv4.totalLength, length);
  ip.setUint8(Ipv4.ttl, 64);
  ip.setUint8(Ipv4.protocol, Protocol[protocol]);
  ip.setUint32(Ipv4.source, question.source);
  ip.setUint32(Ipv4.destination, question.destination);
  ip.setUint16(Ipv4.checksum, headerChecksum(ip));
  writeTransport(new DataView(bytes.buffer, VnetHeader.length + Ipv4.minimumLength), question);
  return bytes;
}

function headerChecksum(ip: DataView): number {
  let sum = 0;
  for (let at = 0; at < Ipv4.minimumLength; at += 2) sum += ip.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function writeTransport(l4: DataView, question: FlowQuestion): void {
  const { protocol, sourcePort = anyClientPort, destinationPort = 0 } = question;
  if (protocol === 'icmp') {
    l4.setUint8(Icmp.type, question.icmpType ?? IcmpType.echoRequest);
    l4.setUint16(Icmp.identifier, 1);
    return;
  }
  l4.setUint16(Tcp.sourcePort, sourcePort);
  l4.setUint16(Tcp.destinationPort, destinationPort);
  if (protocol === 'udp') {
    l4.setUint16(Udp.length, Udp.minimumLength);
    return;
  }
  l4.setUint8(Tcp.dataOffset, (Tcp.minimumLength >> 2) << 4);
  l4.setUint8(Tcp.flags, TcpFlag.syn);
  l4.setUint16(Tcp.window, 0xffff);
}
