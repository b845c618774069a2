/**
 * Packets on their way to a live capture: a ring of records in shared memory, one ring for each packet thread.
 *
 * Nothing is written while no capture runs: the verdict mask in the control words is then 0, and the engine reads it
 * once per batch. The writer never waits: a record that does not fit because the reader is slow is lost and counted.
 * A record is contiguous: if the next one does not fit before the end of the ring, the rest of the ring is skipped.
 *
 * Head and tail count words ever written and read, modulo 2^32; their difference is the number of unread words. Each
 * has one writer.
 */
import { VnetHeader, vnetNeedsChecksum } from '../wire/headers.ts';
import { copyBytes } from '../wire/readers.ts';

/** Words that the control plane writes and all packet threads read. */
export const CaptureControl = {
  /** Which verdicts are captured; 0 = no capture runs. See {@link CaptureVerdict}. */
  verdicts: 0,
  /** Bytes kept of each packet, from the IPv4 header on. */
  snapLength: 1,
  /** Slot of the server that must be at one end of the packet; 0 = all packets. */
  server: 2,
} as const;

export const captureControlWords = 16;

/** Bits of the verdict mask. */
export const CaptureVerdict = { dropped: 1, passed: 2 } as const;

/** Words of the ring's header: each in a cache line of its own. */
const RingWord = { head: 0, tail: 16, lost: 32 } as const;
const headerWords = 48;

/** Words of a record; the packet's bytes follow. */
const RecordWord = {
  /** Words of the record, with this one; negative: nothing up to the end of the ring. */
  length: 0,
  /** Bytes kept, and original length of the packet. */
  captured: 1,
  original: 2,
  /** Drop reason; none passes. */
  reason: 3,
  direction: 4,
  /** Slots of the servers at its ends: destination in the low half, source in the high half. */
  servers: 5,
  /** Microseconds since 1970, low and high half. */
  timeLow: 6,
  timeHigh: 7,
  /** Flags of the virtio header: whether its L4 checksum is complete. */
  vnetFlags: 8,
  bytes: 9,
} as const;

/** @param byteLength a power of two */
export function createCaptureRing(byteLength: number): SharedArrayBuffer {
  const whole = headerWords * 4 + byteLength;
  // Pages, which cost nothing before they are written to: see pageAligned in flow-memory.ts.
  return new SharedArrayBuffer(whole, { maxByteLength: whole });
}

function wordsOf(ring: SharedArrayBuffer): Int32Array {
  return new Int32Array(ring, 0, ring.byteLength >> 2);
}

export class CaptureRingWriter {
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #size: number;
  /** Microseconds since 1970, read once per captured batch. */
  readonly #clockUs: () => number;
  #snapLength = 0;
  #server = 0;
  #timeLow = 0;
  #timeHigh = 0;

  constructor(control: SharedArrayBuffer, ring: SharedArrayBuffer, clockUs: () => number) {
    this.#control = new Int32Array(control);
    this.#words = wordsOf(ring);
    this.#bytes = new Uint8Array(ring, 0, ring.byteLength);
    this.#size = this.#words.length - headerWords;
    this.#clockUs = clockUs;
  }

  /** Starts a batch; returns which verdicts are captured. */
  begin(): number {
    const verdicts = this.#control[CaptureControl.verdicts]!;
    if (verdicts === 0) return 0;
    this.#snapLength = this.#control[CaptureControl.snapLength]!;
    this.#server = this.#control[CaptureControl.server]!;
    const timeUs = this.#clockUs();
    this.#timeHigh = Math.floor(timeUs / 0x100000000);
    this.#timeLow = timeUs | 0;
    return verdicts;
  }

