/**
 * In a directory of another user, root acts as that user.
 *
 * The firewall's directories belong to a user without privileges, who may put a link anywhere in them at any moment. Whatever
 * root read or wrote there by its own rights would be that user's choice. So root becomes the owner first, for one step or for
 * good; then the kernel looks at every access as if the owner had asked. In a directory of its own root stays root.
 */
import { lstatSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';
import { loadAddon } from './addon.ts';
import { endWithParentStill } from './parent-death.ts';
import { effectiveUser } from './safe-file.ts';

/**
 * The user that decides what is in a directory: its owner, or the owner of the link that names it. If the directory is
 * missing, the owner of the nearest directory above it.
 */
function ownerOf(directory: string): number {
  const link = lstatSync(directory, { throwIfNoEntry: false });
  if (link?.isSymbolicLink() === true && link.uid !== 0) return link.uid;
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found !== undefined) return found.uid;
  const parent = dirname(directory);
  return parent === directory ? 0 : ownerOf(parent);
}

/**
 * Whose rights work in these directories should have: the first owner who is not root. `undefined`: this process's own,
 * because it is not root's or all of the directories are.
 */
function actingUser(directories: readonly string[]): number | undefined {
  if (effectiveUser() !== 0) return undefined;
  return directories.map(ownerOf).find((uid) => uid !== 0);
}

/** Whether {@link asOwnerOf} these directories would be another user than this process. */
export function isOwnedByOther(directories: readonly string[]): boolean {
  return actingUser(directories) !== undefined;
}

/** Root without the right to become somebody else (CAP_SETUID and CAP_SETGID). */
export class PrivilegeError extends Error {
  override name = 'PrivilegeError';
  readonly hint: string;

  constructor(uid: number, cause: unknown) {
    super(`the directory belongs to user ${uid}, and this process may not act as that user`, {
      cause,
    });
    this.hint = `run this as user ${uid}, or with CAP_SETUID and CAP_SETGID`;
  }
}

/** Changes the effective user and groups, from root to `uid`. Ends in a state from which `rise` finds back. */
function sink(uid: number): void {
  try {
    process.setgroups!([]);
  } catch (error) {
    throw new PrivilegeError(uid, error);
  }
  process.seteuid!(uid);
  const group = groupOfEffectiveUser();
  process.seteuid!(0);
  process.setegid!(group);
  try {
    initgroups(uid, group);
  } catch {
    // A user without an entry in the password file has no groups.
    process.setgroups!([group]);
  }
  process.seteuid!(uid);
  endWithParentStill();
}

// @types/node has forgotten it.
const { initgroups } = process as unknown as {
  readonly initgroups: (user: number, group: number) => void;
};

const nogroup = 65_534;

function groupOfEffectiveUser(): number {
  try {
    return userInfo().gid;
  } catch {
    return nogroup;
  }
}

function rise(groups: readonly number[], group: number): void {
  process.seteuid!(0);
  process.setegid!(group);
  process.setgroups!([...groups]);
  endWithParentStill();
}

/**
 * Does one step as the owner of these directories, if this is root and they are somebody else's. The step is synchronous, so
 * that nothing else happens in between under the wrong name.
 */
export function asOwnerOf<T>(directories: readonly string[], work: () => T): T {
  const uid = actingUser(directories);
  if (uid === undefined) return work();
  const [groups, group] = [process.getgroups!(), process.getegid!()];
  sink(uid);
  try {
    return work();
  } finally {
    rise(groups, group);
  }
}

/** Root's rights, put aside. */
export interface PutAside {
  /**
   * Does something with them, as long as they are not given up: what only root can do, and nothing in the directories.
   */
  asRoot<T>(work: () => Promise<T>): Promise<T>;
  /** Gives them up for good. */
  forget(): void;
}

const nothingPutAside: PutAside = {
  asRoot: (work) => work(),
  forget: () => undefined,
};

/** This process becomes the owner of these directories, if it is root and they belong to another user. */
export function becomeOwnerOf(directories: readonly string[]): PutAside {
  const uid = actingUser(directories);
  if (uid === undefined) return nothingPutAside;
  // It may lie where the owner cannot read.
  loadAddon();
  const [groups, group] = [process.getgroups!(), process.getegid!()];
  sink(uid);
  let isGivenUp = false;
  return {
    async asRoot(work) {
      if (isGivenUp) return work();
      rise(groups, group);
      try {
        return await work();
      } finally {
        sink(uid);
      }
    },
    forget() {
      isGivenUp = true;
      const own = process.getegid!();
      const ownGroups = process.getgroups!();
      rise(groups, group);
      process.setgroups!(ownGroups);
      process.setgid!(own);
      process.setuid!(uid);
      endWithParentStill();
    },
  };
}
