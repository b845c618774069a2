/**
 * Holds fragments until their datagram is complete; then the datagram is judged once and the fragments are forwarded
 * unchanged.
 *
 * Life of a datagram: the first fragment to arrive opens it, further ones join in order of arrival, and the one that
 * completes it is not stored at all. It is freed when it was judged, when it turns out to be forged (overlap, two
 * ends, beyond 65,535), after 30 seconds, or as the oldest when its memory is needed. Datagrams that will be complete
 * stay for milliseconds, so the old ones never will be. One of too many fragments is remembered as dead until its time is
 * over. One whose source uses its identification again is given up.
 *
 * Memory is fixed (fragment-memory.ts). The caller holds the engine's lock. This is not the fast path: copying makes a view
 * for each chunk.
 *
 * Sources: RFC 791 section 3.2, RFC 1858 and 3128 (tiny fragments), RFC 5722 (overlaps; the rule for IPv6, applied here),
 * net/ipv4/ip_fragment.c.
 */
import { DropReason } from '../wire/drop-reason.ts';
import type { DropReasonCode } from '../wire/drop-reason.ts';
import { Protocol, Tcp, VnetHeader } from '../wire/headers.ts';
import { copyBytes } from '../wire/readers.ts';
import type { Packet } from '../wire/packet.ts';
import { FragmentChunks, chunksFor } from './fragment-chunks.ts';
import {
  DatagramWord as Datagram,
  FragmentControl as Control,
  FragmentWord as Fragment,
  datagramShift,
  fragmentBucketCount,
  fragmentShift,
  fragmentSourceCount,
} from './fragment-memory.ts';
import type { FragmentDropCounter, FragmentMemory } from './fragment-memory.ts';
import { halfSipHash } from './hash.ts';

export const maxFragments = 64;
/** Fragments of other datagrams that a source may send between two of one: Linux's net.ipv4.ipfrag_max_dist. */
const maxDistance = 64;
const maxDatagramLength = 65_535;
export const fragmentTimeoutMs = 30_000;

/** What {@link FragmentStore.add} did with a fragment, beside drop reasons, which are never negative. */
export const fragmentHeld = -1;
export const fragmentCompletes = -2;

export class FragmentStore {
  readonly #chunks: FragmentChunks;
  readonly #fragments: Int32Array;
  readonly #datagrams: Int32Array;
  readonly #control: Int32Array;
  readonly #key0: number;
  readonly #key1: number;

  /** After `add` returned {@link fragmentCompletes}: the datagram, for `assemble`, `emit` and `release`. */
  datagram = 0;
  /** Called for every datagram whose fragments are dropped; the engine counts them. */
  readonly #onDrop: FragmentDropCounter;

  constructor(memory: FragmentMemory, onDrop: FragmentDropCounter) {
    this.#chunks = new FragmentChunks(memory);
    this.#fragments = new Int32Array(memory.fragments);
    this.#datagrams = new Int32Array(memory.datagrams);
    this.#control = new Int32Array(memory.control);
    this.#key0 = memory.hashKey[0] | 0;
    this.#key1 = memory.hashKey[1] | 0;
    this.#onDrop = onDrop;
  }

