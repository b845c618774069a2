/**
 * Two files in which hits of rules outlive the process: `hits-DEVICE-NAMESPACE.0` and `.1` (left-file.ts). Policies take turns.
 *
 *     header     one page: which of the two is newer, and how many rules there are
 *     rows       64 bytes for each rule, by its index in the policy: which rule it is, and its hits under earlier policies
 *     hits       of this policy: the memory that the packet threads count in
 *
 * Life-cycle: `lay` before a policy comes into force: the file of the policy before the last one becomes its own. When all threads
 * judge by it, the hits of the last one are final: `publish` writes them into the rows, and then a header with the next number.
 * Until then the last file is the newest. So a process that is killed loses at most the hits between these two steps, and none
 * counts twice. The next process goes on with the same files. After the start no name is touched: the process may have given up the right to.
 *
 * Nothing in the files is trusted. A row has a sum of itself; it never lies across two pages, so no writing leaves half of one. A
 * process that ends by itself writes a sum of its own hits into the header.
 */
import { closeSync, constants, readSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { pageAligned } from '../flow/flow-memory.ts';
import type { RuleHits } from '../match/matcher.ts';
import { loadAddon } from '../../system/addon.ts';
import { sumOf } from '../../system/word-sum.ts';
import {
  bytesOf,
  mapBytes,
  openOwn,
  pageBytes,
  readHeader,
  readOrigin,
  wholePages,
  writeHeader,
} from './left-file.ts';
import type { LeftHeader, Origin } from './left-file.ts';

const format = 'tunwall hits 1';
const { O_RDWR, O_CREAT } = constants;

/** Bytes that say which rule a row is of. */
export const ruleKeyBytes = 16;
const rowBytes = 64;

/** Doubles of a row. */
const Row = { key: 0, count: 2, lastMs: 3, stamp: 4, sinceMs: 5, sum: 6 } as const;
const rowDoubles = rowBytes / 8;

/** Most rules that a file may say to have. */
const maxRules = 2 ** 24;

/** What is known of rules from earlier policies, by index. */
export interface KeptHits {
  /** Flows that it opened under earlier policies. */
  readonly counts: Float64Array;
  /** When it opened the last one that is known, in ms since 1970; 0: none. */
  readonly lastMs: Float64Array;
  /** The thread's stamp that this was made of; 0: none. */
  readonly stamps: Int32Array;
  /** Since when that counts, in ms since 1970. */
  readonly sinceMs: Float64Array;
}

/** What an earlier process left: as above, with the counts and stamps of its threads. */
export interface HitsBefore {
  /** {@link ruleKeyBytes} of each rule, as latin1; undefined: damaged. */
  readonly keys: readonly (string | undefined)[];
  readonly kept: KeptHits;
  readonly hits: RuleHits;
  readonly damaged: number;
}

interface Header extends LeftHeader {
  /** The file with the higher one is the newer. */
  readonly number: number;
  readonly rules: number;
  /** Of what this policy has counted, once nobody counts any more; absent: somebody does, or was killed. */
  readonly sum?: number;
}

/** Of the newest header. */
interface Published {
  readonly fd: number;
  readonly rules: number;
  /** What the threads write to. */
  readonly counted: Int32Array;
}

/** Room for one policy's hits. */
export interface LaidHits {
  /** For the packet threads. */
  readonly hits: RuleHits;
  /** What the process before left; with the first policy only. */
  readonly before: HitFiles['before'];
  /**
   * Tells the next process what the rules are, and their hits of earlier policies.
   *
   * @param keys of all rules, one behind the other
   */
  readonly publish: (keys: Uint8Array, kept: KeptHits) => void;
}

export class HitFiles {
  readonly #path: string;
  readonly #origin: Origin;
  #fds: readonly number[];
  /** What the process before left, until a policy is laid: a sentence says why it is not used, `undefined` that there is nothing. */
  before: HitsBefore | string | undefined;
  /** Of the newest header. */
  #number = 0;
  #published: Published | undefined;
  /** The file that was laid last. */
  #last = 0;
  /** Mapped once: a mapping for each policy would be memory of the process until the next full garbage collection. */
  readonly #mapped: (SharedArrayBuffer | undefined)[] = [];

  /**
   * To be called by the process that has the device, with the rights to its directory.
   *
   * @param path without the numbers. @throws UnsafeFile, or the system's error
   */
  static open(path: string, device: string): HitFiles {
    const { uid } = statSync(dirname(path));
    const fds: number[] = [];
    try {
      for (const name of hitFileNames(path)) fds.push(openOwn(name, O_RDWR | O_CREAT, uid)!);
      for (const fd of fds) loadAddon().lockFile(fd);
      return new HitFiles(path, device, fds);
    } catch (error) {
      for (const fd of fds) closeSync(fd);
      throw error;
    }
  }

  private constructor(path: string, device: string, fds: readonly number[]) {
    this.#path = path;
    this.#origin = readOrigin(device);
    this.#fds = fds;
    this.before = this.#readBefore();
    if (typeof this.before === 'string') for (const fd of fds) clearHeader(fd);
  }

  /** Makes room for a policy's hits. @throws the system's error: then these files are of no use any more */
  lay(rules: number): LaidHits {
    const index = 1 - this.#last;
    const fd = this.#fds[index]!;
    try {
      // Until it is published, it is nobody's.
      clearHeader(fd);
      const at = hitsAt(rules);
      const needed = at + wholePages(Math.max(1, hitBytes(rules))) - pageBytes;
      const memory = this.#memoryOf(index, needed);
      bytesOf(memory).fill(0, 0, needed);
      this.#last = index;
      const counted = new Int32Array(memory, at - pageBytes, hitBytes(rules) / 4);
      const publish: LaidHits['publish'] = (keys, kept) => {
        if (this.#fds.length > 0) this.#publish({ fd, rules, counted }, rowsOf(keys, kept, rules));
      };
      const { before } = this;
      this.before = undefined;
      return { hits: hitsIn(memory, at - pageBytes, rules), before, publish };
    } catch (error) {
      // Those of the policy before lack what is counted from now on.
      clearHeader(this.#fds[this.#last]!);
      this.#published = undefined;
      throw error;
    }
  }

  /** Of a file behind its header, so many bytes at least. */
  #memoryOf(index: number, needed: number): SharedArrayBuffer {
    let memory = this.#mapped[index];
    if (memory === undefined || memory.byteLength < needed) {
      memory = pageAligned(wholePages(needed + needed / 8));
      loadAddon().mapFile(this.#fds[index]!, pageBytes, bytesOf(memory), true);
      this.#mapped[index] = memory;
    }
    return memory;
  }

  /** Lets the next process have them. No thread counts any more. */
  close(): void {
    if (this.#published !== undefined) {
      this.#writeHeader(this.#published, { sum: sumOf(this.#published.counted) });
      this.#published = undefined;
    }
    for (const fd of this.#fds) {
      loadAddon().unlockFile(fd);
      closeSync(fd);
    }
    this.#fds = [];
  }

  #publish(published: Published, rows: Float64Array): void {
    writeSync(published.fd, rows, 0, rows.byteLength, pageBytes);
    this.#number++;
    this.#writeHeader(published, {});
    this.#published = published;
  }

  #writeHeader({ fd, rules }: Published, sum: Pick<Header, 'sum'>): void {
    const number = this.#number;
    const header: Omit<Header, 'writtenMs'> = { ...this.#origin, number, rules, ...sum };
    writeHeader(fd, format, header);
  }

  #readBefore(): HitsBefore | string | undefined {
    try {
      const headers = this.#fds.map((fd) => headerOf(fd, this.#origin));
      // The newest may be the damaged one.
      const refusal = headers.find((header) => typeof header === 'string');
      if (refusal !== undefined) return `${this.#path}: ${refusal}`;
      const numbers = headers.map((header) => (header as Header | undefined)?.number ?? 0);
      this.#number = Math.max(...numbers);
      this.#last = numbers.indexOf(this.#number);
      const newest = headers[this.#last] as Header | undefined;
      return newest && readHits(this.#fds[this.#last]!, newest);
    } catch (error) {
      return `${this.#path}: it cannot be read: ${(error as Error).message}`;
    }
  }
}

/** Undefined: it is nobody's. */
function headerOf(fd: number, origin: Origin): Header | string | undefined {
  const first = new Uint8Array(1);
  if (readSync(fd, first, 0, 1, 0) === 0 || first[0] === 0) return undefined;
  const header = readHeader(fd, format, origin);
  if (typeof header === 'string') return header;
  const { number, rules } = header as Header;
  const isPossible = Number.isSafeInteger(number) && number > 0 && rules >= 0 && rules <= maxRules;
  return isPossible ? (header as Header) : 'it has an impossible size';
}

function clearHeader(fd: number): void {
  writeSync(fd, new Uint8Array(pageBytes), 0, pageBytes, 0);
}

/** The names of both files. */
export function hitFileNames(path: string): string[] {
  return [`${path}.0`, `${path}.1`];
}

const hitBytes = (rules: number): number => rules * 12;
const hitsAt = (rules: number): number => pageBytes + wholePages(rules * rowBytes);

function hitsIn(memory: SharedArrayBuffer, at: number, rules: number): RuleHits {
  // Typed arrays take shared memory too, and are typed by the one that is not.
  const buffer = memory as unknown as ArrayBuffer;
  return {
    counts: new Float64Array(buffer, at, rules),
    lastMs: new Int32Array(buffer, at + rules * 8, rules),
  };
}

function rowsOf(keys: Uint8Array, kept: KeptHits, rules: number): Float64Array {
  const rows = new Float64Array(rules * rowDoubles);
  const bytes = new Uint8Array(rows.buffer);
  const words = new Int32Array(rows.buffer);
  for (let index = 0; index < rules; index++) {
    const at = index * rowDoubles;
    const key = keys.subarray(index * ruleKeyBytes, (index + 1) * ruleKeyBytes);
    bytes.set(key, index * rowBytes);
    rows[at + Row.count] = kept.counts[index]!;
    rows[at + Row.lastMs] = kept.lastMs[index]!;
    rows[at + Row.stamp] = kept.stamps[index]!;
    rows[at + Row.sinceMs] = kept.sinceMs[index]!;
    rows[at + Row.sum] = sumOfRow(words, at * 2);
  }
  return rows;
}

function sumOfRow(words: Int32Array, at: number): number {
  return sumOf(words.subarray(at, at + Row.sum * 2));
}

function readHits(fd: number, { rules, sum }: Header): HitsBefore {
  const rows = mapBytes(fd, pageBytes, rules * rowBytes);
  const hits = mapBytes(fd, hitsAt(rules), hitBytes(rules));
  if (rows.byteLength + hits.byteLength < rules * rowBytes + hitBytes(rules)) {
    throw new RangeError('it was cut off');
  }
  if (sum !== undefined && sum !== sumOf(new Int32Array(hits, 0, hitBytes(rules) / 4))) {
    throw new RangeError('its counts are damaged');
  }
  return judgeRows(rows, hitsIn(hits, 0, rules), rules);
}

function judgeRows(memory: SharedArrayBuffer, hits: RuleHits, rules: number): HitsBefore {
  const rows = new Float64Array(memory, 0, rules * rowDoubles);
  const words = new Int32Array(memory, 0, rules * rowDoubles * 2);
  const keys: (string | undefined)[] = [];
  const kept = emptyKept(rules);
  let damaged = 0;
  for (let index = 0; index < rules; index++) {
    const at = index * rowDoubles;
    const count = hits.counts[index]!;
    const isSound =
      rows[at + Row.sum] === sumOfRow(words, at * 2) && Number.isSafeInteger(count) && count >= 0;
    keys.push(
      isSound ? Buffer.from(memory, index * rowBytes, ruleKeyBytes).toString('latin1') : undefined,
    );
    if (!isSound) damaged++;
    kept.counts[index] = rows[at + Row.count]!;
    kept.lastMs[index] = rows[at + Row.lastMs]!;
    kept.stamps[index] = rows[at + Row.stamp]!;
    kept.sinceMs[index] = rows[at + Row.sinceMs]!;
  }
  return { keys, kept, hits, damaged };
}

/** Of rules without a past. */
export function emptyKept(rules: number, sinceMs = 0): KeptHits {
  return {
    counts: new Float64Array(rules),
    lastMs: new Float64Array(rules),
    stamps: new Int32Array(rules),
    sinceMs: new Float64Array(rules).fill(sinceMs),
  };
}
