/**
 * Where history and audit log are: not in the configuration directory, which people edit, copy, and keep in git, and which
 * the firewall may have no right to write to, while a denied request has to be in the audit log all the same.
 */
import { chmod, chown, lstat, mkdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

export const systemConfigDirectory = '/etc/tunwall';
const systemStateDirectory = '/var/lib/tunwall';

/** That of /etc/tunwall is /var/lib/tunwall; any other directory has its own within itself, which the reader overlooks. */
export async function stateDirectoryOf(configDirectory: string): Promise<string> {
  const path = await realpath(configDirectory).catch(() => resolve(configDirectory));
  return path === systemConfigDirectory ? systemStateDirectory : join(path, '.state');
}

/** Makes a directory, with the owner of the one that it is in. */
export async function makeDirectory(path: string, mode?: number): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  const parent = await stat(dirname(path));
  try {
    await mkdir(path);
    await chmod(path, mode ?? parent.mode & 0o7777);
    // Root's doing; anybody else owns what he makes.
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
