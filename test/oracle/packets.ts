/**
 * From a step to the bytes of its packets, with addresses given out, and from what a filter let through back to datagrams.
 *
 * The IPv4 identification says to which lane (the conversation's place in its batch) a packet belongs; no filter changes it.
 */
import {
  icmpMessage,
  internetChecksum,
  ipv4Packet,
  pseudoHeader,
  tcpSegment,
  udpDatagram,
} from '../../src/testing/packets.ts';
import { entersFrom, openerPort } from './conversation.ts';
import type { Conversation, Fields, Place, Step } from './conversation.ts';
import { sent } from './conversation.ts';
import { serverAddress } from './policy.ts';

export const laneBits = 10;
export const laneCount: number = 1 << laneBits;
/** Steps that the rest of the identification can distinguish: fragments of two steps must not mix. */
export const maxSteps: number = 1 << (16 - laneBits);

/** Addresses of one performance of a conversation. */
export interface Cast {
  readonly lane: number;
  readonly outside: string;
}

/** The first 256 hosts of a network are not used; the server is one of them in its own network. */
const firstHost = 256;

/** A new outside address for every performance: nothing that an earlier one left behind is met again. */
export function castFor(lane: number, performance: number): Cast {
  const host = firstHost + (performance % (0xff_fffe - firstHost));
  return { lane, outside: `20.${(host >> 16) & 255}.${(host >> 8) & 255}.${host & 255}` };
}

/** Stand for unused addresses that belong to this performance alone, outside and inside: conversations must not meet. */
export const sibling = 'sibling';
export const neighbour = 'neighbour';

/** A router on one side. The one outside is this performance's alone too: Linux holds fragments longer than one takes. */
function routerOf(place: Place, cast: Cast): string {
  return place === 'outside' ? cast.outside.replace(/^20/, '22') : '10.255.0.1';
}

function resolve(address: string, cast: Cast): string {
  switch (address) {
    case sibling:
      return cast.outside.replace(/^20/, '21');
    case neighbour:
      return cast.outside.replace(/^20/, '10');
    default:
      return address;
  }
}

interface Addresses {
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number;
  readonly dstPort: number;
}

function addressesOf(fields: Fields, conversation: Conversation, cast: Cast): Addresses {
  const outward = entersFrom(conversation.place, fields.from) === 'outside';
  const opens = fields.from === 'opener';
  return {
    src: resolve(fields.src ?? (outward ? cast.outside : serverAddress), cast),
    dst: resolve(fields.dst ?? (outward ? serverAddress : cast.outside), cast),
    srcPort: fields.srcPort ?? (opens ? openerPort : conversation.port),
    dstPort: fields.dstPort ?? (opens ? conversation.port : openerPort),
  };
}

function payloadOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 7) & 255);
}

/** @param pseudo what the checksum covers besides the bytes */
function withChecksum(l4: Uint8Array, at: number, fields: Fields, pseudo: Uint8Array): Uint8Array {
  const view = new DataView(l4.buffer);
  view.setUint16(at, 0);
  let checksum = internetChecksum(pseudo, l4);
  if (fields.kind === 'udp' && checksum === 0) checksum = 0xffff;
  if (fields.checksum === 'wrong') checksum = checksum === 0x1234 ? 0x1235 : checksum ^ 0x0101;
  // Zero is a right checksum for nothing but UDP, which may also end up here by being made wrong.
  view.setUint16(at, fields.checksum === 'none' ? 0 : checksum);
  return l4;
}

function tcpBytes(fields: Fields, { src, dst, srcPort, dstPort }: Addresses): Uint8Array {
  const { flags, seq, ack, win, dataOffset } = fields;
  const payload = payloadOf(fields.length);
  const options = Uint8Array.from(fields.options);
  const ports = { srcPort, dstPort };
  const bytes = tcpSegment(src, dst, { ...ports, flags, seq, ack, win, options, payload });
  if (dataOffset !== undefined) bytes[12] = dataOffset << 4;
  return withChecksum(bytes, 16, fields, pseudoHeader(src, dst, 6, bytes.length));
}

function udpBytes(fields: Fields, { src, dst, srcPort, dstPort }: Addresses): Uint8Array {
  const bytes = udpDatagram(src, dst, srcPort, dstPort, payloadOf(fields.length));
  const length = fields.udpLength ?? bytes.length;
  new DataView(bytes.buffer).setUint16(4, length);
  const pseudo = pseudoHeader(src, dst, 17, length);
  // Where the length is shorter than the datagram, the checksum ends with it (RFC 768).
  if (length >= 8 && length < bytes.length) {
    bytes.set(withChecksum(bytes.slice(0, length), 6, fields, pseudo));
    return bytes;
  }
  return withChecksum(bytes, 6, fields, pseudo);
}

function icmpBytes(fields: Fields, body: Uint8Array): Uint8Array {
  const { kind, type, code, id, rest } = fields;
  const second = kind === 'query' ? (id << 16) | (rest & 0xffff) : rest;
  return withChecksum(icmpMessage(type, code, second, body), 2, fields, new Uint8Array());
}

