/**
 * Turns drop records into a bounded number of log lines: each kind of drop is logged once, then counted and summed up,
 * and the number of lines per second is limited.
 *
 * A kind of drop is its reason, protocol, source, destination and destination port. The last few thousand kinds are
 * kept for ten seconds after their first record; a kind that recurred meanwhile gets a second line with its count when
 * it is removed. Text is formatted only after the rate limiter has allowed the line.
 */
import { LRUCache } from 'lru-cache';
import { EventWord } from '../../dataplane/engine/event-ring.ts';
import { directionNames } from '../../dataplane/engine/counters.ts';
import { dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { formatAddress, formatProtocol } from '../../dataplane/wire/format.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';

const rememberedKinds = 4096;
const repeatWindowMs = 10_000;
const suppressedReportMs = 10_000;

/** A drop as it is logged. */
export interface DropRecord {
  readonly reason: string;
  readonly direction: string;
  readonly protocol: string;
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

interface Kind {
  readonly record: DropRecord;
  repeats: number;
}

export interface DropLogOptions {
  readonly linesPerSecond: number;
  /** The clock, in ms. */
  readonly now: () => number;
  /** Logs a drop; `repeats` is the number of further drops of its kind within the last ten seconds. */
  readonly onDrop: (record: DropRecord, repeats: number) => void;
  /** Drops that were not logged because of the rate limit. */
  readonly onSuppressed: (count: number) => void;
}

export class DropLog {
  readonly #options: DropLogOptions;
  readonly #kinds: LRUCache<string, Kind>;
  #tokens: number;
  #lastRefillMs: number;
  #suppressed = 0;
  #lastSuppressedReportMs: number;

  constructor(options: DropLogOptions) {
    this.#options = options;
    this.#tokens = options.linesPerSecond;
    this.#lastRefillMs = options.now();
    this.#lastSuppressedReportMs = this.#lastRefillMs;
    this.#kinds = new LRUCache({
      max: rememberedKinds,
      ttl: repeatWindowMs,
      perf: { now: options.now },
      ttlResolution: 0,
      dispose: (kind) => {
        if (kind.repeats > 0) this.#tell(kind.record, kind.repeats);
      },
    });
  }

  /** Takes one record of the event ring (engine/event-ring.ts). */
  add(words: Int32Array): void {
    const key = `${words[EventWord.reason]!} ${words[EventWord.protocol]!} ${words[EventWord.srcAddr]!} ${words[EventWord.dstAddr]!} ${words[EventWord.ports]! & 0xffff}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) {
      known.repeats++;
      return;
    }
    const record = describeDrop(words);
    this.#kinds.set(key, { record, repeats: 0 });
    this.#tell(record, 0);
  }

  /** Records that the ring lost before they could be taken. */
  addMissed(count: number): void {
    this.#suppressed += count;
  }

  /** Sums up kinds that are older than ten seconds; call it about once a second. */
  tick(): void {
    this.#kinds.purgeStale();
    const nowMs = this.#options.now();
    if (this.#suppressed > 0 && nowMs - this.#lastSuppressedReportMs >= suppressedReportMs) {
      this.#reportSuppressed();
    }
  }

  /** Logs the counts that are not logged yet. Call it at the end. */
  close(): void {
    this.#kinds.clear();
    this.#reportSuppressed();
  }

  #reportSuppressed(): void {
    if (this.#suppressed > 0) this.#options.onSuppressed(this.#suppressed);
    this.#suppressed = 0;
    this.#lastSuppressedReportMs = this.#options.now();
  }

  #tell(record: DropRecord, repeats: number): void {
    const nowMs = this.#options.now();
    const rate = this.#options.linesPerSecond;
    const refill = ((nowMs - this.#lastRefillMs) * rate) / 1000;
    this.#tokens = Math.min(rate, this.#tokens + refill);
    this.#lastRefillMs = nowMs;
    if (this.#tokens < 1) {
      this.#suppressed += repeats === 0 ? 1 : repeats;
      return;
    }
    this.#tokens--;
    this.#options.onDrop(record, repeats);
  }
}

/** A record of the event ring as text. */
export function describeDrop(words: Int32Array): DropRecord {
  const protocol = words[EventWord.protocol]!;
  const ports = words[EventWord.ports]!;
  const hasPorts = protocol === Protocol.tcp || protocol === Protocol.udp;
  const from = formatAddress(words[EventWord.srcAddr]!);
  const to = formatAddress(words[EventWord.dstAddr]!);
  return {
    reason: dropReasonNames[words[EventWord.reason]!] ?? 'unknown',
    direction: directionNames[words[EventWord.direction]!] ?? 'none',
    protocol: formatProtocol(protocol),
    from: hasPorts ? `${from}:${ports >>> 16}` : from,
    to: hasPorts ? `${to}:${ports & 0xffff}` : to,
    bytes: words[EventWord.length]!,
  };
}
