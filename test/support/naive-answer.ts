/**
 * What the firewall answers, written from the RFCs by building whole packets: the naive twin of src/dataplane/wire/answer.ts.
 */
import { naiveParse } from './naive-parser.ts';
import { internetChecksum } from '../../src/testing/packets.ts';

const view = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An IPv4 packet back to where `packet` came from: TTL 64, don't fragment, identification 0. */
function back(
  packet: Uint8Array,
  service: number,
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const header = new Uint8Array(20);
  header.set([0x45, service]);
  view(header).setUint16(2, 20 + payload.length);
  header[6] = 0x40;
  header.set([64, protocol], 8);
  header.set(packet.subarray(16, 20), 12);
  header.set(packet.subarray(12, 16), 16);
  view(header).setUint16(10, internetChecksum(header));
  return Uint8Array.of(...header, ...payload);
}

/** RFC 9293 section 3.10.7.1: the answer to a segment for a connection that does not exist. */
export function naiveReset(packet: Uint8Array): Uint8Array {
  const header = (packet[0]! & 15) * 4;
  const segment = packet.subarray(header, view(packet).getUint16(2));
  const flags = segment[13]!;
  const hasAck = (flags & 16) !== 0;
  const payload = segment.length - (segment[12]! >> 4) * 4;
  const length = payload + ((flags & 2) !== 0 ? 1 : 0) + ((flags & 1) !== 0 ? 1 : 0);
  const answer = new Uint8Array(20);
  answer.set(segment.subarray(2, 4), 0);
  answer.set(segment.subarray(0, 2), 2);
  if (hasAck) answer.set(segment.subarray(8, 12), 4);
  else view(answer).setUint32(8, (view(segment).getUint32(4) + length) >>> 0);
  answer.set([0x50, hasAck ? 4 : 20], 12);
  const pseudo = Uint8Array.of(...packet.subarray(12, 20), 0, 6, 0, 20);
  view(answer).setUint16(16, internetChecksum(pseudo, answer));
  return back(packet, 0, 6, answer);
}

/** RFC 1812 section 4.3.2: type 3 code 13, as much of the packet as fits into 576 bytes, its type of service, precedence 6. */
export function naiveProhibited(packet: Uint8Array): Uint8Array {
  const quote = packet.subarray(0, Math.min(view(packet).getUint16(2), 548));
  const message = Uint8Array.of(3, 13, 0, 0, 0, 0, 0, 0, ...quote);
  view(message).setUint16(2, internetChecksum(message));
  return back(packet, 0xc0 | (packet[1]! & 0x1e), 1, message);
}

/** Whether a packet is one that the firewall may send itself: an RST, or an ICMP error that quotes one of these packets, in hexadecimal. */
export function isAnswer(packet: Uint8Array, given: ReadonlySet<string>): boolean {
  if (naiveParse(packet, 0).reason !== 'none') return false;
  if (packet[9] === 6) return packet.length === 40 && (packet[33] === 4 || packet[33] === 20);
  if (packet[9] !== 1 || packet[20] !== 3 || packet[21] !== 13) return false;
  const quote = Buffer.from(packet.subarray(28)).toString('hex');
  return [...given].some((hex) => hex.startsWith(quote));
}
