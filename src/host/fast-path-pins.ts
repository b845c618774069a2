/**
 * Loads the kernel's program of the fast path, by bpftool, and pins it and its maps: /run/tunwall/bpf/NAMESPACE/. The maps belong to the
 * firewall's user, who needs no more to use them; the program stays root's.
 *
 * The file system of the pins is mounted once, where the host's first process sees it: it outlives the command, also in the shell of
 * `ip netns exec`, which has mounts of its own.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAddon } from '../system/addon.ts';
import { hostProcesses, pinFolder, pinRoots, pinned } from '../system/fast-path.ts';
import { LockBusy, LockUnavailable, withLockFile } from '../system/lock.ts';
import { GatewayError } from './error.ts';
import { runProgram } from './system.ts';

/** BPF_FS_MAGIC, linux/magic.h. */
const bpfFileSystem = 0xcafe4a11;
/** BPF_F_MMAPABLE. */
const sharedMemory = '0x400';
/** How long a command waits for another one: both load or remove a program. */
const patienceMs = 10_000;
/** Bytes of `struct flow` and of `struct control` in native/bpf/carry.bpf.c, and of what was approved. */
const flowBytes = 128;
const controlBytes = 32;
const approvedBytes = 4;

/** Room for carried flows: so many slots without a capacity from gateway.yaml: 8 MiB. */
export const defaultSlots = 65_536;
const mostSlots = 1 << 20;

export function slotsFor(flowCapacity: number | undefined): number {
  if (flowCapacity === undefined) return defaultSlots;
  return Math.min(mostSlots, 2 ** Math.ceil(Math.log2(flowCapacity)));
}

const objects = ['build', 'prebuilt'].map((folder) =>
  fileURLToPath(new URL(`../../native/${folder}/carry.bpf.o`, import.meta.url)),
);

/** Path of the program, if it is loaded for this network namespace. */
export function pinnedProgram(stateDirectory: string): string | undefined {
  const folder = pinFolder();
  return pinRoots(stateDirectory)
    .filter(isMounted)
    .map((root) => `${root}/${folder ?? ''}/${pinned.program}`)
    .find((path) => existsSync(path));
}

/**
 * @param slots for carried flows, @param ownerUid the firewall's user
 * @returns the program's path. @throws GatewayError when it cannot be
 */
export async function loadProgram(
  stateDirectory: string,
  slots: number,
  ownerUid: number,
): Promise<string> {
  const object = objects.find((path) => existsSync(path));
  if (object === undefined) {
    throw new GatewayError(
      'the kernel program was not built (native/bpf, needs clang and libbpf-dev)',
      'install them, and build again: make -C native',
    );
  }
  return withPinsLock(stateDirectory, () => load(stateDirectory, object, slots, ownerUid));
}

async function load(
  stateDirectory: string,
  object: string,
  slots: number,
  ownerUid: number,
): Promise<string> {
  const folder = join(await pinRoot(stateDirectory), pinFolder() ?? '');
  rmSync(folder, { recursive: true, force: true });
  try {
    mkdirSync(folder, { mode: 0o755 });
    const path = (name: string): string => join(folder, name);
    const create = (name: string, label: string, bytes: number, entries: number): Promise<string> =>
      runProgram('bpftool', [
        ...['map', 'create', path(name), 'type', 'array', 'key', '4', 'value', String(bytes)],
        ...['entries', String(entries), 'name', label, 'flags', sharedMemory],
      ]);
    await create(pinned.flows, 'carried', flowBytes, slots);
    await create(pinned.control, 'carry_control', controlBytes, 1);
    await create(pinned.approved, 'carry_approved', approvedBytes, 1);
    await runProgram('bpftool', [
      ...['prog', 'load', object, path(pinned.program), 'type', 'classifier'],
      ...['map', 'name', 'carried', 'pinned', path(pinned.flows)],
      ...['map', 'name', 'carry_control', 'pinned', path(pinned.control)],
      ...['map', 'name', 'carry_approved', 'pinned', path(pinned.approved)],
    ]);
    for (const name of [pinned.flows, pinned.control]) {
      chmodSync(path(name), 0o600);
      chownSync(path(name), ownerUid, -1);
    }
    return path(pinned.program);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    if (error instanceof GatewayError) throw error;
    throw new GatewayError(
      `the kernel program cannot be pinned: ${(error as Error).message}`,
      'without it all packets go through the TUN',
      { cause: error },
    );
  }
}

/** The index of `lo` in every network namespace. */
const loopback = 1;
/** The program answers a frame of whatever content. */
const anyFrame = new Uint8Array(64);

/**
 * What netfilter and IPsec do with forwarded packets of this namespace, in a number that changes when a chain, a table or a policy comes
 * or goes: `fingerprint` in native/bpf/carry.bpf.c.
 *
 * @param program its path. @throws an error with a code
 */
