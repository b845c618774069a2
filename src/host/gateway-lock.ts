/**
 * One gateway command at a time in a network namespace.
 *
 * The lock is a file in the directory above that of the records, /run/tunwall-gateway-<inode>.lock: the firewall's user can
 * write to /run/tunwall, and could keep root waiting there, but not to /run.
 */
import { LockBusy, LockUnavailable, withLockFile } from '../system/lock.ts';
import { GatewayError } from './error.ts';
import { namespaceInode } from './record.ts';

/** @throws GatewayError when another command holds it, or it cannot be had. */
export async function withGatewayLock<T>(
  stateDirectory: string,
  work: () => Promise<T>,
): Promise<T> {
  const path = `${stateDirectory}-gateway-${namespaceInode()}.lock`;
  try {
    return await withLockFile(path, work);
  } catch (error) {
    if (error instanceof LockBusy) {
      throw new GatewayError(
        "another 'tunwall gateway' command is at work in this network namespace",
        'wait until it has finished',
        { cause: error },
      );
    }
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
