/**
 * The files of the state directory: JSON, written atomically by root, read by anybody.
 *
 * The directory may be shared with the unprivileged firewall process (its control socket), and root acts on what the
 * files say: a file counts only if it is this user's or root's own. The firewall's user may take their names, to be in
 * root's way: what it has put there does not count, and is put aside.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';

/**
 * What a file says; undefined when there is none, or none that counts.
 *
 * @throws Error whose message is the reason, as part of a sentence, when the file must not be used.
 */
export function readStateFile(path: string): unknown {
  if (isForeign(path)) return undefined;
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new Error(code ?? String(error), { cause: error });
  }
  try {
    const { uid } = fstatSync(descriptor);
    if (!isOwn(uid)) throw new Error(`it belongs to user ${uid}, not to root`);
    return JSON.parse(readFileSync(descriptor, 'utf8')) as unknown;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error(`it is not JSON (${error.message})`, { cause: error });
  } finally {
    closeSync(descriptor);
  }
}

/** Temporary file, fsync, rename. */
export function writeStateFile(path: string, value: unknown): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const descriptor = openSync(temporary, 'wx', 0o644);
    try {
      writeFileSync(descriptor, `${JSON.stringify(value, null, 2)}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    putForeignAside(path);
    renameSync(temporary, path);
  } catch (error) {
    unlinkIfThere(temporary);
    throw error;
  }
}

/** Removes a file, if it is there. */
export function removeStateFile(path: string): void {
  putForeignAside(path);
  unlinkIfThere(path);
}

function isOwn(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** Whether something of this name is there that neither root nor this user has made. */
function isForeign(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found !== undefined && !isOwn(found.uid);
}

/** Gives a name back to us that somebody else has taken. A directory may be full, so that nothing is removed. */
function putForeignAside(path: string): void {
  if (isForeign(path)) renameSync(path, `${path}.foreign-${randomBytes(6).toString('hex')}`);
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
