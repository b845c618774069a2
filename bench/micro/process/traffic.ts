/**
 * Packets for the loops: small, laid out as native/queue.c lays a batch of them out, so that a batch is filled
 * with one copy.
 *
 * Their virtio header vouches for the L4 checksum, as it does for everything that comes from a host on the same machine or from
 * a card that verifies checksums.
 */
import { packetAlignment } from '../../../src/dataplane/tun/batch.ts';
import type { Batch } from '../../../src/dataplane/tun/batch.ts';
import {
  Ipv4,
  Protocol,
  Tcp,
  Udp,
  VnetHeader,
  vnetNeedsChecksum,
} from '../../../src/dataplane/wire/headers.ts';

/** Where in its 64 bytes a packet's virtio header starts (native/tunwall.h). */
const start = 6;
const ipOffset: number = start + VnetHeader.length;
const l4Offset: number = ipOffset + Ipv4.minimumLength;
/** Most that fits behind a TCP header into the 64 bytes of a packet. */
export const maxPayload = 8;

/** A small generator with a seed (Weyl sequence and the finaliser of MurmurHash3): the order has to be the same for both sides. */
export function randomBelow(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return Math.floor((((z ^ (z >>> 16)) >>> 0) / 0x100000000) * limit);
  };
}

/** The numbers below `count`, shuffled, always in the same way. */
export function shuffled(count: number): Uint32Array {
  const below = randomBelow(count);
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i--) {
    const j = below(i + 1);
    const swapped = order[i]!;
    order[i] = order[j]!;
    order[j] = swapped;
  }
  return order;
}

function u16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function u32(bytes: Uint8Array, at: number, value: number): void {
  u16(bytes, at, value >>> 16);
  u16(bytes, at + 2, value & 0xffff);
}

/** What the packets of a store have in common. */
export interface PacketKind {
  readonly protocol: number;
  /** Bytes behind the L4 header, {@link maxPayload} at most. */
  readonly payload?: number;
  readonly tcpFlags?: number;
}

/** Packets of one kind, a number of them, each with addresses and ports of its own. */
export class PacketStore {
  readonly count: number;
  readonly packetLength: number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint16Array;
  readonly #batches: Uint8Array[] = [];
  readonly #batchSize: number;
  readonly #protocol: number;
  readonly #tcpFlags: number;

  constructor(
    count: number,
    batchSize: number,
    { protocol, payload = 0, tcpFlags = 0 }: PacketKind,
  ) {
    const l4Length = protocol === Protocol.udp ? Udp.minimumLength : Tcp.minimumLength;
    this.count = count;
    this.packetLength = l4Offset - start + l4Length + payload;
    this.#protocol = protocol;
    this.#tcpFlags = tcpFlags;
    this.#bytes = new Uint8Array(count * packetAlignment);
    this.#words = new Uint16Array(this.#bytes.buffer);
    this.#batchSize = batchSize;
    const batchBytes = batchSize * packetAlignment;
    for (let at = 0; at < this.#bytes.length; at += batchBytes) {
      this.#batches.push(this.#bytes.subarray(at, at + batchBytes));
    }
  }

  get batches(): number {
    return this.#batches.length;
  }

  put(index: number, srcAddr: number, srcPort: number, dstAddr: number, dstPort: number): void {
    const bytes = this.#bytes;
    const at = index * packetAlignment;
    const ip = at + ipOffset;
    const l4 = at + l4Offset;
    bytes[at + start + VnetHeader.flags] = vnetNeedsChecksum;
    bytes[ip] = 0x45;
    u16(bytes, ip + Ipv4.totalLength, this.packetLength - VnetHeader.length);
    bytes[ip + Ipv4.ttl] = 64;
    bytes[ip + Ipv4.protocol] = this.#protocol;
    u32(bytes, ip + Ipv4.source, srcAddr);
    u32(bytes, ip + Ipv4.destination, dstAddr);
    this.#words[(ip + Ipv4.checksum) >> 1] = 0;
    let sum = 0;
    for (let word = ip >> 1; word < l4 >> 1; word++) sum += this.#words[word]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    this.#words[(ip + Ipv4.checksum) >> 1] = ~sum;
    u16(bytes, l4, srcPort);
    u16(bytes, l4 + 2, dstPort);
    if (this.#protocol === Protocol.udp) {
      u16(bytes, l4 + Udp.length, this.packetLength - VnetHeader.length - Ipv4.minimumLength);
    } else {
      bytes[l4 + Tcp.dataOffset] = (Tcp.minimumLength >> 2) << 4;
      bytes[l4 + Tcp.flags] = this.#tcpFlags;
      u16(bytes, l4 + Tcp.window, 0xffff);
    }
  }

  /** Fills a batch; returns how many packets are in it. */
  copyBatch(index: number, batch: Batch): number {
    batch.bytes.set(this.#batches[index]!, arenaOf(batch));
    batch.lengths.fill(this.packetLength, 0, this.#batchSize);
    const rest = this.count - index * this.#batchSize;
    return rest < this.#batchSize ? rest : this.#batchSize;
  }
}

function arenaOf(batch: Batch): number {
  return (
    Math.ceil((batch.verdicts.byteOffset + batch.totalSlots) / packetAlignment) * packetAlignment
  );
}

/** Says where the packets of a batch lie, once and for all. */
export function layOut(batch: Batch): void {
  for (let slot = 0; slot < batch.readSlots; slot++) {
    batch.offsets[slot] = arenaOf(batch) + slot * packetAlignment + start;
  }
}

/** Gives the first `count` TCP segments of a batch their sequence numbers. */
export function setSequence(
  batch: Batch,
  words: Uint16Array,
  count: number,
  sequence: number,
  acknowledgment: number,
): void {
  const swap = (half: number): number => ((half & 0xff) << 8) | ((half >>> 8) & 0xff);
  const [high, low] = [swap(sequence >>> 16), swap(sequence)];
  const [ackHigh, ackLow] = [swap(acknowledgment >>> 16), swap(acknowledgment)];
  const first = (arenaOf(batch) + l4Offset + Tcp.sequence) >> 1;
  for (let slot = 0; slot < count; slot++) {
    const word = first + slot * (packetAlignment >> 1);
    words[word] = high;
    words[word + 1] = low;
    words[word + 2] = ackHigh;
    words[word + 3] = ackLow;
  }
}
