/**
 * The directory of state: history, audit log, and what waits or is kept for a restart. It is not the configuration directory:
 * people edit, copy, and keep that in git, and the firewall may lack permission to write to it, although a denied request
 * must still be in the audit log.
 *
 * One that gateway.yaml names (`stateDirectory`) has users and the lock of changes, too. Then nothing but a change of the policy
 * writes to the configuration directory.
 */
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { stateDirectoryIn } from '../../../policy/validate-gateway.ts';
import { asOwnerOf } from '../../../system/privileges.ts';
import { makeOwnDirectory } from '../../../system/safe-file.ts';
import { readText } from './config-files.ts';

export const systemConfigDirectory = '/etc/tunwall';
const systemStateDirectory = '/var/lib/tunwall';
const ownStateName = '.state';

export interface StatePlace {
  readonly path: string;
  /** gateway.yaml names it. */
  readonly isNamed: boolean;
}

/**
 * That which gateway.yaml names, also with errors in it. Else that of /etc/tunwall is /var/lib/tunwall; any other directory
 * contains its own, which the reader skips.
 */
export async function statePlaceOf(configDirectory: string): Promise<StatePlace> {
  // As it was given: a link may lead to another directory tomorrow.
  const path = resolve(configDirectory);
  const named = namedIn(path);
  if (named !== undefined) return { path: named, isNamed: true };
  const real = await realpath(path).catch(() => path);
  const isSystem = path === systemConfigDirectory || real === systemConfigDirectory;
  return { path: isSystem ? systemStateDirectory : join(path, ownStateName), isNamed: false };
}

function namedIn(directory: string): string | undefined {
  const text = asOwnerOf([directory], () => readText(directory, 'gateway.yaml')?.text);
  return text === undefined ? undefined : stateDirectoryIn(text);
}

/**
 * Whose rights work in these directories has, if it is root's: the owner of the configuration, or of a state directory that is
 * named. The configuration need only be readable for that user.
 */
export function actingOwners(configDirectory: string, state: StatePlace): readonly string[] {
  return state.isNamed ? [state.path] : [configDirectory, state.path];
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
