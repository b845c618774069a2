/**
 * The TUN device of Linux: opening queues with errors a user can act on, offloads, and queues bound to a batch.
 *
 * The thread that opens a queue need not be the one that works on it: descriptors travel as numbers, and the thread
 * that opened one closes it.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlWord, createBatch, ringBatchSize } from './batch.ts';
import type { Batch, BatchSize } from './batch.ts';
import type { TunQueue } from './device.ts';
import { loadAddon } from '../../system/addon.ts';
import type { NativeQueue } from '../../system/addon.ts';

/**
 * Bits of TUNSETOFFLOAD (linux/if_tun.h). UDP segmentation has a bit for IPv4 and one for IPv6, and the kernel refuses a set with
 * only one of them.
 */
export const Offload = {
  checksum: 0x01,
  tso4: 0x02,
  tsoEcn: 0x08,
  uso4: 0x20,
  uso6: 0x40,
} as const;

/** Sets to try, best first: older kernels know fewer bits and refuse a set with an unknown one. */
const offloadSets: readonly number[] = [
  Offload.checksum | Offload.tso4 | Offload.tsoEcn | Offload.uso4 | Offload.uso6,
  Offload.checksum | Offload.tso4 | Offload.tsoEcn,
  Offload.checksum | Offload.tso4,
  Offload.checksum,
];

/** An error of the device, in words for the user: what is wrong, and what to do about it. */
export class TunError extends Error {
  override name = 'TunError';
  /** Name of the errno. */
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, hint: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.hint = hint;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'EUNKNOWN';
}

/** What the errno of opening /dev/net/tun means: message and hint. */
const nodeErrors: Readonly<Record<string, readonly [string, string]>> = {
  ENOENT: ['/dev/net/tun does not exist', 'load the kernel module: modprobe tun'],
  ENXIO: ['/dev/net/tun has no driver behind it', 'load the kernel module: modprobe tun'],
  EACCES: [
    'this user may not open /dev/net/tun',
    'make it mode 0666, with chmod or a udev rule (scripts/systemd has one)',
  ],
  EPERM: ['this process may not open /dev/net/tun', 'allow the device in its sandbox'],
};

/** The same for attaching to a device. */
const deviceErrors: Readonly<Record<string, readonly [string, string]>> = {
  EBUSY: [
    'is busy: another process has it',
    'stop the other one, or name another "device" in gateway.yaml',
  ],
  E2BIG: [
    'has all the queues it can have',
    'stop the process that has them, or lower "queues" in gateway.yaml',
  ],
  EPERM: [
    'belongs to another user',
    'make it for this user: tunwall gateway up --user USER, as root',
  ],
  EINVAL: [
    'is not a multi-queue TUN device with virtio headers',
    'remove it and let "tunwall gateway up" make it, or name another "device" in gateway.yaml',
  ],
  ENODEV: [
    'does not exist',
    'run "tunwall gateway up" as root, or name another "device" in gateway.yaml',
  ],
};

function explain(name: string, error: unknown): TunError {
  const code = codeOf(error);
  const syscall = (error as NodeJS.ErrnoException).syscall ?? '';
  const detail = (error as Error).message;
  if (syscall.startsWith('open')) {
    const [message, hint] = nodeErrors[code] ?? ['/dev/net/tun cannot be opened', detail];
    return new TunError(code, message, hint, error);
  }
  const [what, hint] = deviceErrors[code] ?? ['cannot be used', detail];
  return new TunError(code, `device ${name} ${what}`, hint, error);
}

/** How many queues of a device are open, in all processes. Throws if it is not what `gateway up` makes. */
function attachedQueues(name: string): number {
  try {
    return loadAddon().attachedQueues(name);
  } catch (error) {
    throw explain(name, error);
  }
}

export interface OpenOptions {
  readonly name: string;
  readonly offload: 'auto' | 'off';
  /** Fail if the device does not exist, instead of making it. */
  readonly mustExist: boolean;
}

export interface OpenedQueue {
  readonly fd: number;
  /** Offload bits that the kernel has accepted. */
  readonly offload: number;
}

/** Opens one more queue of a device. Throws a {@link TunError}. */
export function openTun(options: OpenOptions): OpenedQueue {
  const addon = loadAddon();
  if (options.mustExist) attachedQueues(options.name);
  let fd: number;
  try {
    fd = addon.open(options.name);
  } catch (error) {
    throw explain(options.name, error);
  }
  return { fd, offload: options.offload === 'auto' ? setBestOffload(fd) : setOffload(fd, 0) };
}

/** How long a device is waited for whose last process may just be ending, and how often the kernel is asked. */
const busyPatienceMs = 1000;
const busyRetryMs = 20;

