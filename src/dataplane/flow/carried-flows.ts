/**
 * Flows whose packets the kernel carries past the TUN (native/bpf/carry.bpf.c), in memory that both sides have mapped.
 *
 * A flow that is carried lies in a slot. There the kernel counts its packets and follows its windows, as tcp-window.ts would.
 * The slot has one owner at a time. Whoever holds the lock of the table may take a slot from the kernel between two packets:
 * to read what was carried, or to bring the flow home because the judge has a packet of it, or because it ends.
 *
 * What is carried is a copy: all that a flow is stands in its record, but for what was carried since it was last noted.
 * Slots lie in sets of four; a hash of the tuple, the same for both directions, names the set. A flow without a place there is judged.
 *
 * The caller holds the engine's lock. Nothing here allocates.
 */
import { Protocol } from '../wire/headers.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  TcpBits,
  coldOfSegments,
  coldWords,
  flowBytes,
  flowPackets,
  hotOfSegments,
  hotShift,
  lastClass,
  noFlow,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import { SegmentClass } from './tcp-state.ts';

export const slotShift = 5;

/** Words of a slot: those of `struct flow` in native/bpf/carry.bpf.c. Times and sequence numbers as in the flow's record. */
export const Slot = {
  /** {@link Owner}. */
  owner: 0,
  /** Policy epoch under which the flow was judged. */
  epoch: 1,
  originalAddr: 2,
  replyAddr: 3,
  ports: 4,
  protocol: 5,
  /** {@link hotOfSegments}, in their order: seven words. They stay where they are when the record's layout changes. */
  tcp: 6,
  /** {@link coldOfSegments}, likewise: five words. */
  maxAck: 13,
  /** When the last packet was carried. */
  seenMs: 18,
  flow: 19,
  /** Packets (32 bit) and bytes (64 bit) of each direction since they were last noted. */
  packets: 20,
  bytes: 22,
} as const;

export const Owner = { nobody: 0, carried: 1, kernel: 2, judge: 3 } as const;

export const waysOfSet = 4;

/** Words of `struct carry_control`. */
export const CarryControl = {
  /** 64 bit, ns of CLOCK_MONOTONIC: from then on nothing is carried. */
  leaseNs: 0,
  /** Of the policy in force: flows of another one are not carried. */
  epoch: 2,
  /** Not 0: nothing is carried. */
  paused: 3,
  hashKey: 4,
  /** 32 less the binary logarithm of the number of sets. */
  hashShift: 5,
  /** Interface index of the TUN device. */
  device: 6,
  /** Written by the kernel: 1 = what stands at the hooks of forwarded packets is not what `gateway up` has seen. */
  changed: 7,
} as const;

export const carryControlWords = 8;

/** Slots are looked through by blocks, so that those without a flow cost nothing. */
const blockShift = 10;
export const slotsOfBlock: number = 1 << blockShift;

/** A flow whose slot is in the way of another one gives way when nothing was carried for so long. */
const idleMs = 1000;

/** Bits of a connection that has more to it than the kernel's program knows. */
const notCarriedTcp =
  TcpBits.liberal |
  (TcpBits.liberal << 1) |
  TcpBits.closeInit |
  (TcpBits.closeInit << 1) |
  TcpBits.expectChallengeAck |
  TcpBits.simultaneousOpen |
  TcpBits.earlierSyn;

export interface CarryMemory {
  /** The map of slots: a power of two of them, at least 4. */
  readonly slots: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** For each flow its slot + 1; 0: it is not carried. */
  readonly slotOfFlow: SharedArrayBuffer;
  /** Slots in use of each block of {@link slotsOfBlock}. */
  readonly usedOfBlock: SharedArrayBuffer;
}

/**
 * @param slots the map's memory, @param control that of the other map
 * @param flows capacity of the flow table
 */
