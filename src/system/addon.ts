/** The native addon (native/), typed. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

/** A queue bound to a batch, for the thread that bound it. */
export interface NativeQueue {
  /** Writes the passing slots below `count`, then reads the next batch; waits if there is nothing. Returns the packets read. */
  exchange(count: number, timeoutMs: number): number;
  /** Writes only: at once, or with the next exchange. Returns how many. */
  write(count: number): number;
  /** Takes no more packets from the device; exchange gives those that were taken before, and then 0. */
  finish(): void;
  close(): void;
}

export interface NativeAddon {
  /** An open /dev/net/tun becomes a queue of the device, which is made if there is none and the caller may. */
  attach(fd: number, name: string): void;
  /** The device that an open /dev/net/tun is a queue of, and whether that queue takes packets. */
  deviceOf(fd: number): { readonly name: string; readonly enabled: boolean } | undefined;
  /** Whether a queue takes packets. One that takes none loses those that wait in it. */
  enableQueue(fd: number, enabled: boolean): void;
  setOffload(fd: number, bits: number): void;
  createWake(): number;
  signalWake(fd: number): void;
  close(fd: number): void;
  /**
   * How many queues of a multi-queue TUN device are open, in all processes together, asked of this process's network
   * namespace. Throws ENODEV without such a device, EINVAL for one of another kind.
   */
  attachedQueues(device: string): number;
  /**
   * The kernel kills this process when its parent ends, until its effective user or group changes. Returns whether `pid` is its
   * parent still.
   */
  endWithParent(pid: number): boolean;
  /** Takes flock(2) of an open file without waiting; returns whether it was taken. It is released when the file is closed. */
  lockFile(fd: number): boolean;
  /** Releases it before: closing does not do it while memory is mapped to the file. */
  unlockFile(fd: number): void;
  /** The kernel backs memory by large pages from the first write on, where it can. */
  useLargePages(memory: Int32Array): void;
  /** The C library gives freed memory back to the kernel: of all threads, from now on. */
  returnFreedMemory(): void;
  /**
   * The file from `offset` on becomes the memory behind `bytes`, a view of a whole growable SharedArrayBuffer; its space is
   * allocated first. Throws ENOSPC or the like, and a RangeError for memory or an offset that is not on a page.
   *
   * @param exact `false`: it may begin up to 2 MiB later, where the kernel can use large pages
   * @returns the offset
   */
  mapFile(fd: number, offset: number, bytes: Uint8Array, exact: boolean): number;
  /** Descriptor of a BPF map, or program, that is pinned. Throws the errno. */
  openMap(path: string): number;
  /** The slots of a BPF array map become the memory behind `bytes`, a view of a whole growable SharedArrayBuffer. */
  mapMap(fd: number, bytes: Uint8Array): void;
  /** What a tc program says to an Ethernet frame that comes in from an interface (TC_ACT_); nothing is sent. */
  runProgram(fd: number, frame: Uint8Array, ifindex: number): number;
  /** Index of an interface of this process's network namespace; 0: there is none of that name. */
  interfaceIndex(name: string): number;
  /** A name of this process's network namespace that is not given twice between two boots; empty before Linux 5.14. */
  networkNamespace(): string;
  /** With `ring`, by io_uring: throws an error of the system call io_uring where it cannot be used. */
  bindQueue(
    tunFd: number,
    wakeFd: number,
    batch: ArrayBuffer,
    slots: number,
    readSlots: number,
    readBytes: number,
    ring: boolean,
  ): NativeQueue;
  constants: Readonly<Record<string, number>>;
}

let addon: NativeAddon | undefined;

const builtHere = new URL('../../native/build/tunwall.node', import.meta.url).pathname;
/** What the package brings along for the usual systems. */
const prebuilt = new URL(
  `../../native/prebuilt/${process.platform}-${process.arch}.node`,
  import.meta.url,
).pathname;

/** Loads the addon once; TUNWALL_ADDON names another build of it. */
export function loadAddon(): NativeAddon {
  if (addon !== undefined) return addon;
  const path =
    process.env.TUNWALL_ADDON ??
    (existsSync(builtHere) || !existsSync(prebuilt) ? builtHere : prebuilt);
  try {
    addon = createRequire(import.meta.url)(path) as NativeAddon;
  } catch (error) {
    throw new Error(
      `the native addon ${path} cannot be loaded: build it with "npm ci" (needs make and g++)`,
      { cause: error },
    );
  }
  return addon;
}
