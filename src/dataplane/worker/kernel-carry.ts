/**
 * The control plane's side of what the kernel carries (flow/carried-flows.ts): opens the maps that `gateway up` has pinned, and lets
 * the kernel's program carry for as long as this process lives, and by the policy in force.
 *
 * Life-cycle: `open` maps the memory, which an earlier process may still use. `takeOver` ends what that one let the kernel carry.
 * `begin` starts the lease, `end` ends it at once. The lease ends by itself a second after its last renewal: a process that hangs, or is
 * gone, carries nothing more.
 */
import { readFileSync } from 'node:fs';
import {
  CarriedFlows,
  CarryControl,
  carryControlWords,
  createCarryMemory,
  slotShift,
  waysOfSet,
} from '../flow/carried-flows.ts';
import type { CarryMemory } from '../flow/carried-flows.ts';
import type { FlowTable } from '../flow/flow-table.ts';
import { loadAddon } from '../../system/addon.ts';
import { pinFolder, pinRoots, pinned } from '../../system/fast-path.ts';

const leaseMs = 1000;
const renewalMs = 250;
const slotBytes = 4 << slotShift;
const arrayMap = '2';

export class KernelCarry {
  readonly memory: CarryMemory;
  readonly #control: Int32Array;
  readonly #lease: BigInt64Array;
  readonly #usedOfBlock: Int32Array;
  #timer: NodeJS.Timeout | undefined;

  /**
   * The maps of this network namespace.
   *
   * @param stateDirectory of `gateway up`, @param capacity of the flow table
   * @returns or why there are none, in words
   */
  static open(stateDirectory: string, capacity: number): KernelCarry | string {
    const folder = pinFolder();
    if (folder === undefined) return 'the kernel is too old (Linux 6.6 is needed)';
    let refusal = 'it is not set up here: tunwall gateway up --fast-path auto';
    for (const root of pinRoots(stateDirectory)) {
      try {
        const slots = mapOf(`${root}/${folder}/${pinned.flows}`, slotBytes);
        const control = mapOf(`${root}/${folder}/${pinned.control}`, carryControlWords * 4);
        return new KernelCarry(slots, control, capacity);
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT') continue;
        if (code !== 'EACCES' || !root.startsWith('/proc/')) {
          refusal = `its maps cannot be used: ${message}`;
        }
      }
    }
    return refusal;
  }

  private constructor(slots: SharedArrayBuffer, control: SharedArrayBuffer, capacity: number) {
    this.memory = createCarryMemory(slots, control, capacity);
    this.#control = new Int32Array(control, 0, carryControlWords);
    this.#lease = new BigInt64Array(control, 0, 1);
    this.#usedOfBlock = new Int32Array(this.memory.usedOfBlock);
  }

  /** Ends what an earlier process let the kernel carry, and notes it in the flows that were adopted from it. */
  takeOver(table: FlowTable, nowMs: number, hashKey: number): void {
    this.end();
    new CarriedFlows(table, this.memory).takeOver(table, nowMs);
    const sets = (this.memory.slots.byteLength >> (slotShift + 2)) / waysOfSet;
    this.#control[CarryControl.hashKey] = hashKey;
    this.#control[CarryControl.hashShift] = 32 - Math.log2(sets);
    this.#control[CarryControl.paused] = 0;
  }

  /** From now on the kernel carries flows that were judged by the policy of this epoch. */
  begin(device: string, epoch: number): void {
    this.#control[CarryControl.device] = loadAddon().interfaceIndex(device);
    this.setEpoch(epoch);
    this.#renew();
    this.#timer = setInterval(() => this.#renew(), renewalMs);
    this.#timer.unref();
  }

  /** To be called before the policy is in force anywhere: flows of another epoch are judged again first. */
  setEpoch(epoch: number): void {
    Atomics.store(this.#control, CarryControl.epoch, epoch);
  }

  /** A capture wants to see all packets. */
  pause(paused: boolean): void {
    Atomics.store(this.#control, CarryControl.paused, paused ? 1 : 0);
  }

  /** Flows that are carried. */
  get flowCount(): number {
    return this.#usedOfBlock.reduce((sum, used) => sum + used, 0);
  }

  /** The kernel carries nothing, because something of others may stand in the way since `gateway up` or the watch have looked. */
  get isWithheld(): boolean {
    return Atomics.load(this.#control, CarryControl.changed) !== 0;
  }

  /** Nothing is carried any more, also not of an earlier process. */
  end(): void {
    clearInterval(this.#timer);
    Atomics.store(this.#lease, 0, 0n);
  }

  #renew(): void {
    Atomics.store(this.#lease, 0, process.hrtime.bigint() + BigInt(leaseMs) * 1_000_000n);
  }
}

/** The memory of a pinned map. Throws an error with a code. */
function mapOf(path: string, valueBytes: number): SharedArrayBuffer {
  const addon = loadAddon();
  const fd = addon.openMap(path);
  try {
    const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
    const field = (name: string): string =>
      new RegExp(`^${name}:\\s+(\\d+)$`, 'm').exec(info)?.[1] ?? '';
    const entries = Number(field('max_entries'));
    if (
      field('map_type') !== arrayMap ||
      field('value_size') !== String(valueBytes) ||
      (valueBytes === slotBytes &&
        (entries < 2 * waysOfSet || !Number.isInteger(Math.log2(entries))))
    ) {
      throw new Error(`${path} is a map of another kind`);
    }
    const length = entries * valueBytes;
    const memory = new SharedArrayBuffer(length, { maxByteLength: length });
    addon.mapMap(fd, new Uint8Array(memory));
    return memory;
  } finally {
    addon.close(fd);
  }
}