export function createCarryMemory(
  slots: SharedArrayBuffer,
  control: SharedArrayBuffer,
  flows: number,
): CarryMemory {
  const blocks = Math.ceil((slots.byteLength >> (slotShift + 2)) / slotsOfBlock);
  return {
    slots,
    control,
    slotOfFlow: new SharedArrayBuffer((flows + 1) * 4),
    usedOfBlock: new SharedArrayBuffer(blocks * 4),
  };
}

/** The flow table, as far as it matters here. */
export interface CarryingTable {
  readonly hot: Int32Array;
  readonly cold: Int32Array;
  /** Moves counts that no longer fit into the flow's record to the totals of its servers. */
  carryOver(flow: FlowIndex, direction: number, packets: number, bytes: number): void;
}

/** Called with packets of a flow that the kernel has carried. */
export type OnCarried = (
  flow: FlowIndex,
  direction: number,
  packets: number,
  bytes: number,
) => void;

/** One that can be asked for a tuple. */
export interface FindingTable extends CarryingTable {
  readonly direction: number;
  lookup(
    kind: number,
    srcAddr: number,
    srcPort: number,
    dstAddr: number,
    dstPort: number,
    nowMs: number,
  ): FlowIndex;
}

export class CarriedFlows {
  readonly #table: CarryingTable;
  readonly #slots: Int32Array;
  readonly #control: Int32Array;
  readonly #slotOfFlow: Int32Array;
  readonly #usedOfBlock: Int32Array;
  readonly #onCarried: OnCarried | undefined;
  readonly slotCount: number;

  constructor(table: CarryingTable, memory: CarryMemory, onCarried?: OnCarried) {
    this.#onCarried = onCarried;
    this.#table = table;
    this.#slots = new Int32Array(memory.slots, 0, memory.slots.byteLength >> 2);
    this.#control = new Int32Array(memory.control);
    this.#slotOfFlow = new Int32Array(memory.slotOfFlow, 0, memory.slotOfFlow.byteLength >> 2);
    this.#usedOfBlock = new Int32Array(memory.usedOfBlock);
    this.slotCount = this.#slots.length >> slotShift;
  }

