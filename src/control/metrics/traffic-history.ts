/**
 * What charts are drawn of, kept whether or not anybody looks: an hour by the second, a day by the minute, the last ten minutes
 * of each server, and when the policy changed.
 *
 * Rates are what two readings of counters differ by, over the time between them. A step is named by the moment at which it ends.
 * All of it is in arrays of a fixed size. A step that nobody has measured (the clock was set, the process stood still, there was
 * none) is a gap. What is of the whole firewall lies in memory that may outlive the process (worker/kept-memory.ts): each step and
 * each change has a sum, and one that is damaged, or was half written, is as if it had not been. The servers' begin anew.
 */
import { sumOf } from '../../system/word-sum.ts';

/** Counters so far, and the flows of now. */
export interface TrafficReading {
  readonly passed: Volume;
  readonly dropped: Volume;
  readonly flows: number;
}

interface Volume {
  readonly packets: number;
  readonly bytes: number;
}

/** One value a step, oldest first; `null` is a gap. */
export type Steps = readonly (number | null)[];

export interface HistoryColumns {
  readonly stepSeconds: number;
  /** End of the newest step, in ms since 1970. */
  readonly endMs: number;
  /** Each has the same length, and begins with the oldest step that is known. */
  readonly columns: readonly Steps[];
}

/** When a policy came into force. */
export interface PolicyMark {
  readonly atMs: number;
  readonly epoch: number;
}

/** Moments: on the wall clock, and on one that nobody sets. Both in ms. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** Numbered rows of some columns, each with a sum of itself, in memory that an earlier process may have written. */
class KeptRows {
  /** By place; 0: none. */
  readonly numbers: Float64Array;
  readonly columns: readonly Float32Array[];
  readonly #sums: Int32Array;
  readonly #row: Float64Array;
  readonly #rowColumns: Float32Array;
  readonly #rowWords: Int32Array;

  static length(columns: number, length: number): number {
    return (8 + 4 * columns + 4) * length;
  }

  /** @param length even, as is the number of rows before `at` */
  constructor(memory: SharedArrayBuffer, at: number, columns: number, length: number) {
    this.numbers = new Float64Array(memory, at, length);
    const column = (index: number): number => at + (8 + 4 * index) * length;
    this.columns = Array.from(
      { length: columns },
      (_, index) => new Float32Array(memory, column(index), length),
    );
    this.#sums = new Int32Array(memory, column(columns), length);
    this.#row = new Float64Array(1 + Math.ceil(columns / 2));
    this.#rowColumns = new Float32Array(this.#row.buffer, 8);
    this.#rowWords = new Int32Array(this.#row.buffer);
    for (let place = 0; place < length; place++) {
      if (this.#sums[place] !== this.#sumAt(place)) this.numbers[place] = 0;
    }
  }

  write(place: number, number: number, values: readonly number[]): void {
    this.numbers[place] = number;
    for (const [index, column] of this.columns.entries()) column[place] = values[index]!;
    this.#sums[place] = this.#sumAt(place);
  }

  #sumAt(place: number): number {
    this.#row[0] = this.numbers[place]!;
    for (const [index, column] of this.columns.entries()) this.#rowColumns[index] = column[place]!;
    return sumOf(this.#rowWords);
  }
}

/** The last steps of some columns. The step of number n is at n % length. */
class StepRing {
  readonly #stepMs: number;
  readonly #length: number;
  /** Number of the step that each place has; 0: none. */
  readonly #numbers: Float64Array;

  constructor(stepMs: number, numbers: Float64Array) {
    this.#stepMs = stepMs;
    this.#length = numbers.length;
    this.#numbers = numbers;
  }

  get bytes(): number {
    return this.#numbers.byteLength;
  }

