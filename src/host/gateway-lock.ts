/**
 * One gateway command at a time in a network namespace.
 *
 * The lock is a file in the directory above that of the records, /run/tunwall-gateway-<inode>.lock: the firewall's user can
 * write to /run/tunwall, and could keep root waiting there, but not to /run.
 */
import { LockBusy, LockUnavailable, withLockFile } from '../system/lock.ts';
import { GatewayError } from './error.ts';
import { namespaceInode } from './record.ts';

/** How long a command waits for another one: the watch holds the lock for each look, which is short. */
const patienceMs = 5000;

/** @throws GatewayError when another command holds it for long, or it cannot be had. */
export async function withGatewayLock<T>(
  stateDirectory: string,
  work: () => Promise<T>,
): Promise<T> {
  const path = `${stateDirectory}-gateway-${namespaceInode()}.lock`;
  return withLock(path, work, patienceMs, [
    "another 'tunwall gateway' command is at work in this network namespace",
    'wait until it has finished',
  ]);
}

/** One watch of a gateway. @throws GatewayError when there is another one, or the lock cannot be had. */
export async function withWatchLock<T>(stateDirectory: string, work: () => Promise<T>): Promise<T> {
  const path = `${stateDirectory}-watch-${namespaceInode()}.lock`;
  return withLock(path, work, 0, [
    "another 'tunwall gateway watch' runs in this network namespace",
    'one is enough: stop the other one first',
  ]);
}

async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  waitMs: number,
  busy: readonly [message: string, hint: string],
): Promise<T> {
  try {
    return await withLockFile(path, work, waitMs);
  } catch (error) {
    if (error instanceof LockBusy) throw new GatewayError(...busy, { cause: error });
    if (error instanceof LockUnavailable) {
      throw new GatewayError(
        `the lock ${path} cannot be taken: ${error.message}`,
        'run this as root, who alone can write there',
        { cause: error },
      );
    }
    throw error;
  }
}
