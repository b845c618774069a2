/**
 * What a path leads to, at this moment: the directory itself, by device, inode and time of birth. Links in it may be changed, folders above it
 * renamed, and the directory replaced by another one, without any event of the directory that was watched.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';

/** Equal for the same directory with the same folders; empty when it leads nowhere. */
export function identityOf(directory: string): string {
  const folders = [join(directory, 'templates'), join(directory, 'sets')];
  return [directory, ...folders].map(inodeOf).join(' ');
}

/** Equal for the same directory. */
export function inodeOf(path: string): string {
  try {
    const { dev, ino, birthtimeNs } = statSync(path, { bigint: true });
    // A new directory may have the number of the one that is gone.
    return `${dev}:${ino}:${birthtimeNs}`;
  } catch {
    return '';
  }
}
