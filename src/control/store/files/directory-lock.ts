/**
 * One writer at a time in a directory, among all processes of a machine.
 *
 * The lock is flock(2) on the directory itself, through the addon. So there is no lock file that could be left behind,
 * need write permission, or be judged stale by mistake: the kernel releases the lock when its holder ends, however it
 * ends. The lock works across network, mount and pid namespaces. A socket in the abstract namespace (one for each
 * network namespace) or a file with a pid in it (read in another pid namespace) would not; a gateway in a namespace and
 * a command line outside of it are the ordinary case here. Editors do not take the lock: `FileStore` detects their
 * edits by content.
 */
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadAddon } from '../../../system/addon.ts';
import { StoreError } from '../store.ts';

/** Interval between attempts to take the lock. */
const retryMs = 5;

/**
 * Runs `work` while holding the lock of `directory`.
 *
 * @throws StoreError `busy` when the lock was not free within `patienceMs`
 */
export async function withDirectoryLock<T>(
  directory: string,
  patienceMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const addon = loadAddon();
  const fd = openSync(directory, 'r');
  try {
    const deadlineMs = performance.now() + patienceMs;
    // Random jitter, so that waiting processes do not run in step.
    while (!addon.lockFile(fd)) {
      if (performance.now() > deadlineMs) {
        const message = `${directory} is being changed by another process for more than ${patienceMs / 1000} s: try again`;
        throw new StoreError([{ kind: 'busy', message }]);
      }
      await sleep(retryMs * (0.5 + Math.random()));
    }
    return await work();
  } finally {
    closeSync(fd);
  }
}
