/**
 * The file in which flows outlive the process, and what servers have sent and received: `flows-DEVICE-NAMESPACE` (left-file.ts).
 *
 *     header     one page
 *     hot        records as in flow-record.ts, in the layout and at the offset that the header says; from here on whole pages
 *     cold
 *     totals     records as in server-totals.ts; behind all else, because they become more
 *
 * Life-cycle: `create` makes a new file beside the one that an earlier process left. The flow table's memory is laid into it (`map`).
 * When the earlier process has ended or stopped, `readBefore` looks at what it left, the old flows are taken over
 * (engine/adoption.ts), and `publish` puts the new file in the old one's place: a process that dies before that has lost nothing.
 * From then on packet threads write to memory as ever, and the kernel keeps the pages whatever happens to the process. A lock on the file says that a process lives with it, until `close` or until the
 * process has ended and with it the mapping: V8's futexes work within one process, so no second one may map it.
 *
 * Nothing in the file is trusted: its records are checked one by one.
 */
import { closeSync, constants, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FlowMemory } from '../flow/flow-memory.ts';
import { wordsOf } from '../flow/flow-memory.ts';
import { arrange, isReadable, ownLayout } from '../flow/record-layout.ts';
import type { RecordLayout, Records } from '../flow/record-layout.ts';
import { serverSlotCount, serverTotalsLength } from '../flow/server-totals.ts';
import { loadAddon } from '../../system/addon.ts';
import {
  aliveEveryMs,
  bytesOf,
  isFull,
  mapBytes,
  openOwn,
  pageBytes,
  readHeader,
  readOrigin,
  wholePages,
  writeHeader,
} from './left-file.ts';
import { sealTotals } from './kept-totals.ts';
import type { LeftHeader, Origin } from './left-file.ts';

const format = 'tunwall flows';
const { O_RDWR, O_CREAT, O_EXCL } = constants;

/** How long the end of an earlier process is waited for, and how often it is looked for. */
const busyPatienceMs = 1000;
const busyRetryMs = 10;

/** Of a flow table. */
const maxCapacity = 2 ** 22;

/** Totals become more by this: those of 1,024 servers. */
const totalsStepBytes = serverTotalsLength(1024);

/** The policy that judged the flows of a file, and what it did to those that it forbade. */
export interface FilePolicy {
  /** Equal for equal policies; empty: in the middle of a change. */
  readonly digest: string;
  readonly epoch: number;
  readonly mode: number;
  readonly drainUntilMs: number;
}

interface Header extends LeftHeader {
  readonly capacity: number;
  readonly layout: RecordLayout;
  /** Where the records begin. */
  readonly hotAt: number;
  readonly coldAt: number;
  /** Absent in files of versions that did not keep them. */
  readonly totals?: TotalsPlace;
  readonly policy: FilePolicy;
}

/** Totals of servers: where they begin, how many bytes there are, and of how many a record consists. */
interface TotalsPlace {
  readonly at: number;
  readonly bytes: number;
  readonly recordBytes: number;
}

/** What an earlier process left. */
export interface Remains {
  readonly records: Records;
  /** As in server-totals.ts. */
  readonly totals: SharedArrayBuffer;
  readonly policy: FilePolicy;
}

/** No file can be kept; the firewall can run without. The message is the reason. */
export class FlowFileUnavailable extends Error {
  override name = 'FlowFileUnavailable';
}

/** There is no space for the file. */
export class FlowFileFull extends Error {
  override name = 'FlowFileFull';
}

const noPolicy: FilePolicy = { digest: '', epoch: 0, mode: 0, drainUntilMs: 0 };

export class FlowFile {
  readonly path: string;
  readonly #origin: Origin;
  readonly #directoryUid: number;
  #fd: number;
  /** Holds the lock of the file before, until the new one has its place. */
  #before: number | undefined;
  #isPublished = false;
  #capacity = 0;
  #hotAt = 0;
  #coldAt = 0;
  #totalsAt = 0;
  #totalsBytes = 0;
  #totalsFull = false;
  #totals: SharedArrayBuffer | undefined;
  #policy: FilePolicy = noPolicy;
  readonly #alive: NodeJS.Timeout;

