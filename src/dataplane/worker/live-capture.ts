/**
 * Live captures: publishes the filter to the packet threads, and delivers what they have written
 * (engine/capture-ring.ts) to the captures, in order of time.
 *
 * Any number of captures may run. The packet threads write each packet that at least one of them wants, once; here
 * each capture selects its own.
 */
import {
  CaptureControl,
  CaptureRingReader,
  CaptureVerdict,
  captureControlWords,
} from '../engine/capture-ring.ts';
import type { CapturedRecord } from '../engine/capture-ring.ts';
import { DropReason } from '../wire/drop-reason.ts';

/** How often the rings are emptied. In this time 400 MB/s fill a ring of 8 MiB. */
const drainPeriodMs = 20;

/** Longer than any packet. */
const wholePacket = 0xffff;

export interface CaptureFilter {
  readonly passed: boolean;
  readonly dropped: boolean;
  /** Slot of the server that must be at one end of the packet; absent: any packet. */
  readonly server?: number | undefined;
  /** Bytes kept of each packet; absent: all. */
  readonly snapLength?: number | undefined;
}

export interface CaptureSink {
  /** A packet; the record is used again for the next one. */
  onPacket(record: Readonly<CapturedRecord>): void;
  /** All pending packets were delivered. */
  onBatch(): void;
  /** This many packets were lost because the rings were full; not all of them would have matched this capture. */
  onLost(packets: number): void;
}

interface Capture {
  readonly filter: CaptureFilter;
  readonly sink: CaptureSink;
}

export class LiveCapture {
  readonly control: SharedArrayBuffer = new SharedArrayBuffer(captureControlWords * 4);
  readonly #words: Int32Array = new Int32Array(this.control);
  readonly #captures: Set<Capture> = new Set();
  readonly #readers: CaptureRingReader[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #onRunning: (running: boolean) => void;

  /** @param onRunning called before the first capture begins, and when the last one has ended */
  constructor(onRunning: (running: boolean) => void = () => undefined) {
    this.#onRunning = onRunning;
  }

  /** One for each packet thread. */
  addRing(ring: SharedArrayBuffer): void {
    this.#readers.push(new CaptureRingReader(ring));
  }

  /** Starts a capture; the result ends it. What was judged before that is delivered first. */
  start(filter: CaptureFilter, sink: CaptureSink): () => void {
    if (this.#captures.size === 0) {
      // A packet thread may have finished its batch after the last capture had ended.
      while (this.#next() !== undefined);
      for (const reader of this.#readers) reader.takeLost();
      this.#timer = setInterval(() => this.drain(), drainPeriodMs);
    }
    const capture = { filter, sink };
    this.#captures.add(capture);
    this.#announce();
    return () => {
      if (!this.#captures.has(capture)) return;
      this.drain();
      this.#captures.delete(capture);
      this.#announce();
      if (this.#captures.size === 0) clearInterval(this.#timer);
    };
  }

  /** Ends all of them. */
  stop(): void {
    if (this.#captures.size > 0) this.drain();
    this.#captures.clear();
    this.#announce();
    clearInterval(this.#timer);
  }

  /** Delivers pending packets. */
  drain(): void {
    for (const reader of this.#readers) {
      const lost = reader.takeLost();
      if (lost > 0) for (const { sink } of this.#captures) sink.onLost(lost);
    }
    for (let record = this.#next(); record !== undefined; record = this.#next()) {
      for (const { filter, sink } of this.#captures) {
        if (!wants(filter, record)) continue;
        const kept = filter.snapLength ?? wholePacket;
        if (record.bytes.length > kept) {
          sink.onPacket({ ...record, bytes: record.bytes.subarray(0, kept) });
        } else {
          sink.onPacket(record);
        }
      }
    }
    for (const { sink } of this.#captures) sink.onBatch();
  }

  /** The oldest record of all rings. */
  #next(): CapturedRecord | undefined {
    let oldest: CaptureRingReader | undefined;
    for (const reader of this.#readers) {
      const record = reader.peek();
      if (record === undefined) continue;
      if (oldest === undefined || record.timeUs < oldest.record.timeUs) oldest = reader;
    }
    return oldest?.take();
  }

  /** Publishes to the packet threads the union of what the captures want. */
  #announce(): void {
    let verdicts = 0;
    let snapLength = 0;
    const servers = new Set<number>();
    for (const { filter } of this.#captures) {
      if (filter.passed) verdicts |= CaptureVerdict.passed;
      if (filter.dropped) verdicts |= CaptureVerdict.dropped;
      snapLength = Math.max(snapLength, filter.snapLength ?? wholePacket);
      servers.add(filter.server ?? 0);
    }
    const [server] = servers;
    const words = this.#words;
    Atomics.store(words, CaptureControl.snapLength, snapLength);
    Atomics.store(words, CaptureControl.server, servers.size === 1 ? server! : 0);
    this.#onRunning(verdicts !== 0);
    // Last: the packet threads read the other words only when this one is not 0.
    Atomics.store(words, CaptureControl.verdicts, verdicts);
  }
}

function wants(filter: CaptureFilter, { reason, servers }: CapturedRecord): boolean {
  if (!(reason === DropReason.none ? filter.passed : filter.dropped)) return false;
  const { server } = filter;
  return server === undefined || (servers & 0xffff) === server || servers >>> 16 === server;
}
