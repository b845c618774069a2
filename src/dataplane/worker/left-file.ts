/**
 * Files that one process leaves for the next: `KIND-DEVICE-NAMESPACE` beside the control socket. Memory that packet threads write to
 * is laid into them, so the kernel keeps it whatever happens to the process.
 *
 *     header     one page of text: a line that names the format, a line of JSON, a line with the JSON's SHA-256
 *     the rest   whole pages, as the header says
 *
 * Nothing in such a file is trusted. It must be our own, and of this boot, device, network namespace and user.
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
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { pageAligned } from '../flow/flow-memory.ts';
import { loadAddon } from '../../system/addon.ts';
import { UnsafeFile, effectiveUser, requireOwnFile } from '../../system/safe-file.ts';

export const pageBytes = 4096;
const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

/** A header is written again this often, so that its time tells how old the rest is at most. */
export const aliveEveryMs = 3_600_000;

/** Older flows have all expired (maxTimeoutSeconds), and 32-bit times would be misread. */
const maxAgeMs = 20 * 86_400_000 + aliveEveryMs;

/** Where a file belongs. */
export interface Origin {
  readonly boot: string;
  readonly device: string;
  readonly namespace: string;
  readonly user: number;
}

/** What every header says. */
export interface LeftHeader extends Origin {
  /** CLOCK_MONOTONIC in ms when this header was written. */
  readonly writtenMs: number;
}

export const wholePages = (bytes: number): number => Math.ceil(bytes / pageBytes) * pageBytes;

const monotonicNowMs = (): number => Math.floor(Number(process.hrtime.bigint() / 1_000_000n));

/** Of a file of this process. */
export function readOrigin(device: string): Origin {
  return {
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    device,
    namespace: loadAddon().networkNamespace(),
    user: effectiveUser(),
  };
}

/** The file of a device in this network namespace. Inodes of namespaces are used again; the header has a name that is not. */
export function leftFilePath(directory: string, kind: string, device: string): string {
  return `${directory}/${kind}-${device}-${statSync('/proc/self/ns/net').ino}`;
}

/** @returns undefined if there is no such file. @throws UnsafeFile, or the system's error */
export function openOwn(path: string, flags: number, directoryUid: number): number | undefined {
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

/** Removes such a file, so that no later process takes anything from it. One that is in use stays. */
export function removeLeftFile(path: string): void {
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

/** Whether an error says that there is no space. */
export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

/** One write of one page: a process that is killed leaves the old header or the new one. */
export function writeHeader(
  fd: number,
  format: string,
  header: Omit<LeftHeader, 'writtenMs'>,
): void {
  const json = JSON.stringify({ ...header, writtenMs: monotonicNowMs() });
  const page = Buffer.alloc(pageBytes);
  page.write(`${format}\n${json}\n${digestOf(json)}\n`, 'latin1');
  writeSync(fd, page, 0, pageBytes, 0);
}

/** The header of a file that belongs here, or why it does not. Its other fields are as somebody wrote them. */
export function readHeader(fd: number, format: string, origin: Origin): LeftHeader | string {
  const page = Buffer.alloc(pageBytes);
  readSync(fd, page, 0, pageBytes, 0);
  const header = parseHeader(page, format);
  if (header === undefined) return 'its header is damaged';
  if (header.boot !== origin.boot) return 'it is of another boot of this machine';
  if (header.device !== origin.device) return `it is of the device ${header.device}`;
  if (header.namespace !== origin.namespace) return 'it is of another network namespace';
  if (header.user !== origin.user) return `it is of user ${header.user}`;
  if (monotonicNowMs() - header.writtenMs > maxAgeMs) return 'it is more than 20 days old';
  return header;
}

/** Undefined: there is no whole header. */
function parseHeader(page: Buffer, format: string): LeftHeader | undefined {
  const [first, json = '', digest] = page.toString('latin1').split('\n', 4);
  if (first !== format || digestOf(json) !== digest) return undefined;
  // Written by a firewall, every byte of it: the digest says so.
  return JSON.parse(json) as LeftHeader;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

/** Bytes of a file, without a copy; fewer of one that was cut off. The process that wrote them has ended: they change no more. */
export function mapBytes(fd: number, offset: number, length: number): SharedArrayBuffer {
  const present = Math.max(0, Math.min(length, fstatSync(fd).size - offset));
  if (present < 4) return new SharedArrayBuffer(0);
  const memory = pageAligned(present);
  loadAddon().mapFile(fd, offset, bytesOf(memory), true);
  return memory;
}

export function bytesOf(memory: SharedArrayBuffer): Uint8Array {
  return new Uint8Array(memory, 0, memory.byteLength);
}
