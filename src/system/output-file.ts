/** A file that a person names for output: root writes it by the rights of the owner of its directory. */
import { constants, createWriteStream, openSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Writable } from 'node:stream';
import { asOwnerOf, isOwnedByOther } from './privileges.ts';

const { O_CREAT, O_NOFOLLOW, O_TRUNC, O_WRONLY } = constants;

/**
 * Opens a file and empties it. Where others than its owner may write to a directory, as to /tmp, links in it are not
 * followed: anybody could have put them there.
 *
 * @throws the system's error; ELOOP for such a link
 */
export async function openOutputFile(path: string): Promise<Writable> {
  const directory = dirname(resolve(path));
  const found = statSync(directory, { throwIfNoEntry: false });
  const isShared = ((found?.mode ?? 0) & 0o022) !== 0;
  const flags = O_WRONLY | O_CREAT | O_TRUNC | (isShared ? O_NOFOLLOW : 0);
  if (isOwnedByOther([directory])) {
    const fd = asOwnerOf([directory], () => openSync(path, flags, 0o666));
    return createWriteStream(path, { fd });
  }
  // Not at once: a FIFO opens when another process reads from it.
  return (await open(path, flags, 0o666)).createWriteStream();
}