  /**
   * Writes a packet, if it matches the capture.
   *
   * @param vnet where its virtio header lies, @param length bytes behind that, from the IPv4 header on
   * @param servers slots of the servers at its ends (Matcher.slotsOf)
   */
  write(
    bytes: Uint8Array,
    vnet: number,
    length: number,
    reason: number,
    direction: number,
    servers: number,
  ): void {
    const server = this.#server;
    if (server !== 0 && (servers & 0xffff) !== server && servers >>> 16 !== server) return;
    const captured = length < this.#snapLength ? length : this.#snapLength;
    const record = this.#reserve(RecordWord.bytes + ((captured + 3) >> 2));
    if (record < 0) return;
    const words = this.#words;
    words[record + RecordWord.captured] = captured;
    words[record + RecordWord.original] = length;
    words[record + RecordWord.reason] = reason;
    words[record + RecordWord.direction] = direction;
    words[record + RecordWord.servers] = servers;
    words[record + RecordWord.timeLow] = this.#timeLow;
    words[record + RecordWord.timeHigh] = this.#timeHigh;
    words[record + RecordWord.vnetFlags] = bytes[vnet + VnetHeader.flags]!;
    const at = vnet + VnetHeader.length;
    copyBytes(bytes, at, this.#bytes, (record + RecordWord.bytes) << 2, captured);
    const head = words[RingWord.head]!;
    Atomics.store(words, RingWord.head, (head + words[record + RecordWord.length]!) | 0);
  }

  /** Reserves a record of `length` words; returns its index, or -1 when the ring is full. */
  #reserve(length: number): number {
    const words = this.#words;
    const head = words[RingWord.head]!;
    const at = head & (this.#size - 1);
    const skipped = at + length > this.#size ? this.#size - at : 0;
    const waiting = (head - Atomics.load(words, RingWord.tail)) | 0;
    if (waiting + skipped + length > this.#size) {
      words[RingWord.lost]! += 1;
      return -1;
    }
    let record = headerWords + at;
    if (skipped > 0) {
      words[record + RecordWord.length] = -1;
      record = headerWords;
      Atomics.store(words, RingWord.head, (head + skipped) | 0);
    }
    words[record + RecordWord.length] = length;
    return record;
  }
}

/** A captured packet. */
export interface CapturedRecord {
  /** Microseconds since 1970. */
  timeUs: number;
  /** From the IPv4 header on, as many bytes as were kept. */
  bytes: Uint8Array;
  originalLength: number;
  /** Drop reason; none passes. */
  reason: number;
  direction: number;
  /** See Matcher.slotsOf. */
  servers: number;
  /** Its L4 checksum is complete, or there is none. */
  isChecksumWhole: boolean;
}

export class CaptureRingReader {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #size: number;
  #lostBefore = 0;
  /** Words of the record in hand; 0 = none. */
  #inHand = 0;
  #taken = false;

  readonly record: CapturedRecord = {
    timeUs: 0,
    bytes: new Uint8Array(),
    originalLength: 0,
    reason: 0,
    direction: 0,
    servers: 0,
    isChecksumWhole: true,
  };

  constructor(ring: SharedArrayBuffer) {
    this.#words = wordsOf(ring);
    this.#bytes = new Uint8Array(ring, 0, ring.byteLength);
    this.#size = this.#words.length - headerWords;
  }

  /** Packets that found the ring full since the last call. */
  takeLost(): number {
    const lost = (Atomics.load(this.#words, RingWord.lost) - this.#lostBefore) | 0;
    this.#lostBefore = (this.#lostBefore + lost) | 0;
    return lost;
  }

  /** The oldest unread packet: {@link record}, valid until it is taken and the next one is peeked. */
  peek(): CapturedRecord | undefined {
    if (this.#taken) {
      this.#giveBack(this.#inHand);
      this.#inHand = 0;
      this.#taken = false;
    }
    if (this.#inHand !== 0) return this.record;
    const words = this.#words;
    for (;;) {
      const tail = words[RingWord.tail]!;
      if (Atomics.load(words, RingWord.head) === tail) return undefined;
      const at = tail & (this.#size - 1);
      const length = words[headerWords + at]!;
      if (length > 0) {
        this.#deliver(headerWords + at);
        this.#inHand = length;
        return this.record;
      }
      this.#giveBack(this.#size - at);
    }
  }

  /** Takes the oldest unread packet; its bytes are valid until the next `peek` or `take`. */
  take(): CapturedRecord | undefined {
    const record = this.peek();
    this.#taken = record !== undefined;
    return record;
  }

  #deliver(record: number): void {
    const words = this.#words;
    const start = (record + RecordWord.bytes) << 2;
    const out = this.record;
    const high = words[record + RecordWord.timeHigh]!;
    out.timeUs = high * 0x100000000 + (words[record + RecordWord.timeLow]! >>> 0);
    out.bytes = this.#bytes.subarray(start, start + words[record + RecordWord.captured]!);
    out.originalLength = words[record + RecordWord.original]!;
    out.reason = words[record + RecordWord.reason]!;
    out.direction = words[record + RecordWord.direction]!;
    out.servers = words[record + RecordWord.servers]!;
    out.isChecksumWhole = (words[record + RecordWord.vnetFlags]! & vnetNeedsChecksum) === 0;
  }

  #giveBack(length: number): void {
    const words = this.#words;
    Atomics.store(words, RingWord.tail, (words[RingWord.tail]! + length) | 0);
  }
}
