/**
 * One writer at a time in a directory, among all processes of a machine.
 *
 * The lock is flock(2) on the directory itself, through the addon. So there is no lock file that could be left behind, need
 * write permission, or be judged stale by mistake: the kernel lets go when the holder ends, however it ends. It holds across
 * network, mount and pid namespaces, which a socket in the abstract namespace (one for each network namespace) or a file with
 * a pid in it (read in another pid namespace) would not; a gateway in a namespace and a command line outside of it are the
 * ordinary case here. Editors do not take it: `FileStore` looks for their edits by content.
 */
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadAddon } from '../../../system/addon.ts';
import { StoreError } from '../store.ts';

/** How often a lock that is taken is tried again. */
const retryMs = 5;

/**
 * Runs `work` while holding the lock of `directory`.
 *
 * @throws StoreError `busy` when it was not to be had within `patienceMs`
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
    // A little chance in it, so that waiting processes do not run in step.
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
