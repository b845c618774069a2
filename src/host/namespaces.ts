/**
 * What network namespaces that are gone have left behind. A namespace leaves nothing that says so: its record, its locks, the socket,
 * the flows, hits and charts of its firewall stay until somebody looks. Only what is certainly gone is removed.
 */
import { readFileSync, readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { prunePins } from './fast-path-pins.ts';

/** Inode of the first PID namespace (PROC_PID_INIT_INO): only from there every process is seen. */
const firstPidNamespace = 'pid:[4026531836]';

/** In the state directory; the namespace's inode is the group. */
const inside = [
  /^(?:gateway|watch|fastpath)-(\d+)(?:-[\w.-]+)?\.json(?:\.lock|\.\w+\.tmp|\.foreign-\w+)?$/,
  /^(\d+)-[^/]+\.sock$/,
  /^(?:flows|charts)-.+-(\d+)(?:\.next)?$/,
  /^hits-.+-(\d+)\.[01]$/,
] as const;

/** Removes files of namespaces that no process and no mount holds any more. */
export function pruneRecords(stateDirectory: string): void {
  // The locks lie beside the directory (gateway-lock.ts).
  const prefix = basename(stateDirectory).replaceAll(/\W/g, '\\$&');
  const lock = new RegExp(`^${prefix}-(?:gateway|watch)-(\\d+)\\.lock$`);
  // The files first: a namespace that is made meanwhile is alive, whatever its number was before.
  const files = [
    ...filesLike(stateDirectory, inside),
    ...filesLike(dirname(stateDirectory), [lock]),
  ];
  const alive = livingNamespaces();
  if (alive === undefined) return;
  for (const { path, inode } of files) if (!alive.has(inode)) unlinkIfFile(path);
  prunePins(stateDirectory, alive);
}

function filesLike(
  directory: string,
  patterns: readonly RegExp[],
): { readonly path: string; readonly inode: string }[] {
  return readdirSync(directory).flatMap((name) => {
    const inode = patterns.map((pattern) => pattern.exec(name)?.[1]).find(Boolean);
    return inode === undefined ? [] : { path: join(directory, name), inode };
  });
}

/** What the firewall's user has put there may be a directory: root does not walk through it. */
function unlinkIfFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOENT', 'EISDIR', 'EPERM'].includes(code)) throw error;
  }
}

/** Inodes of all network namespaces; undefined where not all can be seen (PID namespaces, `hidepid`, `ProtectProc`). */
function livingNamespaces(): ReadonlySet<string> | undefined {
  if (process.geteuid?.() !== 0 || link('/proc/self/ns/pid') !== firstPidNamespace)
    return undefined;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  // Where others' processes are hidden, the first one is.
  if (!pids.includes('1')) return undefined;
  const alive = new Set<string>();
  const mountNamespaces = new Set<string>();
  try {
    for (const pid of pids) {
      // Some hosts let nobody look at the first process. It lives where the kernel's threads do, which are looked at, too.
      const isFirst = pid === '1';
      addInode(alive, link(`/proc/${pid}/ns/net`, isFirst));
      const mounts = link(`/proc/${pid}/ns/mnt`, isFirst) ?? (isFirst ? 'first' : undefined);
      if (mounts === undefined || mountNamespaces.has(mounts)) continue;
      mountNamespaces.add(mounts);
      // Named ones (ip netns, containers) are mounts: `... - nsfs nsfs rw`, with `net:[inode]` as their root.
      for (const [root] of text(`/proc/${pid}/mountinfo`).matchAll(/net:\[\d+\]/g)) {
        addInode(alive, root);
      }
    }
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
  return alive;
}

function isForbidden(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function addInode(inodes: Set<string>, name: string | undefined): void {
  const inode = /^net:\[(\d+)\]$/.exec(name ?? '')?.[1];
  if (inode !== undefined) inodes.add(inode);
}

function link(path: string, mayBeForbidden = false): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isForbidden(error) && !mayBeForbidden) throw error;
    // The process has ended.
    return undefined;
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (isForbidden(error)) throw error;
    return '';
  }
}