function l4Of(
  fields: Fields,
  conversation: Conversation,
  cast: Cast,
): { protocol: number; l4: Uint8Array } {
  const addresses = addressesOf(fields, conversation, cast);
  switch (fields.kind) {
    case 'tcp':
      return { protocol: 6, l4: tcpBytes(fields, addresses) };
    case 'udp':
      return { protocol: 17, l4: udpBytes(fields, addresses) };
    case 'query':
      return { protocol: 1, l4: icmpBytes(fields, payloadOf(fields.length)) };
    case 'error': {
      const quoted =
        fields.quote === undefined
          ? payloadOf(fields.keep)
          : packetsOf(fields.quote, conversation, cast, 0)[0]!.subarray(0, fields.keep);
      return { protocol: 1, l4: icmpBytes(fields, quoted) };
    }
    case 'other':
      return { protocol: 47, l4: payloadOf(fields.length) };
  }
}

function packetsOf(
  fields: Fields,
  conversation: Conversation,
  cast: Cast,
  identification: number,
): Uint8Array[] {
  const { protocol, l4 } = l4Of(fields, conversation, cast);
  const addresses = addressesOf(fields, conversation, cast);
  const byRouter = fields.router && fields.src === undefined;
  const src = byRouter
    ? routerOf(entersFrom(conversation.place, fields.from), cast)
    : addresses.src;
  const { dst } = addresses;
  const whole = { offset: 0, length: l4.length, more: false };
  return (fields.pieces ?? [whole]).map(({ offset, length, more }) => {
    const payload = new Uint8Array(length);
    payload.set(l4.subarray(offset, offset + length));
    const bytes = ipv4Packet({
      src,
      dst,
      protocol: fields.protocol ?? protocol,
      payload,
      identification,
      fragmentOffset: offset,
      moreFragments: more,
      options: Uint8Array.from(fields.ipOptions ?? []),
    });
    return damaged(bytes, fields);
  });
}

/** What is wrong with the IPv4 header and the packet's length. */
function damaged(bytes: Uint8Array, fields: Fields): Uint8Array {
  const view = new DataView(bytes.buffer);
  const headerLength = (bytes[0]! & 15) << 2;
  if (fields.totalLengthError !== undefined) {
    view.setUint16(2, Math.max(0, bytes.length + fields.totalLengthError) & 0xffff);
  }
  if (fields.version !== undefined) bytes[0] = (fields.version << 4) | (bytes[0]! & 15);
  if (fields.headerWords !== undefined) bytes[0] = (bytes[0]! & 0xf0) | fields.headerWords;
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(bytes.subarray(0, headerLength)));
  if (fields.ipChecksum === 'wrong') bytes[11]! ^= 0x55;
  if (fields.cut !== undefined) return bytes.slice(0, Math.max(1, bytes.length - fields.cut));
  if (fields.trailer === undefined) return bytes;
  const longer = new Uint8Array(bytes.length + fields.trailer);
  longer.set(bytes);
  return longer;
}

/** The packets of a step, in the order in which they are sent. */
export function buildPackets(
  step: Step,
  index: number,
  conversation: Conversation,
  cast: Cast,
): Uint8Array[] {
  const identification = ((index % maxSteps) << laneBits) | cast.lane;
  return packetsOf(sent(step), conversation, cast, identification);
}

/** Lane of a packet that came out. */
export function laneOf(packet: Uint8Array): number {
  return ((packet[4]! << 8) | packet[5]!) & (laneCount - 1);
}

/**
 * What came out, as datagrams: addresses, protocol and IP payload, fragments joined. TTL, header checksum and IP options are
 * what a router changes. A datagram of which pieces are missing is named as such.
 */
export function datagramsOf(packets: readonly Uint8Array[]): string[] {
  const whole: string[] = [];
  const pieces: { offset: number; head: string; more: boolean; body: Buffer }[] = [];
  for (const packet of packets) {
    const buffer = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
    const field = buffer.readUInt16BE(6);
    const total = buffer.readUInt16BE(2);
    const head = `${buffer[9]!} ${buffer.toString('hex', 12, 20)} `;
    const body = buffer.subarray((buffer[0]! & 15) << 2, total);
    if ((field & 0x3fff) === 0) whole.push(head + body.toString('latin1'));
    else pieces.push({ offset: (field & 0x1fff) << 3, head, more: (field & 0x2000) !== 0, body });
  }
  if (pieces.length > 0) whole.push(joined(pieces));
  return whole;
}

function joined(pieces: { offset: number; head: string; more: boolean; body: Buffer }[]): string {
  pieces.sort((a, b) => a.offset - b.offset);
  let body = '';
  for (const piece of pieces) {
    if (piece.offset !== body.length) return 'in pieces that do not fit';
    body += piece.body.toString('latin1');
  }
  return pieces.at(-1)!.more ? 'in pieces without an end' : pieces[0]!.head + body;
}
