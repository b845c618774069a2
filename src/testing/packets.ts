/**
 * Packets, built field by field. Lengths and checksums are right; a test that wants a wrong one writes over the bytes.
 *
 * Offsets and flags are written down here once more, instead of taken from dataplane/wire: a parser that reads the wrong byte does
 * not find what these functions have written.
 */

export interface Ipv4Fields {
  src: string;
  dst: string;
  protocol: number;
  payload: Uint8Array;
  identification?: number;
  /** In bytes. */
  fragmentOffset?: number;
  moreFragments?: boolean;
  options?: Uint8Array;
  ttl?: number;
}

export interface TcpFields {
  srcPort: number;
  dstPort: number;
  /** As letters: S A F R P U E C. */
  flags: string;
  seq?: number;
  ack?: number;
  win?: number;
  options?: Uint8Array;
  payload?: Uint8Array;
}

export function addressToInt(address: string): number {
  return address.split('.').reduce((value, part) => (value << 8) | Number(part), 0);
}

function sum16(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  return sum;
}

export function internetChecksum(...parts: Uint8Array[]): number {
  let sum = parts.reduce((total, part) => total + sum16(part), 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

export function ipv4Packet(fields: Ipv4Fields): Uint8Array {
  const options = fields.options ?? new Uint8Array();
  const headerLength = 20 + options.length;
  const bytes = new Uint8Array(headerLength + fields.payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x40 | (headerLength >> 2);
  view.setUint16(2, bytes.length);
  view.setUint16(4, fields.identification ?? 1);
  view.setUint16(6, ((fields.fragmentOffset ?? 0) >> 3) | (fields.moreFragments ? 0x2000 : 0));
  bytes[8] = fields.ttl ?? 64;
  bytes[9] = fields.protocol;
  view.setInt32(12, addressToInt(fields.src));
  view.setInt32(16, addressToInt(fields.dst));
  bytes.set(options, 20);
  view.setUint16(10, internetChecksum(bytes.subarray(0, headerLength)));
  bytes.set(fields.payload, headerLength);
  return bytes;
}

/** What checksums of TCP and UDP cover besides the segment (RFC 9293 3.1). */
export function pseudoHeader(
  src: string,
  dst: string,
  protocol: number,
  length: number,
): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, addressToInt(src));
  view.setInt32(4, addressToInt(dst));
  bytes[9] = protocol;
  view.setUint16(10, length);
  return bytes;
}

const flagBits: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 };

export function tcpFlags(letters: string): number {
  return letters.split('').reduce((bits, letter) => bits | (flagBits[letter] ?? 0), 0);
}

export function tcpSegment(src: string, dst: string, fields: TcpFields): Uint8Array {
  const options = fields.options ?? new Uint8Array();
  const payload = fields.payload ?? new Uint8Array();
  const headerLength = 20 + options.length;
  const bytes = new Uint8Array(headerLength + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, fields.srcPort);
  view.setUint16(2, fields.dstPort);
  view.setUint32(4, (fields.seq ?? 0) >>> 0);
  view.setUint32(8, (fields.ack ?? 0) >>> 0);
  bytes[12] = (headerLength >> 2) << 4;
  bytes[13] = tcpFlags(fields.flags);
  view.setUint16(14, fields.win ?? 65_535);
  bytes.set(options, 20);
  bytes.set(payload, headerLength);
  view.setUint16(16, internetChecksum(pseudoHeader(src, dst, 6, bytes.length), bytes));
  return bytes;
}

export function tcpPacket(src: string, dst: string, fields: TcpFields): Uint8Array {
  return ipv4Packet({ src, dst, protocol: 6, payload: tcpSegment(src, dst, fields) });
}

export function udpDatagram(
  src: string,
  dst: string,
  srcPort: number,
  dstPort: number,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, srcPort);
  view.setUint16(2, dstPort);
  view.setUint16(4, bytes.length);
  bytes.set(payload, 8);
  const checksum = internetChecksum(pseudoHeader(src, dst, 17, bytes.length), bytes);
  view.setUint16(6, checksum === 0 ? 0xffff : checksum);
  return bytes;
}

export function udpPacket(
  src: string,
  dst: string,
  srcPort: number,
  dstPort: number,
  payload: Uint8Array = new Uint8Array(8),
): Uint8Array {
  return ipv4Packet({
    src,
    dst,
    protocol: 17,
    payload: udpDatagram(src, dst, srcPort, dstPort, payload),
  });
}

export function icmpMessage(
  type: number,
  code: number,
  rest: number,
  payload: Uint8Array = new Uint8Array(8),
): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = type;
  bytes[1] = code;
  view.setUint32(4, rest >>> 0);
  bytes.set(payload, 8);
  view.setUint16(2, internetChecksum(bytes));
  return bytes;
}

export function icmpQuery(
  src: string,
  dst: string,
  type: number,
  identifier: number,
  sequence = 1,
): Uint8Array {
  const payload = icmpMessage(type, 0, (identifier << 16) | sequence);
  return ipv4Packet({ src, dst, protocol: 1, payload });
}

/** TCP options of a SYN: MSS 1460, SACK permitted, window scale `scale`. */
export function synOptions(scale?: number, sack = true): Uint8Array {
  const bytes = [2, 4, 0x05, 0xb4];
  if (sack) bytes.push(1, 1, 4, 2);
  if (scale !== undefined) bytes.push(1, 3, 3, scale);
  return Uint8Array.from(bytes);
}

/** NOP NOP SACK with one block. */
export function sackOption(left: number, right: number): Uint8Array {
  const bytes = new Uint8Array(12);
  bytes.set([1, 1, 5, 10]);
  new DataView(bytes.buffer).setUint32(4, left >>> 0);
  new DataView(bytes.buffer).setUint32(8, right >>> 0);
  return bytes;
}