  /** Hands a flow over that was just judged, if all that its next packets need is what the kernel's program knows. */
  offer(flow: FlowIndex, nowMs: number): void {
    const { hot, cold } = this.#table;
    const record = flow << hotShift;
    if (this.#slotOfFlow[flow] !== 0 || !mayBeCarried(hot, record)) return;
    const slot = this.#place(hot, record, nowMs);
    if (slot < 0) return;
    const slots = this.#slots;
    const at = slot << slotShift;
    slots[at + Slot.epoch] = hot[record + Hot.epoch]!;
    slots[at + Slot.originalAddr] = hot[record + Hot.originalAddr]!;
    slots[at + Slot.replyAddr] = hot[record + Hot.replyAddr]!;
    slots[at + Slot.ports] = hot[record + Hot.ports]!;
    slots[at + Slot.protocol] = hot[record + Hot.kind]!;
    for (let i = 0; i < hotOfSegments.length; i++) {
      slots[at + Slot.tcp + i] = hot[record + hotOfSegments[i]!]!;
    }
    const coldRecord = flow * coldWords;
    for (let i = 0; i < coldOfSegments.length; i++) {
      slots[at + Slot.maxAck + i] = cold[coldRecord + coldOfSegments[i]!]!;
    }
    // Not now: the packet that passed may be one that keeps no flow alive.
    slots[at + Slot.seenMs] = hot[record + Hot.lastRefresh]!;
    slots[at + Slot.flow] = flow;
    this.#slotOfFlow[flow] = slot + 1;
    this.#usedOfBlock[slot >> blockShift]! += 1;
    Atomics.store(slots, at + Slot.owner, Owner.carried);
  }

  isCarried(flow: FlowIndex): boolean {
    return this.#slotOfFlow[flow] !== 0;
  }

  /**
   * Brings a flow home, if it is carried: its record is whole again, and its next packet is the judge's. Returns whether there was
   * anything to note; the flow's state and list are then still those of before.
   */
  bringHome(flow: FlowIndex): boolean {
    const slot = this.#slotOfFlow[flow]! - 1;
    if (slot < 0) return false;
    this.#slotOfFlow[flow] = 0;
    this.#usedOfBlock[slot >> blockShift]! -= 1;
    if (!this.#take(slot)) return false;
    const carried = this.#hasPackets(slot);
    this.#read(flow, slot);
    Atomics.store(this.#slots, (slot << slotShift) + Slot.owner, Owner.nobody);
    return carried;
  }

  /** Brings a flow home; whether a packet of it was carried that its record did not know of. */
  wasSeen(flow: FlowIndex): boolean {
    const { hot } = this.#table;
    const at = (flow << hotShift) + Hot.lastRefresh;
    const before = hot[at];
    this.bringHome(flow);
    return hot[at] !== before;
  }

  /** Notes in its record what was carried of the flow of a slot, which goes on being carried. `noFlow`: nothing was. */
  note(slot: number): FlowIndex {
    const slots = this.#slots;
    const at = slot << slotShift;
    if (slots[at + Slot.owner] === Owner.nobody) return noFlow;
    if (!this.#hasPackets(slot) || !this.#take(slot)) return noFlow;
    const flow = slots[at + Slot.flow]! as FlowIndex;
    this.#read(flow, slot);
    Atomics.store(slots, at + Slot.owner, Owner.carried);
    return flow;
  }

  /**
   * Brings home what an earlier process left in the slots, to the flows of the same tuples, and frees all slots. The lease has ended. A
   * flow that is not in the table is forgotten: it was cut, or nobody kept it.
   */
  takeOver(table: FindingTable, nowMs: number): void {
    const slots = this.#slots;
    for (let slot = 0; slot < this.slotCount; slot++) {
      const at = slot << slotShift;
      if (slots[at + Slot.owner] === Owner.nobody) continue;
      // Taken already by a process that was killed meanwhile: its slot is whole but for what it was about to note.
      this.#take(slot);
      const ports = slots[at + Slot.ports]!;
      const flow = table.lookup(
        slots[at + Slot.protocol]!,
        slots[at + Slot.originalAddr]!,
        ports >>> 16,
        slots[at + Slot.replyAddr]!,
        ports & 0xffff,
        nowMs,
      );
      if (flow !== noFlow && table.direction === 0 && mayBeCarried(table.hot, flow << hotShift)) {
        this.#read(flow, slot);
      }
      slots.fill(0, at, at + (1 << slotShift));
    }
  }

  /** Whether a slot's block has flows. */
  isBlockUsed(slot: number): boolean {
    return this.#usedOfBlock[slot >> blockShift] !== 0;
  }

  #hasPackets(slot: number): boolean {
    const at = (slot << slotShift) + Slot.packets;
    return this.#slots[at] !== 0 || this.#slots[at + 1] !== 0;
  }

  /** Takes a slot from the kernel, which holds it for a packet at most. False: nobody has it. */
  #take(slot: number): boolean {
    const at = (slot << slotShift) + Slot.owner;
    for (;;) {
      const owner = Atomics.compareExchange(this.#slots, at, Owner.carried, Owner.judge);
      if (owner === Owner.carried) return true;
      if (owner !== Owner.kernel) return false;
    }
  }

  /** Moves what was carried from a slot that was taken to the record of its flow. */
  #read(flow: FlowIndex, slot: number): void {
    const { hot, cold } = this.#table;
    const slots = this.#slots;
    const at = slot << slotShift;
    const record = flow << hotShift;
    const coldRecord = flow * coldWords;
    if (slots[at + Slot.protocol] === Protocol.tcp) {
      for (let i = 0; i < hotOfSegments.length; i++) {
        hot[record + hotOfSegments[i]!] = slots[at + Slot.tcp + i]!;
      }
      for (let i = 0; i < coldOfSegments.length; i++) {
        cold[coldRecord + coldOfSegments[i]!] = slots[at + Slot.maxAck + i]!;
      }
    }
    hot[record + Hot.lastRefresh] = slots[at + Slot.seenMs]!;
    for (let direction = 0; direction < 2; direction++) {
      const packets = slots[at + Slot.packets + direction]! >>> 0;
      if (packets === 0) continue;
      const low = at + Slot.bytes + 2 * direction;
      const bytes = slots[low + 1]! * 0x100000000 + (slots[low]! >>> 0);
      slots[at + Slot.packets + direction] = 0;
      slots[low] = 0;
      slots[low + 1] = 0;
      this.#account(flow, direction, packets, bytes);
    }
  }

  /** Counts what was carried of a flow in a direction: less than 2^32 packets. */
  #account(flow: FlowIndex, direction: number, packets: number, bytes: number): void {
    const { cold } = this.#table;
    const record = flow * coldWords;
    const before = flowPackets(cold, record, direction);
    cold[record + Cold.packets + direction] = (before + packets) | 0;
    if (before + packets >= 2 ** 32) this.#table.carryOver(flow, direction, 2 ** 32, 0);
    let after = flowBytes(cold, record, direction) + bytes;
    while (after >= 2 ** 48) {
      after -= 2 ** 48;
      this.#table.carryOver(flow, direction, 0, 2 ** 48);
    }
    cold[record + Cold.bytes + direction] = after | 0;
    const shift = direction << 4;
    const high = cold[record + Cold.bytesHigh]! & ~(0xffff << shift);
    cold[record + Cold.bytesHigh] = high | (Math.floor(after / 2 ** 32) << shift);
    this.#onCarried?.(flow, direction, packets, bytes);
  }

  /** A slot for a flow, free or freed; -1: those of its set are in use. */
  #place(hot: Int32Array, record: number, nowMs: number): number {
    const slots = this.#slots;
    const first = this.#setOf(hot, record) * waysOfSet;
    let idlest = -1;
    let longestMs = idleMs;
    for (let slot = first; slot < first + waysOfSet; slot++) {
      const at = slot << slotShift;
      if (slots[at + Slot.owner] === Owner.nobody) return slot;
      const idle = (nowMs - slots[at + Slot.seenMs]!) | 0;
      if (idle >= longestMs) {
        longestMs = idle;
        idlest = slot;
      }
    }
    if (idlest >= 0) this.bringHome(slots[(idlest << slotShift) + Slot.flow]! as FlowIndex);
    return idlest;
  }