  /**
   * Makes the next file of a device. To be called by the process that has the device.
   *
   * @throws FlowFileUnavailable
   */
  static create(path: string, device: string): FlowFile {
    const directory = statSync(dirname(path), { throwIfNoEntry: false });
    if (directory === undefined) {
      throw new FlowFileUnavailable(`${dirname(path)} does not exist`);
    }
    try {
      const next = `${path}.next`;
      // Of a process that died at its start.
      rmSync(next, { force: true });
      const fd = openOwn(next, O_RDWR | O_CREAT | O_EXCL, directory.uid)!;
      loadAddon().lockFile(fd);
      return new FlowFile(path, device, directory.uid, fd);
    } catch (error) {
      throw new FlowFileUnavailable((error as Error).message, { cause: error });
    }
  }

  private constructor(path: string, device: string, directoryUid: number, fd: number) {
    this.path = path;
    this.#origin = readOrigin(device);
    this.#directoryUid = directoryUid;
    this.#fd = fd;
    this.#alive = setInterval(() => this.#writeHeader(), aliveEveryMs);
    this.#alive.unref();
  }

  /** Lays the records of an empty table into the file. @throws FlowFileFull */
  map({ capacity, hot, cold }: FlowMemory): void {
    this.#capacity = capacity;
    const addon = loadAddon();
    try {
      this.#hotAt = addon.mapFile(this.#fd, pageBytes, bytesOf(hot), false);
      const end = this.#hotAt + wholePages(hot.byteLength);
      this.#coldAt = addon.mapFile(this.#fd, end, bytesOf(cold), false);
      this.#totalsAt = this.#coldAt + wholePages(cold.byteLength);
      this.#writeHeader();
    } catch (error) {
      // Its space is wanted back.
      rmSync(`${this.path}.next`, { force: true });
      throw this.#full(error, hot.byteLength + cold.byteLength);
    }
  }

