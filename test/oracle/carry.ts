/**
 * The kernel's program (native/bpf/carry.bpf.c) between the packets and the engine: what it carries, the engine does not see. It is the
 * program's build for tests: on the engine's clock, and without routes.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CarryControl,
  carryControlWords,
  createCarryMemory,
  slotShift,
  waysOfSet,
} from '../../src/dataplane/flow/carried-flows.ts';
import type { CarryMemory } from '../../src/dataplane/flow/carried-flows.ts';
import { Packet } from '../../src/dataplane/wire/packet.ts';
import { DropReason } from '../../src/dataplane/wire/drop-reason.ts';
import { parsePacket } from '../../src/dataplane/wire/parse.ts';
import { loadAddon } from '../../src/system/addon.ts';

export const testProgram: string = fileURLToPath(
  new URL('../../native/build/carry-test.bpf.o', import.meta.url),
);

/** Of the program's map. */
const slotCount = 65_536;
/** TC_ACT_REDIRECT. */
const redirected = 7;
const loopback = 1;
/** A test run takes no longer frame. */
const longestRun = 3000;
const ethernetLength = 14;
const vnetLength = 12;

export class Carrier {
  readonly #program: number;
  readonly #slots: SharedArrayBuffer;
  readonly #controlMemory: SharedArrayBuffer;
  readonly #control: Int32Array;
  readonly #parsed: Packet = new Packet();
  /** Packets that it has carried. */
  carried = 0;

  /** Loads the program. Takes root, bpftool and a build with clang. */
  constructor() {
    const addon = loadAddon();
    const pins = mkdtempSync(join(tmpdir(), 'tunwall-carry-'));
    execFileSync('mount', ['-t', 'bpf', 'bpf', pins]);
    try {
      const load = ['prog', 'load', testProgram, `${pins}/carry`, 'type', 'classifier'];
      execFileSync('bpftool', [...load, 'pinmaps', pins]);
      this.#program = addon.openMap(`${pins}/carry`);
      this.#slots = mapped(`${pins}/carried`, slotCount << (slotShift + 2));
      this.#controlMemory = mapped(`${pins}/carry_control`, carryControlWords * 4);
    } finally {
      execFileSync('umount', [pins]);
      rmdirSync(pins);
    }
    this.#control = new Int32Array(this.#controlMemory, 0, carryControlWords);
  }

  /** Empties the slots, for another engine. */
  begin(capacity: number, epoch: number): CarryMemory {
    new Int32Array(this.#slots, 0, slotCount << slotShift).fill(0);
    this.#control.fill(0);
    this.#control[CarryControl.leaseNs + 1] = 0x7fffffff;
    this.#control[CarryControl.epoch] = epoch;
    this.#control[CarryControl.hashKey] = 0x5eed;
    this.#control[CarryControl.hashShift] = 32 - Math.log2(slotCount / waysOfSet);
    return createCarryMemory(this.#slots, this.#controlMemory, capacity);
  }

  /** Whether the kernel carries a packet. Wrong checksums are not shown to it: the driver vouches for them, or the judge looks. */
  carries(packet: Uint8Array, nowMs: number): boolean {
    return packet.length <= longestRun && this.#isSound(packet) && this.run(packet, nowMs);
  }

  /** What the program does with a packet, whatever is in it; behind it, padding. */
  run(packet: Uint8Array, nowMs: number, padding = 0): boolean {
    this.#control[carryControlWords - 1] = nowMs;
    const frame = new Uint8Array(ethernetLength + packet.length + padding);
    frame[12] = 0x08;
    frame.set(packet, ethernetLength);
    const carried = loadAddon().runProgram(this.#program, frame, loopback) === redirected;
    if (carried) this.carried++;
    return carried;
  }

  set epoch(epoch: number) {
    this.#control[CarryControl.epoch] = epoch;
  }

  set paused(paused: boolean) {
    this.#control[CarryControl.paused] = paused ? 1 : 0;
  }

  set lease(running: boolean) {
    this.#control[CarryControl.leaseNs + 1] = running ? 0x7fffffff : 0;
  }

  #isSound(packet: Uint8Array): boolean {
    const bytes = new Uint8Array(((vnetLength + packet.length + 3) >> 2) << 2);
    bytes.set(packet, vnetLength);
    const words = new Int32Array(bytes.buffer);
    const length = 10 + packet.length;
    return parsePacket(bytes, words, 2, length, this.#parsed) === DropReason.none;
  }
}

function mapped(path: string, length: number): SharedArrayBuffer {
  const addon = loadAddon();
  const memory = new SharedArrayBuffer(length, { maxByteLength: length });
  const fd = addon.openMap(path);
  addon.mapMap(fd, new Uint8Array(memory));
  addon.close(fd);
  return memory;
}
