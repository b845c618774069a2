/** Locks among processes: holders, waiting processes, and what is left behind. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadAddon } from '../../../src/system/addon.ts';
import { LockBusy, withDirectoryLock, withLockFile } from '../../../src/system/lock.ts';

let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'twt-lock-'))));
afterEach(() => rmSync(directory, { recursive: true }));

/** A process that has the lock of a file until it is killed. */
async function holder(command: readonly string[], path: string): Promise<ChildProcess> {
  const flock = ['flock', path, 'sh', '-c', 'echo; exec sleep 1000'];
  const [program = '', ...args] = [...command, ...flock];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  await once(child.stdout, 'data');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  process.kill(-child.pid!, 'SIGKILL');
  await ended;
}

const canUnshare = process.geteuid!() === 0;
if (!canUnshare) console.log('a lock across pid namespaces is not tried: that needs root');

describe.each([
  ['this pid namespace', []],
  ...(canUnshare
    ? [['another pid namespace', ['unshare', '--pid', '--fork', '--kill-child']]]
    : []),
] as [string, string[]][])('a process of %s', (_where, command) => {
  it('keeps the lock of a file until it ends', async () => {
    const path = join(directory, 'x.lock');
    closeSync(openSync(path, 'w'));
    const child = await holder(command, path);
    await expect(withLockFile(path, () => Promise.resolve())).rejects.toBeInstanceOf(LockBusy);
    expect(existsSync(path)).toBe(true);
    await end(child);
    // Nothing is judged stale: the kernel lets go with the last process that has the file open, and those end in any order.
    expect(await withLockFile(path, () => Promise.resolve(7), 60_000)).toBe(7);
    expect(existsSync(path)).toBe(false);
  });
});

it('a lock file is closed to others, and is there only meanwhile', async () => {
  const path = join(directory, 'x.lock');
  await withLockFile(path, async () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await expect(withLockFile(path, () => Promise.resolve())).rejects.toBeInstanceOf(LockBusy);
  });
  expect(existsSync(path)).toBe(false);
  await expect(withLockFile(path, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(existsSync(path)).toBe(false);
});

it('many that take and remove a lock file exclude each other', async () => {
  const path = join(directory, 'x.lock');
  let inside = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    expect(++inside).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
    done++;
  };
  const again = async (): Promise<void> => {
    try {
      await withLockFile(path, work);
    } catch (error) {
      if (!(error instanceof LockBusy)) throw error;
      await new Promise((resolve) => setImmediate(resolve));
      await again();
    }
  };
  await Promise.all(Array.from({ length: 50 }, again));
  expect(done).toBe(50);
});

describe('with a turnstile', () => {
  it('one that waits comes before one that has just had the lock', async () => {
    const turnstile = join(directory, 'turnstile');
    mkdirSync(turnstile);
    const order: string[] = [];
    const take = (name: string, work: () => Promise<void>): Promise<void> =>
      withDirectoryLock(
        directory,
        60_000,
        async () => {
          order.push(name);
          await work();
        },
        turnstile,
      );
    const isClosed = (): boolean => {
      const fd = openSync(turnstile, 'r');
      const free = loadAddon().lockFile(fd);
      closeSync(fd);
      return !free;
    };
    let waiting: Promise<void> | undefined;
    await take('first', () => {
      expect(isClosed()).toBe(false);
      waiting = take('waiting', () => Promise.resolve());
      expect(isClosed()).toBe(true);
      return Promise.resolve();
    });
    const again = take('again', () => Promise.resolve());
    await Promise.all([waiting, again]);
    expect(order).toEqual(['first', 'waiting', 'again']);
  });

  it('that cannot be opened, the lock is as good', async () => {
    chmodSync(directory, 0o500);
    const work = (): Promise<number> => Promise.resolve(7);
    expect(await withDirectoryLock(directory, 1000, work, join(directory, 'none'))).toBe(7);
  });
});