/**
 * Opens all queues of a device, for this process alone: the kernel would spread flows over all processes that have one, each
 * with a flow table of its own.
 *
 * The lock is the device. Only its owner can open a queue, and the kernel counts those that are open: there is no name that
 * another process could take first, and no file that could become stale. The queue of a process that is still exiting counts
 * too. Of two that open it in the same moment both see more queues than their own, let go, and try again after a time that
 * chance decides.
 *
 * Throws a {@link TunError}, with code EBUSY if another process has the device.
 */
export async function openQueues(
  name: string,
  offload: 'auto' | 'off',
  count: number,
): Promise<OpenedQueue[]> {
  const deadlineMs = performance.now() + busyPatienceMs;
  for (;;) {
    const opened = attachedQueues(name) === 0 ? openAlone(name, offload, count) : undefined;
    if (opened !== undefined) return opened;
    if (performance.now() > deadlineMs) throw explain(name, { code: 'EBUSY' });
    await sleep(busyRetryMs * (0.5 + Math.random()));
  }
}

function openAlone(
  name: string,
  offload: 'auto' | 'off',
  count: number,
): OpenedQueue[] | undefined {
  const opened: OpenedQueue[] = [];
  let alone = false;
  try {
    while (opened.length < count) opened.push(openTun({ name, offload, mustExist: true }));
    alone = attachedQueues(name) === count;
    return alone ? opened : undefined;
  } finally {
    if (!alone) for (const { fd } of opened) closeFd(fd);
  }
}

function setBestOffload(fd: number): number {
  for (const bits of offloadSets) {
    try {
      return setOffload(fd, bits);
    } catch (error) {
      if (codeOf(error) !== 'EINVAL') throw error;
    }
  }
  return setOffload(fd, 0);
}

/** Sets the offloads of the device, for all of its queues; returns the bits. Throws EINVAL for bits that the kernel does not know. */
export function setOffload(fd: number, bits: number): number {
  loadAddon().setOffload(fd, bits);
  return bits;
}

/**
 * Packets that the kernel has dropped because the device's queue was full; undefined without such a device. Not from /sys,
 * which need not be of this network namespace.
 */
export function txDropped(name: string): number | undefined {
  const lines = readFileSync('/proc/self/net/dev', 'latin1').split('\n');
  const line = lines.find((each) => each.trimStart().startsWith(`${name}:`));
  // Eight numbers of what is received come first; the fourth of what is sent is dropped packets.
  const counters = line
    ?.slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/);
  return counters && Number(counters[11]);
}

/** An eventfd that ends the wait of the queue bound to it. */
export function createWake(): number {
  return loadAddon().createWake();
}

/** Ends that wait; callable from any thread. */
export function signalWake(fd: number): void {
  loadAddon().signalWake(fd);
}

export function closeFd(fd: number): void {
  loadAddon().close(fd);
}

/**
 * Binds an open queue to a new batch, on the thread that will work on it.
 *
 * @param ioUring auto: io_uring where the kernel has it (6.7) and allows it, else system calls
 */
export function bindQueue(
  tunFd: number,
  wakeFd: number,
  size: BatchSize,
  ioUring: 'auto' | 'off',
): TunQueue {
  const bind = (of: BatchSize, ring: boolean): TunQueue => {
    const batch = createBatch(of);
    const { buffer, totalSlots, readSlots, readBytes } = batch;
    const addon = loadAddon();
    const native = addon.bindQueue(tunFd, wakeFd, buffer, totalSlots, readSlots, readBytes, ring);
    return new LinuxTunQueue(batch, native, ring);
  };
  if (ioUring === 'auto') {
    try {
      return bind(ringBatchSize(size), true);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall !== 'io_uring') throw error;
    }
  }
  return bind(size, false);
}

class LinuxTunQueue implements TunQueue {
  readonly batch: Batch;
  readonly usesRing: boolean;
  readonly #native: NativeQueue;

  constructor(batch: Batch, native: NativeQueue, usesRing: boolean) {
    this.batch = batch;
    this.#native = native;
    this.usesRing = usesRing;
  }

  exchange(count: number, timeoutMs: number): number {
    return this.#native.exchange(count, timeoutMs);
  }

  read(timeoutMs: number): number {
    return this.#native.exchange(0, timeoutMs);
  }

  write(count: number): number {
    return this.#native.write(count);
  }

  close(): void {
    this.#native.close();
  }

  get nowMs(): number {
    return this.batch.control[ControlWord.nowMs]! | 0;
  }

  get writeFailures(): number {
    return this.batch.control[ControlWord.writeFailures]!;
  }

  get tcpRefused(): number {
    return this.batch.control[ControlWord.tcpRefused]!;
  }

  get udpRefused(): number {
    return this.batch.control[ControlWord.udpRefused]!;
  }
}
