/**
 * The directory of history and audit log. It is not the configuration directory: people edit, copy, and keep that in
 * git, and the firewall may lack permission to write to it, although a denied request must still be in the audit log.
 */
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { makeOwnDirectory } from '../../../system/safe-file.ts';

export const systemConfigDirectory = '/etc/tunwall';
const systemStateDirectory = '/var/lib/tunwall';
const ownStateName = '.state';

/** That of /etc/tunwall is /var/lib/tunwall; any other directory contains its own, which the reader skips. */
export async function stateDirectoryOf(configDirectory: string): Promise<string> {
  // As it was given: a link may lead to another directory tomorrow.
  const path = resolve(configDirectory);
  const real = await realpath(path).catch(() => path);
  const isSystem = path === systemConfigDirectory || real === systemConfigDirectory;
  return isSystem ? systemStateDirectory : join(path, ownStateName);
}

/** Makes a directory, as readable as the one that it is in. Root has become the owner of that one before. */
export async function makeDirectory(path: string, mode?: number): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  await makeOwnDirectory(path, mode ?? (await stat(dirname(path))).mode & 0o777);
}

export async function makeStateDirectory(path: string): Promise<void> {
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  // Of a configuration directory that is not there, none is made.
  if (basename(path) !== ownStateName) await makeStateDirectory(dirname(path));
  await makeDirectory(path, 0o750);
}
