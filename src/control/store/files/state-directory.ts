/**
 * The directory of history and audit log. It is not the configuration directory: people edit, copy, and keep that in
 * git, and the firewall may lack permission to write to it, although a denied request must still be in the audit log.
 */
import { chmod, chown, lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

export const systemConfigDirectory = '/etc/tunwall';
const systemStateDirectory = '/var/lib/tunwall';

/** That of /etc/tunwall is /var/lib/tunwall; any other directory contains its own, which the reader skips. */
export async function stateDirectoryOf(configDirectory: string): Promise<string> {
  const path = await realpath(configDirectory).catch(() => resolve(configDirectory));
  return path === systemConfigDirectory ? systemStateDirectory : join(path, '.state');
}

/** Makes a directory, with the owner of its parent. */
export async function makeDirectory(path: string, mode?: number): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  const parent = await stat(dirname(path));
  try {
    await mkdir(path);
    await chmod(path, mode ?? parent.mode & 0o7777);
    // Only needed for root; other users own what they make.
    if (process.geteuid?.() === 0) await chown(path, parent.uid, parent.gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

export async function makeStateDirectory(path: string): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  await makeStateDirectory(dirname(path));
  await makeDirectory(path, 0o750);
}
