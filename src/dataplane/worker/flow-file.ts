/**
 * The file in which flows outlive the process: `flows-DEVICE-NAMESPACE` beside the control socket.
 *
 *     header     one page of text: a line that names the format, a line of JSON, a line with the JSON's SHA-256
 *     hot        records as in flow-record.ts, in the layout and at the offset that the header says; from here on whole pages
 *     cold
 *
 * Life-cycle: `create` makes a new file beside the one that an earlier process left. The flow table's memory is laid into it (`map`).
 * When the earlier process has ended or stopped, `readBefore` looks at what it left, the old flows are taken over
 * (engine/adoption.ts), and `publish` puts the new file in the old one's place: a process that dies before that has lost nothing.
 * From then on packet threads write to memory as ever, and the kernel keeps the pages whatever happens to the process. A lock on the file says that a process lives with it, until `close` or until the
 * process has ended and with it the mapping: V8's futexes work within one process, so no second one may map it.
 *
 * Nothing in the file is trusted: it must be our own, and of this boot, device, network namespace and user; its records are
 * checked one by one.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pageAligned } from '../flow/flow-memory.ts';
import type { FlowMemory } from '../flow/flow-memory.ts';
import { arrange, isReadable, ownLayout } from '../flow/record-layout.ts';
import type { RecordLayout, Records } from '../flow/record-layout.ts';
import { loadAddon } from '../../system/addon.ts';
import { UnsafeFile, effectiveUser, requireOwnFile } from '../../system/safe-file.ts';

const format = 'tunwall flows';
const pageBytes = 4096;
const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

/** How long the end of an earlier process is waited for, and how often it is looked for. */
const busyPatienceMs = 1000;
const busyRetryMs = 10;

/** The header is written again this often, so that its time tells how old the records are at most. */
const aliveEveryMs = 3_600_000;

/** Older flows have all expired (maxTimeoutSeconds), and their 32-bit times would be misread. */
const maxAgeMs = 20 * 86_400_000 + aliveEveryMs;

/** Of a flow table. */
const maxCapacity = 2 ** 22;

/** The policy that judged the flows of a file, and what it did to those that it forbade. */
export interface FilePolicy {
  /** Equal for equal policies; empty: in the middle of a change. */
  readonly digest: string;
  readonly epoch: number;
  readonly mode: number;
  readonly drainUntilMs: number;
}

/** What the header says of where the file belongs. */
interface Origin {
  readonly boot: string;
  readonly device: string;
  readonly namespace: string;
  readonly user: number;
}

interface Header extends Origin {
  readonly capacity: number;
  readonly layout: RecordLayout;
  /** Where the records begin. */
  readonly hotAt: number;
  readonly coldAt: number;
  readonly policy: FilePolicy;
  /** CLOCK_MONOTONIC in ms when this header was written. */
  readonly writtenMs: number;
}

/** What an earlier process left. */
export interface Remains {
  readonly records: Records;
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

const wholePages = (bytes: number): number => Math.ceil(bytes / pageBytes) * pageBytes;

const monotonicNowMs = (): number => Math.floor(Number(process.hrtime.bigint() / 1_000_000n));

function readOrigin(device: string): Origin {
  return {
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    device,
    namespace: loadAddon().networkNamespace(),
    user: effectiveUser(),
  };
}

/** The file of a device in this network namespace. Inodes of namespaces are used again; the header has a name that is not. */
export function flowFilePath(directory: string, device: string): string {
  return `${directory}/flows-${device}-${statSync('/proc/self/ns/net').ino}`;
}

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
      this.#writeHeader();
    } catch (error) {
      // Its space is wanted back.
      rmSync(`${this.path}.next`, { force: true });
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'ENOSPC' && code !== 'EDQUOT' && code !== 'EFBIG') throw error;
      const mebibytes = Math.ceil((hot.byteLength + cold.byteLength) / 2 ** 20);
      throw new FlowFileFull(`${this.path} needs ${mebibytes} MiB: ${message}`, { cause: error });
    }
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

  /** One write of one page: a process that is killed leaves the old header or the new one. */
  #writeHeader(): void {
    const header: Header = {
      ...this.#origin,
      capacity: this.#capacity,
      layout: ownLayout,
      hotAt: this.#hotAt,
      coldAt: this.#coldAt,
      policy: this.#policy,
      writtenMs: monotonicNowMs(),
    };
    writeSync(this.#fd, formatHeader(header), 0, pageBytes, 0);
  }
}

