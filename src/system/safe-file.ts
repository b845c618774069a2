/**
 * Opening files that another user may have replaced.
 *
 * A name says nothing of what is behind it: a link to a secret, a FIFO that never answers, a device that never ends, a file of
 * another user under a second name. So every file is opened first, without following links where the file is our own
 * and without waiting, and looked at through its descriptor; then it is read up to a bound, whatever it says its size is.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;

/** What was opened is not what it should be. The message is the reason, without the name: `it is a FIFO`. */
export class UnsafeFile extends Error {
  override name = 'UnsafeFile';
}

/** What was in a file, and what the system says of it. */
export interface Read {
  readonly bytes: Buffer;
  readonly stats: Stats;
}

/** Where there are no users, as on Windows, all is of user 0: the system says the same of its files. */
export function effectiveUser(): number {
  return process.geteuid?.() ?? 0;
}

/** @throws UnsafeFile unless it is a regular file */
function requireRegular(found: Stats): void {
  if (found.isFile()) return;
  if (found.isDirectory()) throw new UnsafeFile('it is a directory');
  const kind = found.isFIFO() ? 'a FIFO' : found.isSocket() ? 'a socket' : 'a device';
  throw new UnsafeFile(`it is ${kind}, expected a regular file`);
}

/**
 * That an open file is our own: a regular file, under this one name, of the user that its directory belongs to. A process
 * without privileges may take files of its own and of root, too; root takes no others.
 *
 * @throws UnsafeFile
 */
export function requireOwnFile(path: string, found: Stats, directoryUid: number): Stats {
  requireRegular(found);
  if (found.nlink > 1) throw new UnsafeFile(`${path} has a second name (a hard link)`);
  const self = effectiveUser();
  const owners = self === 0 ? [directoryUid] : [directoryUid, self, 0];
  if (owners.includes(found.uid)) return found;
  throw new UnsafeFile(`${path} belongs to user ${found.uid}, expected ${directoryUid}`);
}

/**
 * Opens a file of our own, in a directory of our own. Links are not followed.
 *
 * @param flags of open(2), beside those that make it safe
 * @throws UnsafeFile, or the system's error
 */
export async function openOwnFile(path: string, flags: number, mode?: number): Promise<FileHandle> {
  const { uid } = await stat(dirname(path));
  const file = await open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode).catch(
    (error: unknown) => {
      const isLink = (error as NodeJS.ErrnoException).code === 'ELOOP';
      throw isLink ? new UnsafeFile(`${path} is a link`, { cause: error }) : error;
    },
  );
  try {
    requireOwnFile(path, await file.stat(), uid);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Makes a directory and gives it its mode, whoever exchanges its name meanwhile: the mode is set through the descriptor.
 *
 * @returns false if something of this name is there already
 */
export async function makeOwnDirectory(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  const directory = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    if ((await directory.stat()).uid !== effectiveUser()) {
      throw new UnsafeFile(`${path} was exchanged for another directory`);
    }
    await directory.chmod(mode);
  } finally {
    await directory.close();
  }
  return true;
}

/**
 * Reads a file of our own.
 *
 * @returns undefined if there is none
 * @throws UnsafeFile, or the system's error
 */
export async function readOwnFile(path: string, maxBytes: number): Promise<Read | undefined> {
  let file: FileHandle;
  try {
    file = await openOwnFile(path, O_RDONLY);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return { bytes: readBounded(file.fd, maxBytes), stats: await file.stat() };
  } finally {
    await file.close();
  }
}

/**
 * Reads a file that a person has named or written, through links if there are any and they are allowed.
 *
 * @throws UnsafeFile if it is not regular or larger than `maxBytes`, or the system's error
 */
export function readRegularFile(
  path: string,
  maxBytes: number,
  { links = true }: { readonly links?: boolean } = {},
): Read {
  const fd = openRegular(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, links);
  try {
    const stats = fstatSync(fd);
    requireRegular(stats);
    return { bytes: readBounded(fd, maxBytes), stats };
  } finally {
    closeSync(fd);
  }
}

function openRegular(path: string, flags: number, links: boolean): number {
  try {
    return openSync(path, links ? flags : flags | O_NOFOLLOW);
  } catch (error) {
    const isLink = !links && (error as NodeJS.ErrnoException).code === 'ELOOP';
    throw isLink ? new UnsafeFile('it is a link', { cause: error }) : error;
  }
}

const chunkBytes = 64 << 10;

/** All of an open file. Its size is not asked for: it may grow meanwhile, and some files say 0. */
function readBounded(fd: number, maxBytes: number): Buffer {
  const chunks: Buffer[] = [];
  for (let length = 0; ;) {
    const chunk = Buffer.allocUnsafe(chunkBytes);
    const read = readSync(fd, chunk, 0, chunkBytes, null);
    if (read === 0) return Buffer.concat(chunks, length);
    chunks.push(chunk.subarray(0, read));
    length += read;
    if (length > maxBytes) throw new UnsafeFile(`larger than ${maxBytes >> 20} MiB`);
  }
}