  /**
   * Takes a fragment whose IPv4 header was parsed.
   *
   * @param vnetOffset where its virtio header starts in `bytes`, @param length bytes from there on
   * @returns {@link fragmentHeld}, {@link fragmentCompletes} or why this fragment is dropped; if it killed its datagram,
   *   the fragments held before are gone too
   */
  add(
    packet: Packet,
    bytes: Uint8Array,
    vnetOffset: number,
    length: number,
    nowMs: number,
  ): number {
    const bucket = this.#bucketOf(packet);
    let datagram = this.#find(packet, bucket);
    const sourceCount = this.#countSource(packet.srcAddr);
    if (datagram !== 0 && this.#hasMovedOn(datagram, packet, bytes, sourceCount)) {
      this.#kill(datagram, DropReason.fragmentTimeout);
      datagram = 0;
    }
    if (datagram !== 0) {
      const record = datagram << datagramShift;
      this.#datagrams[record + Datagram.sourceCount] = sourceCount;
      const dead = this.#datagrams[record + Datagram.dead]!;
      if (dead !== 0) return dead;
    }
    const invalid = this.#checkAlone(packet, bytes);
    if (invalid !== DropReason.none) {
      if (datagram !== 0) this.#kill(datagram, invalid);
      return invalid;
    }
    const stored = VnetHeader.length + packet.totalLength;
    if (datagram === 0) {
      if (!this.#makeRoom(chunksFor(stored), 0)) return DropReason.fragmentMemory;
      datagram = this.#open(packet, bucket, nowMs);
      this.#datagrams[(datagram << datagramShift) + Datagram.sourceCount] = sourceCount;
    } else {
      const joined = this.#join(datagram, packet, chunksFor(stored));
      if (joined !== fragmentHeld) return joined;
    }
    this.#store(datagram, packet, bytes, vnetOffset, Math.min(length, stored));
    return fragmentHeld;
  }

  /**
   * Reassembles the complete datagram, leaving room for a 20-byte IPv4 header at `at`: payloads only, at their
   * offsets.
   *
   * @returns payload bytes
   */
  assemble(
    datagram: number,
    last: Packet,
    lastBytes: Uint8Array,
    into: Uint8Array,
    at: number,
  ): number {
    const record = datagram << datagramShift;
    let fragment = this.#datagrams[record + Datagram.firstFragment]!;
    while (fragment !== 0) {
      const words = fragment << fragmentShift;
      const headers = VnetHeader.length + this.#fragments[words + Fragment.headerLength]!;
      const payload = this.#fragments[words + Fragment.payload]!;
      this.#chunks.copyOut(
        fragment,
        headers,
        payload,
        into,
        at + this.#fragments[words + Fragment.offset]!,
      );
      fragment = this.#fragments[words + Fragment.next]!;
    }
    copyBytes(lastBytes, last.l4Offset, into, at + last.fragmentOffset, last.l4Length);
    return this.#datagrams[record + Datagram.received]! + last.l4Length;
  }

  /** First fragment held of a datagram, in order of arrival; 0 = none. */
  first(datagram: number): number {
    return this.#datagrams[(datagram << datagramShift) + Datagram.firstFragment]!;
  }

  next(fragment: number): number {
    return this.#fragments[(fragment << fragmentShift) + Fragment.next]!;
  }

  /** Bytes stored of a fragment: virtio header and packet. */
  storedLength(fragment: number): number {
    return this.#fragments[(fragment << fragmentShift) + Fragment.stored]!;
  }

  /** Copies a fragment unchanged, virtio header first. */
  copyFragment(fragment: number, into: Uint8Array, at: number): void {
    this.#chunks.copyOut(fragment, 0, this.storedLength(fragment), into, at);
  }

  /** Copies at most `most` bytes of the fragment with offset 0, from its IPv4 header on; returns how many. It has to be held. */
  copyFirst(datagram: number, into: Uint8Array, at: number, most: number): number {
    let fragment = this.first(datagram);
    while (this.#fragments[(fragment << fragmentShift) + Fragment.offset] !== 0) {
      fragment = this.next(fragment);
    }
    const length = Math.min(most, this.storedLength(fragment) - VnetHeader.length);
    this.#chunks.copyOut(fragment, VnetHeader.length, length, into, at);
    return length;
  }

  /** Fragments and IPv4 bytes held of a datagram, for counting. */
  heldCount(datagram: number): number {
    return this.#datagrams[(datagram << datagramShift) + Datagram.fragments]!;
  }

  heldBytes(datagram: number): number {
    return this.#datagrams[(datagram << datagramShift) + Datagram.packetBytes]!;
  }

  /** Frees a datagram and its memory. */
  release(datagram: number): void {
    const record = datagram << datagramShift;
    let fragment = this.#datagrams[record + Datagram.firstFragment]!;
    while (fragment !== 0) {
      const next = this.#fragments[(fragment << fragmentShift) + Fragment.next]!;
      this.#chunks.free(fragment);
      fragment = next;
    }
    this.#unchain(datagram);
    const older = this.#datagrams[record + Datagram.older]!;
    const newer = this.#datagrams[record + Datagram.newer]!;
    if (older === 0) this.#control[Control.oldest] = newer;
    else this.#datagrams[(older << datagramShift) + Datagram.newer] = newer;
    if (newer === 0) this.#control[Control.newest] = older;
    else this.#datagrams[(newer << datagramShift) + Datagram.older] = older;
    this.#datagrams[record + Datagram.chain] = this.#control[Control.freeDatagram]!;
    this.#control[Control.freeDatagram] = datagram;
    this.#control[Control.datagrams]! -= 1;
  }

