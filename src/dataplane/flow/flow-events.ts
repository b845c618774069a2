/**
 * What the flow log is made of: flows that end, and those of rules with `log` that begin. A ring of copies of their records, from
 * those who hold the lock of the flow table to the control plane.
 *
 * The writer never waits: if the reader is slow and the ring is full, the event is counted as lost. All writers hold the lock, so
 * there is one at a time. Each side publishes its own count last.
 */
import { coldWords, hotShift, hotWords } from './flow-record.ts';

/** What happened to a flow. */
export const FlowEvent = {
  /** It was never there: the packet that made it was refused. Not logged. */
  none: 0,
  start: 1,
  /** No packet for as long as its timeout, whatever its state. */
  timeout: 2,
  /** A new connection of the same tuple began after it. */
  closed: 3,
  reset: 4,
  /** A new policy forbids it. */
  cut: 5,
  evicted: 6,
  killed: 7,
  /** The firewall ends, and the flow does not outlive it. */
  shutdown: 8,
} as const;

/** Words before the ring: how many events were written, read and lost. */
const written = 0;
const read = 16;
const lost = 17;
const headerWords = 32;

/** Words of an event: {@link FlowEvent} and time, then the flow's hot and cold record. */
const eventHeader = 2;
const eventWords = eventHeader + hotWords + coldWords;

/** @param events a power of two */
export function createFlowEvents(events: number): SharedArrayBuffer {
  return new SharedArrayBuffer((headerWords + events * eventWords) * 4);
}

function sizeOf(words: Int32Array): number {
  return (words.length - headerWords) / eventWords;
}

/** To be used under the lock of the flow table. */
export class FlowEventWriter {
  readonly #words: Int32Array;
  readonly #size: number;

  constructor(ring: SharedArrayBuffer) {
    this.#words = new Int32Array(ring);
    this.#size = sizeOf(this.#words);
  }

  /** @param hot @param cold records of flows, @param flow which of them */
  write(event: number, hot: Int32Array, cold: Int32Array, flow: number, nowMs: number): void {
    if (event === FlowEvent.none) return;
    const words = this.#words;
    const count = words[written]!;
    if (((count - Atomics.load(words, read)) | 0) >= this.#size) {
      words[lost] = (words[lost]! + 1) | 0;
      return;
    }
    let at = headerWords + (count & (this.#size - 1)) * eventWords;
    words[at++] = event;
    words[at++] = nowMs;
    const hotRecord = flow << hotShift;
    for (let word = 0; word < hotWords; word++) words[at++] = hot[hotRecord + word]!;
    const coldRecord = flow * coldWords;
    for (let word = 0; word < coldWords; word++) words[at++] = cold[coldRecord + word]!;
    Atomics.store(words, written, (count + 1) | 0);
  }
}

/** The one reader. */
export class FlowEventReader {
  readonly #words: Int32Array;
  readonly #size: number;
  /** Of the event that `next` has delivered: {@link FlowEvent}, and when it happened. */
  event: number = FlowEvent.none;
  timeMs = 0;
  /** The flow, as it was then. Written over by the next one. */
  readonly hot: Int32Array = new Int32Array(hotWords);
  readonly cold: Int32Array = new Int32Array(coldWords);

  constructor(ring: SharedArrayBuffer) {
    this.#words = new Int32Array(ring);
    this.#size = sizeOf(this.#words);
  }

  /** Events that found no room, modulo 2^32. */
  get lost(): number {
    return this.#words[lost]! >>> 0;
  }

  /** Takes the oldest event; false if there is none. */
  next(): boolean {
    const words = this.#words;
    const count = words[read]!;
    if (Atomics.load(words, written) === count) return false;
    const at = headerWords + (count & (this.#size - 1)) * eventWords;
    this.event = words[at]!;
    this.timeMs = words[at + 1]!;
    const hotAt = at + eventHeader;
    const coldAt = hotAt + hotWords;
    this.hot.set(words.subarray(hotAt, coldAt));
    this.cold.set(words.subarray(coldAt, at + eventWords));
    Atomics.store(words, read, (count + 1) | 0);
    return true;
  }
}