  numberOf(wallMs: number): number {
    return Math.floor(wallMs / this.#stepMs);
  }

  /**
   * The steps that have ended since `before`: as many as the time that has passed, however the clock was set.
   *
   * @returns the places of their values
   */
  advance(before: Moment, now: Moment): number[] {
    const last = this.numberOf(now.wallMs);
    const passed = Math.ceil((now.monotonicMs - before.monotonicMs) / this.#stepMs);
    const ended = Math.max(1, last - this.numberOf(before.wallMs));
    const count = Math.min(ended, Math.max(1, passed), this.#length);
    return Array.from({ length: count }, (_, index) => {
      const number = last - index;
      this.#numbers[number % this.#length] = number;
      return number % this.#length;
    });
  }

  /** @param columns values by place @param most so many steps */
  read(columns: readonly Float32Array[], wallMs: number, most: number): HistoryColumns {
    const last = this.numberOf(wallMs);
    const [isNewestKnown, stepMs] = [this.#has(last), this.#stepMs];
    // The one that has just begun is measured in a moment.
    const newest = isNewestKnown ? last : last - 1;
    let count = Math.min(most, this.#length);
    while (count > 0 && !this.#has(newest - count + 1)) count--;
    const places = Array.from({ length: count }, (_, index) => newest - count + 1 + index);
    return {
      stepSeconds: stepMs / 1000,
      endMs: newest * stepMs,
      columns: columns.map((values) =>
        places.map((number) =>
          this.#has(number) ? rounded(values[number % this.#length]!) : null,
        ),
      ),
    };
  }

  #has(number: number): boolean {
    return number > 0 && this.#numbers[number % this.#length] === number;
  }
}

function rounded(rate: number): number {
  return Math.round(rate * 10) / 10;
}

/** Rates of the whole firewall, by one length of step. */
class TrafficSteps {
  readonly #ring: StepRing;
  readonly #rows: KeptRows;
  #before: (Moment & { readonly reading: TrafficReading }) | undefined;

  constructor(stepMs: number, rows: KeptRows) {
    this.#ring = new StepRing(stepMs, rows.numbers);
    this.#rows = rows;
  }

  sample(now: Moment, reading: TrafficReading): void {
    const before = this.#before;
    if (before !== undefined) {
      if (this.#ring.numberOf(now.wallMs) === this.#ring.numberOf(before.wallMs)) return;
      const values = ratesOf(before.reading, reading, now.monotonicMs - before.monotonicMs);
      const { numbers } = this.#rows;
      for (const place of this.#ring.advance(before, now)) {
        this.#rows.write(place, numbers[place]!, values);
      }
    }
    this.#before = { ...now, reading };
  }

  read(wallMs: number, most: number): HistoryColumns {
    return this.#ring.read(this.#rows.columns, wallMs, most);
  }
}

/** In the order of the columns. */
function ratesOf(before: TrafficReading, now: TrafficReading, ms: number): readonly number[] {
  return [
    perSecond(before.passed.packets, now.passed.packets, ms),
    perSecond(before.passed.bytes, now.passed.bytes, ms),
    perSecond(before.dropped.packets, now.dropped.packets, ms),
    perSecond(before.dropped.bytes, now.dropped.bytes, ms),
    now.flows,
  ];
}

function perSecond(before: number, now: number, ms: number): number {
  return ms <= 0 ? 0 : (Math.max(0, now - before) * 1000) / ms;
}

const serverStepMs = 10_000;
const serverSteps = 60;
/** Beyond that a server has no history: 7.2 MB. */
export const mostServersKept = 10_000;

/** Of a server, both directions: packets and bytes that passed, packets that were dropped. */
export type ServerReading = readonly [passed: number, bytes: number, dropped: number];

interface ServerSteps {
  before: ServerReading;
  readonly columns: readonly Float32Array[];
}

class ServerHistory {
  readonly #ring: StepRing = new StepRing(serverStepMs, new Float64Array(serverSteps));
  readonly #servers: Map<string, ServerSteps> = new Map();
  #before: Moment | undefined;

  get bytes(): number {
    return this.#ring.bytes + this.#servers.size * 3 * serverSteps * 4;
  }

  isDue(wallMs: number): boolean {
    const before = this.#before;
    return (
      before === undefined || this.#ring.numberOf(wallMs) !== this.#ring.numberOf(before.wallMs)
    );
  }

  /** @param readings by name; those without any traffic so far may be missing */
  sample(now: Moment, readings: ReadonlyMap<string, ServerReading>): void {
    const before = this.#before;
    const places = before === undefined ? [] : this.#ring.advance(before, now);
    const ms = now.monotonicMs - (before?.monotonicMs ?? now.monotonicMs);
    for (const name of this.#servers.keys()) {
      if (!readings.has(name)) this.#servers.delete(name);
    }
    for (const [name, reading] of readings) {
      const known = this.#servers.get(name);
      if (known === undefined && this.#servers.size >= mostServersKept) continue;
      const steps = known ?? newServer(before === undefined ? reading : [0, 0, 0]);
      if (known === undefined) this.#servers.set(name, steps);
      steps.columns.forEach((column, index) => {
        const rate = perSecond(steps.before[index]!, reading[index]!, ms);
        for (const place of places) column[place] = rate;
      });
      steps.before = reading;
    }
    this.#before = now;
  }

  /** Absent: it has had no traffic, or there are too many. */
  read(name: string, wallMs: number): HistoryColumns | undefined {
    const steps = this.#servers.get(name);
    return steps && this.#ring.read(steps.columns, wallMs, serverSteps);
  }
}

function newServer(before: ServerReading): ServerSteps {
  return { before, columns: Array.from({ length: 3 }, () => new Float32Array(serverSteps)) };
}

const marksKept = 256;

/** The last changes of the policy. */
class PolicyMarks {
  readonly #rows: KeptRows;
  #next: number;

  constructor(rows: KeptRows) {
    this.#rows = rows;
    this.#next = rows.numbers.indexOf(Math.max(...rows.numbers)) + 1;
  }

  add({ atMs, epoch }: PolicyMark): void {
    this.#rows.write(this.#next % marksKept, atMs, [epoch]);
    this.#next++;
  }

  since(sinceMs: number): readonly PolicyMark[] {
    const { numbers, columns } = this.#rows;
    return Array.from(numbers, (atMs, place) => ({ atMs, epoch: columns[0]![place]! }))
      .filter(({ atMs }) => atMs > 0 && atMs >= sinceMs)
      .sort((a, b) => a.atMs - b.atMs);
  }
}

export const historySteps = { second: 3600, minute: 1440 } as const;

const secondsLength = KeptRows.length(5, historySteps.second);
const minutesLength = KeptRows.length(5, historySteps.minute);

/** Bytes of memory for all but servers; says with the layout whether another version can go on with it. */
export const historyLength: number = secondsLength + minutesLength + KeptRows.length(1, marksKept);

export const historyFormat = 'tunwall charts 1';

export class TrafficHistory {
  readonly #steps: Readonly<Record<keyof typeof historySteps, TrafficSteps>>;
  readonly servers: ServerHistory = new ServerHistory();
  readonly #marks: PolicyMarks;

  /** @param memory {@link historyLength} bytes, zero or of an earlier history. Default: of its own */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(historyLength)) {
    const minutesAt = secondsLength;
    const marksAt = minutesAt + minutesLength;
    this.#steps = {
      second: new TrafficSteps(1000, new KeptRows(memory, 0, 5, historySteps.second)),
      minute: new TrafficSteps(60_000, new KeptRows(memory, minutesAt, 5, historySteps.minute)),
    };
    this.#marks = new PolicyMarks(new KeptRows(memory, marksAt, 1, marksKept));
  }

  /** What it takes at present. */
  get bytes(): number {
    return historyLength + this.servers.bytes;
  }

  /** To be called about once a second. */
  sample(now: Moment, reading: TrafficReading): void {
    this.#steps.second.sample(now, reading);
    this.#steps.minute.sample(now, reading);
  }

  mark(mark: PolicyMark): void {
    this.#marks.add(mark);
  }

  /** The columns are packets and bytes a second that passed, the same of what was dropped, and live flows. */
  read(step: keyof typeof historySteps, wallMs: number, most: number): HistoryColumns {
    return this.#steps[step].read(wallMs, most);
  }

  /** Changes of the policy since `sinceMs`, oldest first. */
  marksSince(sinceMs: number): readonly PolicyMark[] {
    return this.#marks.since(sinceMs);
  }
}
