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
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostProcesses, pinFolder, pinRoots, pinned } from '../system/fast-path.ts';
import { GatewayError } from './error.ts';
import { runProgram } from './system.ts';

/** BPF_FS_MAGIC, linux/magic.h. */
const bpfFileSystem = 0xcafe4a11;
/** BPF_F_MMAPABLE. */
const sharedMemory = '0x400';
/** Bytes of `struct flow` and of `struct control` in native/bpf/carry.bpf.c. */
const flowBytes = 128;
const controlBytes = 32;

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
    await runProgram('bpftool', [
      ...['prog', 'load', object, path(pinned.program), 'type', 'classifier'],
      ...['map', 'name', 'carried', 'pinned', path(pinned.flows)],
      ...['map', 'name', 'carry_control', 'pinned', path(pinned.control)],
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

/** Removes what is pinned for this network namespace. */
export function unloadProgram(stateDirectory: string): void {
  for (const root of pinRoots(stateDirectory).filter(isMounted)) {
    const folder = pinFolder();
    if (folder !== undefined) rmSync(join(root, folder), { recursive: true, force: true });
  }
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
  const mount = ['mount', '-t', 'bpf', '-o', options, 'bpf', here!];
  const run = async ([program, ...args]: readonly string[]): Promise<unknown> =>
    runProgram(program!, args);
  for (const pid of hostProcesses) {
    const enter = ['nsenter', `--mount=/proc/${pid}/ns/mnt`];
    try {
      await run([...enter, 'mkdir', '-p', here!]);
      await run([...enter, ...mount]);
      break;
    } catch {
      // It is of another container, or nobody may look at it.
    }
  }
  if (!roots.some(isMounted)) {
    mkdirSync(here!, { recursive: true });
    await run(mount);
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
