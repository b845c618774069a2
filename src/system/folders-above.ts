/**
 * The folders above a directory. Whoever can write one of them can exchange the directory for another one, whatever its own mode
 * says; sshd asks the same of a home (StrictModes).
 */
import { realpathSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** What is wrong with the folders above a directory, in sentences. Root and the directory's owner may write them. */
export function exposedFolders(directory: string): string[] {
  const given = resolve(directory);
  let found: Stats | undefined;
  try {
    found = statSync(given, { throwIfNoEntry: false });
  } catch {
    // Whoever reads the directory says why it cannot be reached.
  }
  if (found === undefined) return [];
  // The folders of the name, and those of what a link in it leads to.
  const folders = new Set([...foldersAbove(given), ...foldersAbove(realpathSync(given))]);
  return [...folders].flatMap((folder) => {
    const who = otherWriter(statSync(folder), found.uid);
    if (who === undefined) return [];
    return `${folder} can be written by ${who}, who can exchange ${directory} there: keep it below folders that only root can write`;
  });
}

function foldersAbove(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...foldersAbove(parent)];
}

const [isSticky, groupWrites, othersWrite] = [0o1000, 0o020, 0o002];

function otherWriter({ uid, gid, mode }: Stats, owner: number): string | undefined {
  if (uid !== 0 && uid !== owner) return `user ${uid}`;
  // There nobody can rename what belongs to others.
  if ((mode & isSticky) !== 0) return undefined;
  if ((mode & othersWrite) !== 0) return 'everybody';
  return (mode & groupWrites) !== 0 && gid !== 0 ? `group ${gid}` : undefined;
}