  #setOf(hot: Int32Array, record: number): number {
    const control = this.#control;
    const ports = hot[record + Hot.ports]!;
    const addresses = hot[record + Hot.originalAddr]! ^ hot[record + Hot.replyAddr]!;
    let hash = Math.imul(addresses ^ control[CarryControl.hashKey]!, 0x9e3779b1);
    hash ^= hash >>> 15;
    hash += (((ports >>> 16) ^ (ports & 0xffff)) << 8) | hot[record + Hot.kind]!;
    return Math.imul(hash, 0x85ebca6b) >>> control[CarryControl.hashShift]!;
  }
}

/** Whether the kernel's program may carry a flow: TCP in conversation and in step, UDP that was answered. */
function mayBeCarried(hot: Int32Array, record: number): boolean {
  const state = hot[record + Hot.state]!;
  const code = state & StateBits.stateMask;
  if (code === FlowState.udpAnswered || code === FlowState.udpStream) {
    return (state & StateBits.seenReply) !== 0;
  }
  if (code !== FlowState.established) return false;
  const tcp = hot[record + Hot.tcp]!;
  return (
    (state & (StateBits.assured | StateBits.kept)) === StateBits.assured &&
    (tcp & notCarriedTcp) === 0 &&
    lastClass(tcp) === SegmentClass.ack &&
    hot[record + Hot.maxWindow] !== 0 &&
    hot[record + Hot.maxWindow + 1] !== 0
  );
}