  /** Drops datagrams that were not completed in time. */
  expire(nowMs: number): void {
    for (;;) {
      const oldest = this.#control[Control.oldest]!;
      if (oldest === 0) return;
      const created = this.#datagrams[(oldest << datagramShift) + Datagram.createdMs]!;
      if (((nowMs - created) | 0) < fragmentTimeoutMs) return;
      this.#kill(oldest, DropReason.fragmentTimeout);
    }
  }

  /** Whether a fragment joins those that are held: {@link fragmentHeld} if it does, and there is room for it. */
  #join(datagram: number, packet: Packet, chunks: number): number {
    const relation = this.#relate(datagram, packet);
    if (relation === duplicate) return DropReason.fragmentOverlap;
    if (relation !== DropReason.none) {
      this.#kill(datagram, relation);
      return relation;
    }
    if (this.#completes(datagram, packet)) {
      this.datagram = datagram;
      return fragmentCompletes;
    }
    if (this.heldCount(datagram) >= maxFragments - 1) {
      this.#die(datagram, DropReason.fragmentCount);
      return DropReason.fragmentCount;
    }
    if (!this.#makeRoom(chunks, datagram)) {
      this.#kill(datagram, DropReason.fragmentMemory);
      return DropReason.fragmentMemory;
    }
    return fragmentHeld;
  }

  /** Counts a fragment of a source; returns how many it has sent, together with those that share its place. */
  #countSource(srcAddr: number): number {
    const hash = halfSipHash(this.#key0, this.#key1, srcAddr, 0, 0, 0);
    const at = Control.sourceCounts + (hash & (fragmentSourceCount - 1));
    const count = (this.#control[at]! + 1) | 0;
    this.#control[at] = count;
    return count;
  }

  /**
   * Whether the source has given up the datagram and uses its identification for another one (RFC 4963): it sends other bytes
   * for a place that is held, or has sent many fragments since (ip_frag_too_far in net/ipv4/ip_fragment.c).
   */
  #hasMovedOn(datagram: number, packet: Packet, bytes: Uint8Array, sourceCount: number): boolean {
    const record = datagram << datagramShift;
    const distance = (sourceCount - this.#datagrams[record + Datagram.sourceCount]!) | 0;
    if (distance > maxDistance) return true;
    if (this.#datagrams[record + Datagram.dead] !== 0) return false;
    const { fragmentOffset, l4Offset, l4Length } = packet;
    for (let fragment = this.first(datagram); fragment !== 0; fragment = this.next(fragment)) {
      const words = fragment << fragmentShift;
      const samePlace =
        this.#fragments[words + Fragment.offset] === fragmentOffset &&
        this.#fragments[words + Fragment.payload] === l4Length;
      if (!samePlace) continue;
      const headers = VnetHeader.length + this.#fragments[words + Fragment.headerLength]!;
      return !this.#chunks.equals(fragment, headers, bytes, l4Offset, l4Length);
    }
    return false;
  }

  /** Checks a fragment by itself. */
  #checkAlone(packet: Packet, bytes: Uint8Array): DropReasonCode {
    const payload = packet.l4Length;
    const offset = packet.fragmentOffset;
    if (payload === 0 || (packet.moreFragments === 1 && (payload & 7) !== 0)) {
      return DropReason.fragment;
    }
    if (packet.ipHeaderLength + offset + payload > maxDatagramLength) {
      return DropReason.fragmentOversize;
    }
    if (packet.protocol === Protocol.tcp && offset === 8) return DropReason.fragmentTiny;
    if (offset === 0 && payload < headerNeeded(packet, bytes)) return DropReason.fragmentTiny;
    return DropReason.none;
  }

  /** How a fragment fits those that are held: `none`, {@link duplicate}, or why the datagram is dropped. */
  #relate(datagram: number, packet: Packet): DropReasonCode | typeof duplicate {
    const record = datagram << datagramShift;
    const start = packet.fragmentOffset;
    const end = start + packet.l4Length;
    const total = this.#datagrams[record + Datagram.total]!;
    if (packet.moreFragments === 0) {
      // A second end, or an end at or before the bytes of a fragment with "more fragments" set.
      const ends = this.#datagrams[record + Datagram.highest]! >= end;
      if (total === 0 ? ends : total !== end) return DropReason.fragmentOverlap;
    } else if (total !== 0 && end > total) {
      return DropReason.fragmentOverlap;
    }
    // Held fragments do not overlap, so the bytes of this one that are already held can be added up.
    let known = 0;
    let fragment = this.#datagrams[record + Datagram.firstFragment]!;
    while (fragment !== 0) {
      const words = fragment << fragmentShift;
      const heldStart = this.#fragments[words + Fragment.offset]!;
      const heldEnd = heldStart + this.#fragments[words + Fragment.payload]!;
      const common = Math.min(end, heldEnd) - Math.max(start, heldStart);
      if (common > 0) known += common;
      fragment = this.#fragments[words + Fragment.next]!;
    }
    if (known !== 0) return known === packet.l4Length ? duplicate : DropReason.fragmentOverlap;
    return DropReason.none;
  }

  #completes(datagram: number, packet: Packet): boolean {
    const record = datagram << datagramShift;
    const total =
      packet.moreFragments === 0
        ? packet.fragmentOffset + packet.l4Length
        : this.#datagrams[record + Datagram.total]!;
    // Nothing overlaps and nothing lies beyond the end, so the datagram is complete when the byte count is.
    return this.#datagrams[record + Datagram.received]! + packet.l4Length === total;
  }

  #bucketOf(packet: Packet): number {
    const key = (packet.protocol << 16) | packet.identification;
    const hash = halfSipHash(this.#key0, this.#key1, packet.srcAddr, packet.dstAddr, key, 0);
    return Control.buckets + (hash & (fragmentBucketCount - 1));
  }

  #find(packet: Packet, bucket: number): number {
    const key = (packet.protocol << 16) | packet.identification;
    let datagram = this.#control[bucket]!;
    while (datagram !== 0) {
      const record = datagram << datagramShift;
      if (
        this.#datagrams[record + Datagram.srcAddr] === packet.srcAddr &&
        this.#datagrams[record + Datagram.dstAddr] === packet.dstAddr &&
        this.#datagrams[record + Datagram.key] === key
      ) {
        break;
      }
      datagram = this.#datagrams[record + Datagram.chain]!;
    }
    return datagram;
  }

  #open(packet: Packet, bucket: number, nowMs: number): number {
    const control = this.#control;
    let datagram = control[Control.freeDatagram]!;
    if (datagram === 0) {
      datagram = control[Control.freshDatagram]!;
      control[Control.freshDatagram] = datagram + 1;
    } else {
      control[Control.freeDatagram] =
        this.#datagrams[(datagram << datagramShift) + Datagram.chain]!;
    }
    const words = this.#datagrams;
    const record = datagram << datagramShift;
    words.fill(0, record, record + (1 << datagramShift));
    words[record + Datagram.srcAddr] = packet.srcAddr;
    words[record + Datagram.dstAddr] = packet.dstAddr;
    words[record + Datagram.key] = (packet.protocol << 16) | packet.identification;
    words[record + Datagram.createdMs] = nowMs;
    words[record + Datagram.chain] = control[bucket]!;
    control[bucket] = datagram;
    const newest = control[Control.newest]!;
    words[record + Datagram.older] = newest;
    if (newest === 0) control[Control.oldest] = datagram;
    else words[(newest << datagramShift) + Datagram.newer] = datagram;
    control[Control.newest] = datagram;
    control[Control.datagrams]! += 1;
    return datagram;
  }

  #unchain(datagram: number): void {
    const words = this.#datagrams;
    const record = datagram << datagramShift;
    const hash = halfSipHash(
      this.#key0,
      this.#key1,
      words[record + Datagram.srcAddr]!,
      words[record + Datagram.dstAddr]!,
      words[record + Datagram.key]!,
      0,
    );
    const bucket = Control.buckets + (hash & (fragmentBucketCount - 1));
    const next = words[record + Datagram.chain]!;
    let at = this.#control[bucket]!;
    if (at === datagram) {
      this.#control[bucket] = next;
      return;
    }
    while (words[(at << datagramShift) + Datagram.chain] !== datagram) {
      at = words[(at << datagramShift) + Datagram.chain]!;
    }
    words[(at << datagramShift) + Datagram.chain] = next;
  }

  /** Drops the oldest datagrams, but not `spared`, until enough chunks are free. */
  #makeRoom(chunks: number, spared: number): boolean {
    while (!this.#chunks.hasRoomFor(chunks)) {
      let oldest = this.#control[Control.oldest]!;
      if (oldest === spared && oldest !== 0) {
        oldest = this.#datagrams[(oldest << datagramShift) + Datagram.newer]!;
      }
      if (oldest === 0) return false;
      this.#kill(oldest, DropReason.fragmentMemory);
    }
    return true;
  }

  #kill(datagram: number, reason: DropReasonCode): void {
    const dead = this.#datagrams[(datagram << datagramShift) + Datagram.dead]!;
    this.#count(datagram, dead === 0 ? reason : dead, 0, 0);
    this.release(datagram);
  }

  /**
   * Gives up a datagram and remembers it, until its time is over: what is still under way of it opens no other one. Its first
   * fragment stays, as every record needs a chunk (fragment-memory.ts).
   */
  #die(datagram: number, reason: DropReasonCode): void {
    const record = datagram << datagramShift;
    const first = this.first(datagram);
    const words = first << fragmentShift;
    const ownBytes = this.storedLength(first) - VnetHeader.length;
    this.#count(datagram, reason, 1, ownBytes);
    let fragment = this.next(first);
    while (fragment !== 0) {
      const next = this.next(fragment);
      this.#chunks.free(fragment);
      fragment = next;
    }
    const payload = this.#fragments[words + Fragment.payload]!;
    this.#fragments[words + Fragment.next] = 0;
    this.#datagrams[record + Datagram.lastFragment] = first;
    this.#datagrams[record + Datagram.fragments] = 1;
    this.#datagrams[record + Datagram.received] = payload;
    this.#datagrams[record + Datagram.highest] =
      this.#fragments[words + Fragment.offset]! + payload;
    this.#datagrams[record + Datagram.total] = 0;
    this.#datagrams[record + Datagram.packetBytes] = ownBytes;
    this.#datagrams[record + Datagram.dead] = reason;
  }

  /** Counts the held fragments as dropped, but so many fragments and bytes. */
  #count(datagram: number, reason: number, butFragments: number, butBytes: number): void {
    const record = datagram << datagramShift;
    this.#onDrop.countFragments(
      reason,
      this.#datagrams[record + Datagram.key]! >>> 16,
      this.#datagrams[record + Datagram.srcAddr]!,
      this.#datagrams[record + Datagram.dstAddr]!,
      this.heldCount(datagram) - butFragments,
      this.heldBytes(datagram) - butBytes,
    );
  }

  #store(
    datagram: number,
    packet: Packet,
    bytes: Uint8Array,
    vnetOffset: number,
    length: number,
  ): void {
    const fragment = this.#chunks.write(bytes, vnetOffset, length);
    const words = fragment << fragmentShift;
    this.#fragments[words + Fragment.next] = 0;
    this.#fragments[words + Fragment.offset] = packet.fragmentOffset;
    this.#fragments[words + Fragment.payload] = packet.l4Length;
    this.#fragments[words + Fragment.stored] = length;
    this.#fragments[words + Fragment.headerLength] = packet.ipHeaderLength;

    const record = datagram << datagramShift;
    const end = packet.fragmentOffset + packet.l4Length;
    const last = this.#datagrams[record + Datagram.lastFragment]!;
    if (last === 0) this.#datagrams[record + Datagram.firstFragment] = fragment;
    else this.#fragments[(last << fragmentShift) + Fragment.next] = fragment;
    this.#datagrams[record + Datagram.lastFragment] = fragment;
    this.#datagrams[record + Datagram.fragments]! += 1;
    this.#datagrams[record + Datagram.received]! += packet.l4Length;
    this.#datagrams[record + Datagram.packetBytes]! += packet.totalLength;
    if (packet.moreFragments === 0) this.#datagrams[record + Datagram.total] = end;
    if (end > this.#datagrams[record + Datagram.highest]!) {
      this.#datagrams[record + Datagram.highest] = end;
    }
  }
}

/** A fragment whose bytes are all held already. */
const duplicate = -1;

/** Bytes of L4 header that a first fragment must carry. */
function headerNeeded(packet: Packet, bytes: Uint8Array): number {
  if (packet.protocol !== Protocol.tcp) return 8;
  if (packet.l4Length < Tcp.minimumLength) return Tcp.minimumLength;
  return (bytes[packet.l4Offset + Tcp.dataOffset]! >> 4) << 2;
}
