/**
 * Files that are either the old or the new one, whatever happens: written beside, made durable, then renamed.
 *
 * A replaced file keeps its mode and owner, as far as this process is permitted; a new one is as readable as its
 * directory. Temporary names begin with a dot, so that readers
 * skip them. One that a crash left behind is removed by the next writer, which holds the directory's lock.
 */
import { randomBytes } from 'node:crypto';
import { access, constants, lstat, open, readdir, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { LockBusy } from '../../../system/lock.ts';
import { openOwnFile } from '../../../system/safe-file.ts';
import { reasonOf } from '../../../text/system-errors.ts';
import { StoreError } from '../store.ts';

const { O_APPEND, O_CREAT, O_RDWR } = constants;

const temporary = /^\..*\.[0-9a-f]{12}\.tunwall-tmp$/;

/** A file that was written under another name. */
export interface StagedFile {
  readonly path: string;
  readonly temporaryPath: string;
}

interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

async function attributesOf(path: string, mode: number | undefined): Promise<Attributes> {
  try {
    const found = await lstat(path);
    return { mode: mode ?? found.mode & 0o666, uid: found.uid, gid: found.gid };
  } catch {
    const parent = await stat(dirname(path));
    return { mode: mode ?? parent.mode & 0o666, uid: parent.uid, gid: parent.gid };
  }
}

async function setAttributes(file: FileHandle, { mode, uid, gid }: Attributes): Promise<void> {
  const own = await file.stat();
  if (own.uid !== uid || own.gid !== gid) {
    // Only root may change a file's owner; other users may change its group to one of theirs.
    await file.chown(uid, gid).catch(() => file.chown(own.uid, gid).catch(() => undefined));
  }
  await file.chmod(mode);
}

/** Writes `text` beside `path`, on disk when this resolves. @param mode default: that of the existing file */
export async function stageFile(
  path: string,
  text: string | Buffer,
  mode?: number,
): Promise<StagedFile> {
  const name = `.${basename(path)}.${randomBytes(6).toString('hex')}.tunwall-tmp`;
  const temporaryPath = join(dirname(path), name);
  const attributes = await attributesOf(path, mode);
  // O_EXCL: made by this call, or not at all; a link in its place is not followed.
  const file = await open(temporaryPath, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await setAttributes(file, attributes);
    await file.sync();
  } catch (error) {
    await rm(temporaryPath, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return { path, temporaryPath };
}

export async function commitFile({ path, temporaryPath }: StagedFile): Promise<void> {
  await rename(temporaryPath, path);
}

export async function discardFile({ temporaryPath }: StagedFile): Promise<void> {
  await rm(temporaryPath, { force: true });
}

/** Makes renames and removals in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export async function writeDurably(
  path: string,
  text: string | Buffer,
  mode?: number,
): Promise<void> {
  const staged = await stageFile(path, text, mode);
  try {
    await commitFile(staged);
  } catch (error) {
    await discardFile(staged);
    throw error;
  }
  await syncDirectory(dirname(path));
}

/**
 * Appends records, a line each, in one write, on disk when this resolves. An incomplete last line, left by a crash, is
 * terminated first.
 */
export async function appendDurably(
  path: string,
  lines: readonly string[],
  mode: number,
): Promise<void> {
  const fresh = (await lstat(path).catch(() => undefined)) === undefined;
  const file = await openOwnFile(path, O_RDWR | O_APPEND | O_CREAT, mode);
  try {
    const { size } = await file.stat();
    if (fresh) await setAttributes(file, { ...(await attributesOf(dirname(path), mode)), mode });
    const last = Buffer.alloc(1);
    if (size > 0) await file.read(last, 0, 1, size - 1);
    const torn = size > 0 && last[0] !== 0x0a;
    await file.write(`${torn ? '\n' : ''}${lines.join('\n')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  if (fresh) await syncDirectory(dirname(path));
}

/** How many run concurrently: each waits for the disk several times. */
const batchSize = 16;

export async function inBatches<T, R>(
  values: readonly T[],
  work: (value: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < values.length; at += batchSize) {
    results.push(...(await Promise.all(values.slice(at, at + batchSize).map(work))));
  }
  return results;
}

/** Removes temporary files of interrupted writers. Only for the holder of the lock. */
export async function removeLeftovers(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((each) => temporary.test(each))) {
    await rm(join(directory, name), { force: true });
  }
}

/** @throws StoreError `read-only` unless files can be made in the directory */
export async function requireWritable(directory: string, what: string): Promise<void> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StoreError([readOnly(directory, what, error)], error);
  }
}

export function readOnly(
  path: string,
  what: string,
  error: unknown,
): { kind: 'read-only'; message: string } {
  const isForAll = (error as NodeJS.ErrnoException).code === 'EROFS';
  const way = isForAll
    ? 'change it where it comes from'
    : 'run this as a user who may, or give this one the right to';
  const message = `${what} ${path} cannot be written by this process (${reasonOf(error)}): ${way}`;
  return { kind: 'read-only', message };
}

/** The store error for a failed write. */
export function writeFailure(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof LockBusy)
    return new StoreError([{ kind: 'busy', message: error.message }], error);
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new StoreError([readOnly(path ?? '', 'the file', error)], error);
  }
  return new StoreError(
    [{ kind: 'failed', message: `the change could not be written: ${message}` }],
    error,
  );
}
