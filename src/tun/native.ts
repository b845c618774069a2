/** The native addon (native/), typed. */
import { createRequire } from 'node:module';

interface NativeQueue {
  read(timeoutMs: number): number;
  write(count: number): number;
}

export interface NativeAddon {
  open(name: string): number;
  setOffload(fd: number, bits: number): void;
  createWake(): number;
  signalWake(fd: number): void;
  close(fd: number): void;
  /** Takes flock(2) of an open file without waiting: whether it has it now. It goes when the file is closed. */
  lockFile(fd: number): boolean;
  Queue: new (
    tunFd: number,
    wakeFd: number,
    batch: ArrayBuffer,
    slots: number,
    readSlots: number,
    readBytes: number,
  ) => NativeQueue;
  constants: Readonly<Record<string, number>>;
}

let addon: NativeAddon | undefined;

/** Loads the addon once; TUNWALL_ADDON names another build of it. */
export function loadAddon(): NativeAddon {
  if (addon !== undefined) return addon;
  const path =
    process.env.TUNWALL_ADDON ??
    new URL('../../native/build/tunwall.node', import.meta.url).pathname;
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