/** Removes the file of a device, so that no later process takes flows from it. One that is in use stays. */
export function removeFlowFile(path: string): void {
  try {
    const fd = openOwn(path, O_RDWR, statSync(dirname(path)).uid);
    if (fd === undefined) return;
    try {
      if (loadAddon().lockFile(fd)) rmSync(path);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Somebody else's, or in a directory of somebody else: this process will not read it either.
  }
}

/** @returns undefined if there is no such file. @throws UnsafeFile, or the system's error */
function openOwn(path: string, flags: number, directoryUid: number): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && (flags & O_CREAT) === 0) return undefined;
    if (code === 'ELOOP') throw new UnsafeFile(`${path} is a link`, { cause: error });
    const found = lstatSync(path, { throwIfNoEntry: false });
    // Says whose it is, if that is why it cannot be opened.
    if (code === 'EACCES' && found !== undefined) requireOwnFile(path, found, directoryUid);
    throw error;
  }
  try {
    requireOwnFile(path, fstatSync(fd), directoryUid);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
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

function formatHeader(header: Header): Buffer {
  const json = JSON.stringify(header);
  const page = Buffer.alloc(pageBytes);
  page.write(`${format}\n${json}\n${digestOf(json)}\n`, 'latin1');
  return page;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

/** Undefined: there is no whole header. */
function parseHeader(page: Buffer): Header | undefined {
  const [first, json = '', digest] = page.toString('latin1').split('\n', 4);
  if (first !== format || digestOf(json) !== digest) return undefined;
  // Written by a firewall, every byte of it: the digest says so.
  return JSON.parse(json) as Header;
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
  const page = Buffer.alloc(pageBytes);
  readSync(fd, page, 0, pageBytes, 0);
  const header = parseHeader(page);
  if (header === undefined) return 'its header is damaged';
  if (header.boot !== origin.boot) return 'it is of another boot of this machine';
  if (header.device !== origin.device) return `it is of the device ${header.device}`;
  if (header.namespace !== origin.namespace) return 'it is of another network namespace';
  if (header.user !== origin.user) return `it is of user ${header.user}`;
  if (monotonicNowMs() - header.writtenMs > maxAgeMs) return 'all of its flows have expired';
  const { layout, capacity, policy, hotAt, coldAt } = header;
  if (!isReadable(layout)) return `this version cannot read its record layout, ${layout.id}`;
  if (!(capacity >= 1 && capacity <= maxCapacity)) throw new RangeError('an impossible size');
  const { digest, epoch, mode, drainUntilMs } = policy;
  if (typeof digest !== 'string' || ![epoch, mode, drainUntilMs].every(Number.isInteger)) {
    throw new TypeError('an impossible policy');
  }
  const hotBytes = (capacity + 1) * layout.hot.words * 4;
  const hot = mapWords(fd, hotAt, hotBytes);
  const count = countUsed(hot, layout);
  const cold = mapWords(fd, coldAt, count * layout.cold.words * 4);
  const records = { hot: hot.subarray(0, count * layout.hot.words), cold };
  return { records: arrange(records, layout), policy };
}

/** Words of a file, without a copy; fewer of one that was cut off. The process that wrote them has ended: they change no more. */
function mapWords(fd: number, offset: number, length: number): Int32Array {
  const present = Math.max(0, Math.min(length, fstatSync(fd).size - offset));
  if (present < 4) return new Int32Array(0);
  const memory = pageAligned(present);
  loadAddon().mapFile(fd, offset, bytesOf(memory), true);
  return new Int32Array(memory, 0, present >> 2);
}

function bytesOf(memory: SharedArrayBuffer): Uint8Array {
  return new Uint8Array(memory, 0, memory.byteLength);
}

/** Records up to the last one that is in use: behind it nothing need be read. */
function countUsed(hot: Int32Array, layout: RecordLayout): number {
  const { words, fields } = layout.hot;
  const state = fields['state']!;
  let count = Math.floor(hot.length / words);
  while (count > 0 && hot[(count - 1) * words + state] === 0) count--;
  return count;
}
