/**
 * Drop records on their way to the control plane: a ring of fixed-size records in shared memory, one ring for each packet
 * thread.
 *
 * The writer never waits: when the reader is slow, the oldest records are overwritten, and the reader learns how many
 * it missed. Word 0 holds the count of records ever written and is published last.
 */
import { Protocol } from '../wire/headers.ts';
import type { Packet } from '../wire/packet.ts';

const headerWords = 16;
const recordShift = 4;

/** Words of a record. */
export const EventWord = {
  timeMs: 0,
  reason: 1,
  srcAddr: 2,
  dstAddr: 3,
  /** Source port << 16 | destination port. */
  ports: 4,
  protocol: 5,
  /** TCP flags, or ICMP type << 8 | code. */
  detail: 6,
  /** IPv4 length in bytes. */
  length: 7,
  direction: 8,
  epoch: 9,
  /** Slots of the servers at both ends: destination in the low half, source in the high half (Matcher.slotsOf). */
  servers: 10,
} as const;

/** @param records a power of two */
export function createEventRing(records: number): SharedArrayBuffer {
  return new SharedArrayBuffer((headerWords + (records << recordShift)) * 4);
}

export class EventRingWriter {
  readonly #words: Int32Array;
  readonly #mask: number;

  constructor(ring: SharedArrayBuffer) {
    this.#words = new Int32Array(ring);
    this.#mask = ((this.#words.length - headerWords) >> recordShift) - 1;
  }

  write(
    reason: number,
    packet: Packet,
    direction: number,
    epoch: number,
    servers: number,
    nowMs: number,
  ): void {
    const words = this.#words;
    const count = words[0]!;
    const at = headerWords + ((count & this.#mask) << recordShift);
    words[at + EventWord.timeMs] = nowMs;
    words[at + EventWord.reason] = reason;
    words[at + EventWord.srcAddr] = packet.srcAddr;
    words[at + EventWord.dstAddr] = packet.dstAddr;
    words[at + EventWord.ports] = (packet.srcPort << 16) | packet.dstPort;
    words[at + EventWord.protocol] = packet.protocol;
    words[at + EventWord.detail] =
      packet.protocol === Protocol.icmp
        ? (packet.icmpType << 8) | packet.icmpCode
        : packet.tcpFlags;
    words[at + EventWord.length] = packet.totalLength;
    words[at + EventWord.direction] = direction;
    words[at + EventWord.epoch] = epoch;
    words[at + EventWord.servers] = servers;
    Atomics.store(words, 0, (count + 1) | 0);
  }
}

export class EventRingReader {
  readonly #words: Int32Array;
  readonly #size: number;
  #next = 0;

  /** The record that `read` delivered last; see {@link EventWord}. */
  readonly record: Int32Array = new Int32Array(1 << recordShift);
  /** Records that were overwritten before they could be read. */
  missed = 0;

  constructor(ring: SharedArrayBuffer) {
    this.#words = new Int32Array(ring);
    this.#size = (this.#words.length - headerWords) >> recordShift;
  }

  /** Fetches the next record into `record`; false if there is none. */
  read(): boolean {
    for (;;) {
      const behind = (Atomics.load(this.#words, 0) - this.#next) | 0;
      if (behind === 0) return false;
      // The writer may be filling the oldest record right now: it counts as overwritten.
      if (behind >= this.#size) this.#skip(behind - this.#size + 1);
      const at = headerWords + ((this.#next & (this.#size - 1)) << recordShift);
      this.record.set(this.#words.subarray(at, at + (1 << recordShift)));
      const behindNow = (Atomics.load(this.#words, 0) - this.#next) | 0;
      if (behindNow < this.#size) {
        this.#next = (this.#next + 1) | 0;
        return true;
      }
    }
  }

  #skip(count: number): void {
    this.#next = (this.#next + count) | 0;
    this.missed += count;
  }
}
