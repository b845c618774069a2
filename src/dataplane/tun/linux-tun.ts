/**
 * The TUN device of Linux: opening queues with errors a user can act on, offloads, and queues bound to a batch.
 *
 * The thread that opens a queue need not be the one that works on it: descriptors travel as numbers, and the thread
 * that opened one closes it. They may be those of another process, which keeps the queues open when this one ends.
 */
import { constants, openSync, readFileSync } from 'node:fs';
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
export function openTun({ name, offload, mustExist }: OpenOptions): OpenedQueue {
  if (mustExist) attachedQueues(name);
  try {
    const fd = openDriver();
    loadAddon().attach(fd, name);
    return { fd, offload: chooseOffload(fd, offload) };
  } catch (error) {
    throw explain(name, error);
  }
}

/** A descriptor that is not of a device yet. @throws the error of open */
function openDriver(): number {
  return openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
}

/** Descriptors for {@link attachQueues}. Throws a {@link TunError}. */
export function openDrivers(name: string, count: number): number[] {
  try {
    return Array.from({ length: count }, openDriver);
  } catch (error) {
    throw explain(name, error);
  }
}

/** How long a device is waited for whose last process may just be ending, and how often the kernel is asked. */
const busyPatienceMs = 1000;
const busyRetryMs = 20;

/**
 * Makes descriptors of the driver the queues of a device, for the processes that have these descriptors alone: the kernel would
 * spread flows over all processes that have a queue, each with a flow table of its own. The first `count` take packets; of the
 * others, those that did take none any more. What is so already stays as it is, with the packets that wait in it.
 *
 * The lock is the device. Only its owner can attach a queue, and the kernel counts those that are: there is no name that
 * another process could take first, and no file that could become stale. The queue of a process that is still exiting counts
 * too. Of two that attach to it in the same moment both see more queues than their own, let go, and try again after a time that
 * chance decides.
 *
 * Throws a {@link TunError}, with code EBUSY if another process has the device.
 */
export async function attachQueues(
  name: string,
  count: number,
  descriptors: readonly number[],
): Promise<void> {
  const deadlineMs = performance.now() + busyPatienceMs;
  while (!attachAlone(name, count, descriptors)) {
    if (performance.now() > deadlineMs) throw explain(name, { code: 'EBUSY' });
    await sleep(busyRetryMs * (0.5 + Math.random()));
  }
}

function attachAlone(name: string, count: number, descriptors: readonly number[]): boolean {
  const own = enabledQueues(name, descriptors);
  if (attachedQueues(name) > own.size) return false;
  const taken: number[] = [];
  try {
    for (const [index, fd] of descriptors.entries()) {
      if (index >= count && own.has(fd)) loadAddon().enableQueue(fd, false);
      if (index >= count || own.has(fd)) continue;
      enable(fd, name);
      taken.push(fd);
    }
    if (attachedQueues(name) === count) return true;
  } catch (error) {
    letGo(taken);
    throw explain(name, error);
  }
  letGo(taken);
  return false;
}

/** Which descriptors are queues of the device that take packets. Throws a {@link TunError} if one is of another device. */
export function enabledQueues(name: string, descriptors: readonly number[]): Set<number> {
  const enabled = new Set<number>();
  for (const fd of descriptors) {
    const device = loadAddon().deviceOf(fd);
    if (device === undefined) continue;
    if (device.name !== name) {
      const message = `the device was ${device.name}, and is ${name} now`;
      throw new TunError('EEXIST', message, 'this takes a restart of the whole firewall');
    }
    if (device.enabled) enabled.add(fd);
  }
  return enabled;
}

function enable(fd: number, name: string): void {
  const addon = loadAddon();
  if (addon.deviceOf(fd) === undefined) addon.attach(fd, name);
  else addon.enableQueue(fd, true);
}

function letGo(descriptors: readonly number[]): void {
  for (const fd of descriptors) loadAddon().enableQueue(fd, false);
}

/** Sets the best offloads that the kernel accepts, or none; returns their bits. */
export function chooseOffload(fd: number, offload: 'auto' | 'off'): number {
  return offload === 'auto' ? setBestOffload(fd) : setOffload(fd, 0);
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

  finish(): void {
    this.#native.finish();
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