  /**
   * Lays the totals of the slots below `end` into the file, if they are not there yet: until then, nobody may have written to them.
   *
   * @throws FlowFileFull, once: totals that are not there by then never will be
   */
  mapTotals(totals: SharedArrayBuffer, end: number): void {
    if (this.#totalsFull || this.#fd < 0) return;
    const steps = Math.ceil(serverTotalsLength(end) / totalsStepBytes);
    const bytes = Math.min(totals.byteLength, steps * totalsStepBytes);
    const more = bytes - this.#totalsBytes;
    if (more <= 0) return;
    try {
      const part = new Uint8Array(totals, this.#totalsBytes, more);
      loadAddon().mapFile(this.#fd, this.#totalsAt + this.#totalsBytes, part, true);
    } catch (error) {
      this.#totalsFull = true;
      throw this.#full(error, more);
    }
    this.#totalsBytes = bytes;
    this.#totals = totals;
    this.#writeHeader();
  }

  #full(error: unknown, bytes: number): unknown {
    if (!isFull(error)) return error;
    const mebibytes = Math.ceil(bytes / 2 ** 20);
    const { message } = error as Error;
    return new FlowFileFull(`${this.path} needs ${mebibytes} MiB: ${message}`, { cause: error });
  }

  /**
   * What an earlier process left: a sentence says why it is not used, `undefined` that there is nothing. A process that is ending
   * is waited for.
   *
   * @throws FlowFileUnavailable if this file cannot be put in its place
   */
  async readBefore(): Promise<Remains | string | undefined> {
    try {
      this.#before = openOwn(this.path, O_RDWR, this.#directoryUid);
      if (this.#before === undefined) return undefined;
      await takeLock(this.#before, this.path);
    } catch (error) {
      if (error instanceof FlowFileUnavailable) throw error;
      throw new FlowFileUnavailable((error as Error).message, { cause: error });
    }
    const found = tryRead(this.#before, this.#origin);
    return typeof found === 'string' ? `${this.path}: ${found}` : found;
  }

  /** Puts the file in the place of the one before. */
  publish(): void {
    renameSync(`${this.path}.next`, this.path);
    this.#isPublished = true;
    this.#closeBefore();
  }

  /** Tells the next process by what policy the flows were judged. */
  setPolicy(policy: FilePolicy): void {
    this.#policy = policy;
    this.#writeHeader();
  }

  /** Lets the next process have it; one that has not got its place is removed. No thread may write to the table any more. */
  close(): void {
    clearInterval(this.#alive);
    this.#closeBefore();
    if (this.#fd < 0) return;
    if (!this.#isPublished) rmSync(`${this.path}.next`, { force: true });
    if (this.#totals !== undefined) {
      sealTotals(this.#totals, this.#totalsBytes / serverTotalsLength(1));
    }
    loadAddon().unlockFile(this.#fd);
    closeSync(this.#fd);
    this.#fd = -1;
  }

  #closeBefore(): void {
    if (this.#before === undefined) return;
    loadAddon().unlockFile(this.#before);
    closeSync(this.#before);
    this.#before = undefined;
  }

  #writeHeader(): void {
    const header: Omit<Header, 'writtenMs'> = {
      ...this.#origin,
      capacity: this.#capacity,
      layout: ownLayout,
      hotAt: this.#hotAt,
      coldAt: this.#coldAt,
      totals: {
        at: this.#totalsAt,
        bytes: this.#totalsBytes,
        recordBytes: serverTotalsLength(1),
      },
      policy: this.#policy,
    };
    writeHeader(this.#fd, format, header);
  }
}

async function takeLock(fd: number, path: string): Promise<void> {
  const deadlineMs = performance.now() + busyPatienceMs;
  while (!loadAddon().lockFile(fd)) {
    if (performance.now() > deadlineMs) {
      throw new FlowFileUnavailable(`${path} is in use by another firewall`);
    }
    await sleep(busyRetryMs);
  }
}

function tryRead(fd: number, origin: Origin): Remains | string {
  try {
    return readRemains(fd, origin);
  } catch (error) {
    return `it cannot be read: ${(error as Error).message}`;
  }
}

/** The flows of a file that belongs to this device, or why they are not used. */
function readRemains(fd: number, origin: Origin): Remains | string {
  const header = readHeader(fd, format, origin);
  if (typeof header === 'string') return header;
  const { layout, capacity, policy, hotAt, coldAt, totals } = header as Header;
  if (!isReadable(layout)) return `this version cannot read its record layout, ${layout.id}`;
  if (!(capacity >= 1 && capacity <= maxCapacity)) throw new RangeError('an impossible size');
  const { digest, epoch, mode, drainUntilMs } = policy;
  if (typeof digest !== 'string' || ![epoch, mode, drainUntilMs].every(Number.isInteger)) {
    throw new TypeError('an impossible policy');
  }
  const hotBytes = (capacity + 1) * layout.hot.words * 4;
  const hot = wordsOf(mapBytes(fd, hotAt, hotBytes));
  const count = countUsed(hot, layout);
  const cold = wordsOf(mapBytes(fd, coldAt, count * layout.cold.words * 4));
  const records = { hot: hot.subarray(0, count * layout.hot.words), cold };
  return { records: arrange(records, layout), totals: readTotals(fd, totals), policy };
}

function readTotals(fd: number, totals: TotalsPlace | undefined): SharedArrayBuffer {
  const isKnown = totals?.recordBytes === serverTotalsLength(1);
  if (!isKnown) return new SharedArrayBuffer(0);
  return mapBytes(fd, totals.at, Math.min(totals.bytes, serverTotalsLength(serverSlotCount)));
}

/** Records up to the last one that is in use: behind it nothing need be read. */
function countUsed(hot: Int32Array, layout: RecordLayout): number {
  const { words, fields } = layout.hot;
  const state = fields['state']!;
  let count = Math.floor(hot.length / words);
  while (count > 0 && hot[(count - 1) * words + state] === 0) count--;
  return count;
}
