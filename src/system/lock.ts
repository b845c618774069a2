/**
 * Locks among processes: flock(2), through the addon, and no other kind.
 *
 * The kernel keeps the lock with the open file and lets go when its holder ends, however that ends. So nothing is judged stale
 * by mistake, and the lock holds across network and pid namespaces; a gateway in a namespace and a command line outside
 * of it are the ordinary case here. Whoever can open the file can hold the lock: choose a file with the right permissions.
 *
 * flock(2) alone is unfair: a process that takes its lock again and again comes before one that waits. A turnstile mends it:
 * a second file, which is locked while one waits for the first. Whoever has had the lock finds the turnstile closed until
 * the waiting process has passed.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadAddon } from './addon.ts';
import { effectiveUser, requireOwnFile } from './safe-file.ts';

/** How often a lock that is taken is tried again. */
const retryMs = 5;

/** Other processes held the lock for the whole patience of this one. */
export class LockBusy extends Error {
  override name = 'LockBusy';
}

/** A lock that cannot be had, however long one waits. */
export class LockUnavailable extends Error {
  override name = 'LockUnavailable';
}

/** Waits until `fd` has the lock. @throws LockBusy */
async function take(fd: number, path: string, deadlineMs: number): Promise<void> {
  const addon = loadAddon();
  // A little chance in it, so that waiting processes do not run in step.
  while (!addon.lockFile(fd)) {
    if (performance.now() > deadlineMs) {
      throw new LockBusy(`${path} is being changed by another process: try again`);
    }
    await sleep(retryMs * (0.5 + Math.random()));
  }
}

/**
 * Runs `work` while holding the lock of a directory. There is no lock file that could be left behind or need write permission.
 *
 * @param patienceMs how long to wait for it
 * @param turnstile another directory, if there is one: for locks that a process may take again and again
 * @throws LockBusy
 */
export async function withDirectoryLock<T>(
  directory: string,
  patienceMs: number,
  work: () => Promise<T>,
  turnstile?: string,
): Promise<T> {
  const deadlineMs = performance.now() + patienceMs;
  const open = (path: string): number =>
    openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK);
  const gate = turnstile === undefined ? undefined : openTurnstile(turnstile, open);
  let fd: number | undefined;
  try {
    fd = open(directory);
    try {
      if (gate !== undefined) await take(gate, directory, deadlineMs);
      await take(fd, directory, deadlineMs);
    } finally {
      if (gate !== undefined) closeSync(gate);
    }
    return await work();
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Without one the lock is as good, only not fair: where it cannot be made, the work will say why nothing can be written. */
function openTurnstile(path: string, open: (path: string) => number): number | undefined {
  try {
    return open(path);
  } catch {
    return undefined;
  }
}

/**
 * Runs `work` while holding the lock of a file that exists only while a process holds it or waits for it. No other user
 * may be able to write to its directory.
 *
 * @param patienceMs how long to wait for it; default: not at all
 * @throws LockBusy if another process has it for longer; LockUnavailable
 */
export async function withLockFile<T>(
  path: string,
  work: () => Promise<T>,
  patienceMs = 0,
): Promise<T> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const { fd, inode } = openLockFile(path);
    try {
      await take(fd, path, deadlineMs);
      // The holder before has removed the file. This lock then excludes nobody: there may be a new file.
      if (lstatSync(path, { throwIfNoEntry: false })?.ino !== inode) continue;
      try {
        return await work();
      } finally {
        unlinkSync(path);
      }
    } finally {
      closeSync(fd);
    }
  }
}

function openLockFile(path: string): { fd: number; inode: number } {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  let fd: number | undefined;
  try {
    fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    return { fd, inode: requireOwnFile(path, fstatSync(fd), effectiveUser()).ino };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw new LockUnavailable((error as Error).message, { cause: error });
  }
}