export function readFingerprint(program: string): number {
  const addon = loadAddon();
  const fd = addon.openMap(program);
  try {
    return addon.runProgram(fd, anyFrame, loopback);
  } finally {
    addon.close(fd);
  }
}

/** Packets are carried as long as the fingerprint is this one. */
export class Approval {
  readonly #word: Uint32Array;

  /** @param program its path, beside which the map is pinned. @throws an error with a code */
  constructor(program: string) {
    const addon = loadAddon();
    const memory = new SharedArrayBuffer(approvedBytes, { maxByteLength: approvedBytes });
    const fd = addon.openMap(join(dirname(program), pinned.approved));
    try {
      addon.mapMap(fd, new Uint8Array(memory));
    } finally {
      addon.close(fd);
    }
    this.#word = new Uint32Array(memory, 0, 1);
  }

  get value(): number {
    return this.#word[0]!;
  }

  set value(fingerprint: number) {
    this.#word[0] = fingerprint;
  }
}

/** Removes what is pinned for this network namespace, and the file system when no other one has pins in it. */
export async function unloadProgram(stateDirectory: string): Promise<void> {
  const folder = pinFolder();
  if (folder === undefined || !pinRoots(stateDirectory).some(isMounted)) return;
  await withPinsLock(stateDirectory, async () => {
    for (const root of pinRoots(stateDirectory).filter(isMounted)) {
      rmSync(join(root, folder), { recursive: true, force: true });
    }
    await unmountIfEmpty(stateDirectory);
  });
}

/** Gateways of other namespaces use the same file system. */
async function withPinsLock<T>(stateDirectory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await withLockFile(`${stateDirectory}-bpf.lock`, work, patienceMs);
  } catch (error) {
    if (!(error instanceof LockBusy || error instanceof LockUnavailable)) throw error;
    throw new GatewayError(
      `the lock of the kernel programs cannot be taken: ${error.message}`,
      'wait until other gateway commands have finished',
      { cause: error },
    );
  }
}

async function unmountIfEmpty(stateDirectory: string): Promise<void> {
  const [here, ...others] = pinRoots(stateDirectory);
  // Each namespace has a folder; two files in there are the kernel's.
  const isEmpty = (root: string): boolean =>
    isMounted(root) && !readdirSync(root, { withFileTypes: true }).some((one) => one.isDirectory());
  const unmount = ['umount', here!];
  for (const [at, pid] of hostProcesses.entries()) {
    if (!isEmpty(others[at]!)) continue;
    await enterMounts(pid, unmount).catch(leaveIt);
    await enterMounts(pid, ['rmdir', here!]).catch(leaveIt);
  }
  if (!isEmpty(here!)) return;
  await runProgram('umount', [here!]).catch(leaveIt);
  await runProgram('rmdir', [here!]).catch(leaveIt);
}

/** An empty file system does no harm. */
function leaveIt(error: unknown): void {
  if (!(error instanceof GatewayError)) throw error;
}

/** Runs a command where a process has its mounts. */
async function enterMounts(pid: string, command: readonly string[]): Promise<void> {
  await runProgram('nsenter', [`--mount=/proc/${pid}/ns/mnt`, ...command]);
}

/** Removes what is pinned for network namespaces that are gone. @param alive inodes of those that are not */
export function prunePins(stateDirectory: string, alive: ReadonlySet<string>): void {
  for (const root of pinRoots(stateDirectory).filter(isMounted)) {
    for (const name of readdirSync(root)) {
      const inode = /^(\d+)-/.exec(name)?.[1];
      if (inode === undefined || alive.has(inode)) continue;
      rmSync(join(root, name), { recursive: true, force: true });
    }
  }
}

/** The firewall's user may put something else in its place, which root does not walk through. */
function isMounted(path: string): boolean {
  try {
    const found = lstatSync(path);
    return found.uid === 0 && found.isDirectory() && statfsSync(path).type === bpfFileSystem;
  } catch {
    return false;
  }
}

/** Where pins go; mounted if it is not yet. */
async function pinRoot(stateDirectory: string): Promise<string> {
  const roots = pinRoots(stateDirectory);
  const [here] = roots;
  const found = roots.find(isMounted);
  if (found !== undefined) return found;
  const options = 'mode=0755,nosuid,nodev,noexec';
  const mount = ['-t', 'bpf', '-o', options, 'bpf', here!];
  for (const pid of hostProcesses) {
    try {
      await enterMounts(pid, ['mkdir', '-p', here!]);
      await enterMounts(pid, ['mount', ...mount]);
      break;
    } catch {
      // It is of another container, or nobody may look at it.
    }
  }
  if (!roots.some(isMounted)) {
    mkdirSync(here!, { recursive: true });
    await runProgram('mount', mount);
  }
  const made = roots.find(isMounted);
  if (made === undefined) {
    throw new GatewayError(
      `there is no file system for the kernel program at ${here!}`,
      'without it all packets go through the TUN',
    );
  }
  return made;
}
