/**
 * Runs a fuzz case: two engines of the guarded build on one memory, as two packet threads are, and everything checked
 * after every batch. At the end all clocks run out, and whatever is left is a leak.
 */
import { createAnswerMemory } from '../../src/dataplane/engine/answer-memory.ts';
import { answerBytes, answerSlots } from '../../src/dataplane/engine/answers.ts';
import {
  AnswerKind,
  AnswerOutcome,
  Counter,
  answerIndex,
  counterCount,
  createCounters,
} from '../../src/dataplane/engine/counters.ts';
import type { Engine, EngineMemory } from '../../src/dataplane/engine/engine.ts';
import { ReloadMode } from '../../src/dataplane/engine/engine.ts';
import {
  EventRingReader,
  EventWord,
  createEventRing,
} from '../../src/dataplane/engine/event-ring.ts';
import { Control, createFlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import {
  Direction,
  Hot,
  StateBits,
  flowStateCount,
  hotShift,
} from '../../src/dataplane/flow/flow-record.ts';
import {
  createFragmentMemory,
  fragmentChunkLength,
} from '../../src/dataplane/flow/fragment-memory.ts';
import type { FragmentMemory } from '../../src/dataplane/flow/fragment-memory.ts';
import { dropReasonNames } from '../../src/dataplane/wire/drop-reason.ts';
import { MemoryBatch, vnetLength } from '../../src/testing/memory-batch.ts';
import { timeoutsMs } from '../support/engine-fixture.ts';
import { isAnswer } from '../support/naive-answer.ts';
import { checkFragmentStore } from '../support/fragment-check.ts';
import { addressToInt } from '../../src/testing/packets.ts';
import { naiveServerTotals } from '../support/server-totals.ts';
import { checkFlowTable, checkShares } from '../support/table-check.ts';
import { finalBytes } from './case.ts';
import type { FuzzCase, FuzzSettings, FuzzStep, PolicyChange } from './case.ts';
import { maxPacketLength, maxPacketsPerStep } from './generate.ts';
import type { GuardedBuild } from './guarded-build.ts';
import { FlowSnapshot, allowedByAny, must, readPassed, sameConversation } from './oracle.ts';
import type { PassedPacket, Tuple } from './oracle.ts';
import { policyWords } from './policies.ts';
import { servers } from './traffic.ts';

/** A case after which something was not as it must be. */
export class FuzzFailure extends Error {
  override name = 'FuzzFailure';
  /** Index of the step; the number of steps if it was found at the end. */
  readonly step: number;

  constructor(step: number, cause: unknown) {
    super(`step ${step}: ${(cause as Error).message}`, { cause });
    this.step = step;
  }
}

const hashKey = [0x0f1e2d3c, 0x4b5a6978] as const;
const arenaLength = maxPacketsPerStep * (maxPacketLength + 128);

/** Longer than every timeout. */
const everythingExpiredMs = 6 * 86_400_000;

/** Groups of what a case has seen beside edges: drop reasons, evictions, and how the state of a flow changed in a batch. */
const Mark = { drops: 0, evictions: 64, transitions: 72 } as const;
export const markCount: number = Mark.transitions + flowStateCount * flowStateCount;

/** One engine and what belongs to its thread. */
class Thread {
  readonly engine: Engine;
  readonly batch: MemoryBatch;
  readonly counters: Float64Array;
  readonly events: EventRingReader;
  /** Of the policy that it judges by. */
  epoch = 1;
  /** What the rules of all its policies have counted. */
  readonly ruleHits: Float64Array[] = [];
  /** Slots of its batch that were looked at, and answers among all that it has added. */
  slots = 0;
  answers = 0;

  constructor(
    build: GuardedBuild,
    settings: FuzzSettings,
    batch: MemoryBatch,
    memory: EngineMemory,
  ) {
    const counters = createCounters();
    const ring = createEventRing(1024);
    this.batch = batch;
    this.counters = new Float64Array(counters, 0, counterCount);
    this.events = new EventRingReader(ring);
    const policy = new build.matcher.Matcher(policyWords(0, 1));
    this.ruleHits.push(policy.hits.counts);
    this.engine = new build.engine.Engine(batch, memory, counters, ring, policy, {
      limits: { timeoutsMs: timeoutsMs(), serverShare: settings.serverShare },
      tcp: { loose: settings.loose, liberal: settings.liberal },
    });
  }

  sum(from: number, count: number): number {
    let sum = 0;
    for (let index = from; index < from + count; index++) sum += this.counters[index]!;
    return sum;
  }
}

export class CaseRunner {
  readonly #build: GuardedBuild;
  /** Batch memories by fragment memory: large, so they are used again. */
  readonly #batches: Map<number, MemoryBatch> = new Map();
  /** What the case has seen; see {@link Mark}. */
  readonly marks: Uint32Array = new Uint32Array(markCount);
  packets = 0;
  /** The flow table of the last case, as it was left. */
  flows: FlowMemory | undefined;
  /** Its clock at that time. */
  nowMs = 0;

  constructor(build: GuardedBuild) {
    this.#build = build;
  }

  /** Runs a case from nothing. Throws a {@link FuzzFailure}. */
  run(fuzzCase: FuzzCase): void {
    this.#build.runtime.edges.fill(0);
    this.marks.fill(0);
    const fragments = createFragmentMemory(fuzzCase.settings.fragmentBytes, hashKey);
    const run = new CaseRun(
      this.#build,
      fuzzCase,
      fragments,
      this.#batchFor(fragments),
      this.marks,
    );
    let step = 0;
    try {
      for (; step < fuzzCase.steps.length; step++) run.step(fuzzCase.steps[step]!, step);
      run.finish();
    } catch (error) {
      throw new FuzzFailure(step, error);
    } finally {
      this.flows = run.flows;
      this.nowMs = run.nowMs;
      this.#build.runtime.watchArena(undefined, new Uint8Array());
      this.packets += run.packets;
    }
  }

  /** As worker/data-plane.ts lays it out: room behind the batch for every fragment that is held, and for answers. */
  #batchFor({ chunks }: FragmentMemory): MemoryBatch {
    let batch = this.#batches.get(chunks);
    if (batch === undefined) {
      const extraSlots = chunks + maxPacketsPerStep + answerSlots;
      const spareLength = chunks * fragmentChunkLength + answerBytes;
      batch = new MemoryBatch(maxPacketsPerStep, arenaLength, extraSlots, spareLength);
      this.#batches.set(chunks, batch);
    }
    return batch;
  }
}

class CaseRun {
  readonly #build: GuardedBuild;
  readonly #settings: FuzzSettings;
  readonly #memory: Required<EngineMemory>;
  readonly #batch: MemoryBatch;
  readonly #shadow: Uint8Array;
  readonly #threads: readonly [Thread, Thread];
  readonly #marks: Uint32Array;
  #nowMs: number;
  #epoch = 1;
  /** Policies that an engine will learn of late. */
  #late: { thread: Thread; change: PolicyChange; epoch: number; atStep: number }[] = [];
  /** Policies that may have admitted a flow that is still there. */
  /** By epoch, from 1; none has epoch 0. */
  readonly #policies: number[] = [0, 0];
  /** No change has kept or drained anything: then what passes is allowed by the engine's own policy, or by a newer one. */
  #strict = true;
  /** Packets that were given to an engine, as bytes in hexadecimal: only these may come out, or be quoted. */
  readonly #given: Set<string> = new Set();
  /** State of each flow after the last batch, by index. */
  readonly #states: Uint8Array;
  #snapshot: FlowSnapshot;
  /** A fragment came: of a datagram flows count one packet, and the counters all of its fragments. */
  #fragmented = false;
  /** Ends of dropped packets that are servers. */
  #serverDrops = 0;
  packets = 0;

  constructor(
    build: GuardedBuild,
    { settings }: FuzzCase,
    fragments: FragmentMemory,
    batch: MemoryBatch,
    marks: Uint32Array,
  ) {
    this.#build = build;
    this.#settings = settings;
    const flows = createFlowMemory(settings.capacity, hashKey);
    this.#memory = { flows, fragments, answers: createAnswerMemory(hashKey) };
    this.#batch = batch;
    this.#marks = marks;
    this.#nowMs = settings.startMs | 0;
    this.#shadow = new Uint8Array(batch.bytes.length);
    this.#shadow.fill(build.runtime.Shadow.own, batch.spareOffset);
    build.runtime.watchArena(batch.bytes.buffer, this.#shadow);
    this.#threads = [
      new Thread(build, settings, batch, this.#memory),
      new Thread(build, settings, batch, this.#memory),
    ];
    this.#states = new Uint8Array(settings.capacity + 1);
    this.#snapshot = new FlowSnapshot(this.#memory.flows, [], this.#nowMs);
  }

  get flows(): FlowMemory {
    return this.#memory.flows;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  step(step: FuzzStep, index: number): void {
    this.#nowMs = (this.#nowMs + step.afterMs) | 0;
    this.#deliverLate(index);
    if (step.change !== undefined) this.#change(step.change, step.engine, index);
    const thread = this.#threads[step.engine];
    this.#snapshot = this.#check();
    const evictedBefore = this.#evictedConversations();
    this.#judge(thread, step);
    const after = this.#check();
    must(
      this.#evictedConversations() - evictedBefore <= this.#snapshot.idleConversations,
      () => 'a conversation was evicted that was active in the last minute',
    );
    this.#checkCounters();
    this.#checkVerdicts(thread, step, after);
    // Only the first thread does housekeeping, ten times a second: never longer after a jump of the clock.
    if (step.tick || step.afterMs > 3_600_000) {
      this.#tick();
      this.#check();
      this.#checkCounters();
    }
  }

  /** Lets all time run out: nothing may be left. */
  finish(): void {
    for (let turn = 0; turn < 3; turn++) {
      this.#nowMs = (this.#nowMs + everythingExpiredMs) | 0;
      this.#tick();
    }
    this.#check();
    checkShares(this.#memory.flows);
    this.#checkCounters();
    const { flows, fragments } = this.#memory;
    const used = new Int32Array(flows.control)[Control.used]!;
    must(used === 0, () => `${used} flows are left when all have expired`);
    const held = checkFragmentStore(fragments);
    must(held.datagrams === 0 && held.chunks === 0, () => `${held.datagrams} datagrams are left`);
    for (const thread of this.#threads) {
      for (let code = 0; code < dropReasonNames.length; code++) {
        this.#marks[Mark.drops + code]! += thread.counters[Counter.drops + code]!;
      }
      for (let code = 0; code < 4; code++) {
        this.#marks[Mark.evictions + code]! += thread.counters[Counter.evictions + code]!;
      }
    }
  }

  #change(change: PolicyChange, engine: 0 | 1, step: number): void {
    this.#epoch++;
    if (change.mode !== ReloadMode.cut) this.#strict = false;
    this.#policies.push(change.policy);
    this.#setPolicy(this.#threads[engine], change, this.#epoch);
    const thread = this.#threads[engine === 0 ? 1 : 0];
    const atStep = change.late ? step + 3 : step;
    this.#late.push({ thread, change, epoch: this.#epoch, atStep });
    this.#deliverLate(step);
  }

  /** Policies reach an engine in their order, whatever one of them waits for. */
  #deliverLate(step: number): void {
    while (this.#late.length > 0 && this.#late[0]!.atStep <= step) {
      const { thread, change, epoch } = this.#late.shift()!;
      this.#setPolicy(thread, change, epoch);
    }
  }

  #setPolicy(thread: Thread, change: PolicyChange, epoch: number): void {
    const policy = new this.#build.matcher.Matcher(policyWords(change.policy, epoch));
    thread.engine.setPolicy(policy, change.mode, (this.#nowMs + change.drainMs) | 0);
    thread.epoch = epoch;
    thread.ruleHits.push(policy.hits.counts);
  }

  /** Fills the batch, marks what may be read, and lets the engine judge. */
  #judge(thread: Thread, step: FuzzStep): void {
    const batch = this.#batch;
    const { Shadow } = this.#build.runtime;
    const packets = step.packets.map((packet) => ({
      bytes: finalBytes(packet),
      vnetFlags: packet.vnetFlags,
      gsoType: packet.gsoType,
    }));
    const count = batch.fill(packets);
    for (let slot = 0; slot < count; slot++) {
      const at = batch.offsets[slot]!;
      this.#shadow.fill(Shadow.readable, at, at + batch.lengths[slot]!);
      const bytes = packets[slot]!.bytes;
      if (bytes.length >= 20) this.#given.add(hexOf(bytes));
      if ((((bytes[6] ?? 0) & 0x3f) | (bytes[7] ?? 0)) !== 0) this.#fragmented = true;
    }
    this.packets += count;
    const slots = thread.engine.judge(count, this.#nowMs);
    must(slots >= count && slots <= batch.totalSlots, () => `${count} packets made ${slots} slots`);
    for (let slot = 0; slot < count; slot++) {
      const at = batch.offsets[slot]!;
      const end = at + batch.lengths[slot]!;
      must(
        hexOf(batch.bytes.subarray(at + vnetLength, end)) === hexOf(packets[slot]!.bytes),
        () => `slot ${slot} has moved or changed`,
      );
      this.#shadow.fill(Shadow.none, at, end);
    }
    thread.slots = count;
    this.#checkTail(thread, slots);
  }

  #tick(): void {
    const [thread] = this.#threads;
    this.#checkTail(thread, thread.engine.tick(this.#nowMs));
  }

  /** What the engine has added to the batch since it was looked at: fragments that leave as they came, and answers. */
  #checkTail(thread: Thread, slots: number): void {
    const { bytes, offsets, lengths, verdicts, spareOffset } = this.#batch;
    for (; thread.slots < slots; thread.slots++) {
      const { slots: slot } = thread;
      const at = offsets[slot]!;
      const end = at + lengths[slot]!;
      must(verdicts[slot] === 1, () => `slot ${slot} behind the batch does not pass`);
      must(end <= bytes.length, () => `slot ${slot} ends at ${end}, behind the batch memory`);
      const header = bytes.subarray(at, at + vnetLength);
      const isEmpty = header.every((value) => value === 0);
      // Segmentation metadata stays with a packet of this batch.
      must(at < spareOffset || isEmpty, () => `slot ${slot} has a virtio header`);
      const packet = bytes.subarray(at + vnetLength, end);
      const came = [...this.#given].some((hex) => hex.startsWith(hexOf(packet)));
      must(came || isAnswer(packet, this.#given), () => `slot ${slot}: neither came nor answers`);
      if (!came) thread.answers++;
    }
    const sent =
      thread.counters[answerIndex(AnswerKind.rst, AnswerOutcome.sent)]! +
      thread.counters[answerIndex(AnswerKind.icmp, AnswerOutcome.sent)]!;
    must(thread.answers === sent, () => `${thread.answers} answers, ${sent} were counted`);
  }

  #check(): FlowSnapshot {
    const { flows, fragments } = this.#memory;
    const indices = checkFlowTable(flows);
    checkFragmentStore(fragments);
    const hot = new Int32Array(flows.hot);
    for (let flow = 1; flow < this.#states.length; flow++) {
      const state = hot[(flow << hotShift) + Hot.state]! & StateBits.stateMask;
      this.#marks[Mark.transitions + this.#states[flow]! * flowStateCount + state]! += 1;
      this.#states[flow] = state;
    }
    const snapshot = new FlowSnapshot(flows, indices, this.#nowMs);
    const { serverShare } = this.#settings;
    must(snapshot.largestShare <= serverShare, () => `a server has ${snapshot.largestShare} flows`);
    return snapshot;
  }

  #evictedConversations(): number {
    return this.#threads.reduce((sum, each) => sum + each.counters[Counter.evictions + 3]!, 0);
  }

  /** Every packet has passed, was dropped or is held; every drop has a reason and a record. */
  #checkCounters(): void {
    const held = checkFragmentStore(this.#memory.fragments).fragments;
    let judged = 0;
    for (const thread of this.#threads) {
      judged += thread.sum(Counter.packets, 32);
      let dropped = 0;
      for (let traffic = 0; traffic < 32; traffic += 2) {
        dropped += thread.counters[Counter.packets + traffic]!;
      }
      const reasons = thread.sum(Counter.drops, 64);
      must(dropped === reasons, () => `${dropped} drops, ${reasons} of them with a reason`);
      must(thread.counters[Counter.drops] === 0, () => 'drops without a reason');
      this.#checkEvents(thread);
    }
    must(
      judged + held === this.packets,
      () => `${this.packets} packets came, ${judged} were judged and ${held} are held`,
    );
    this.#checkServerTotals();
  }

  /** Servers have got and sent what the counters have counted for their side, and every flow was opened by a rule or two. */
  #checkServerTotals(): void {
    let passed = 0;
    let opened = 0;
    let hits = 0;
    for (const { counters, ruleHits } of this.#threads) {
      for (let traffic = 1; traffic < 32; traffic += 2) {
        const sides = traffic >> 3 === Direction.internal ? 2 : 1;
        passed += sides * counters[Counter.packets + traffic]!;
      }
      opened += counters[Counter.flowsOpened]!;
      for (const each of ruleHits) hits += each.reduce((sum, count) => sum + count, 0);
    }
    must(hits >= opened && hits <= 2 * opened, () => `${opened} flows, ${hits} hits of rules`);
    const totals = naiveServerTotals(this.#memory.flows);
    must(!totals.has(0), () => 'packets were counted for nobody');
    if (this.#fragmented) return;
    let counted = 0;
    let dropped = 0;
    for (const [packetsIn, packetsOut, , , dropsIn, dropsOut] of totals.values()) {
      counted += packetsIn + packetsOut;
      dropped += dropsIn! + dropsOut!;
    }
    must(counted === passed, () => `${passed} packets passed, servers have ${counted} of them`);
    must(
      dropped === this.#serverDrops,
      () => `${this.#serverDrops} ends of dropped packets are servers, ${dropped} were counted`,
    );
  }

  #checkEvents({ events }: Thread): void {
    while (events.read()) {
      const record = events.record;
      const reason = record[EventWord.reason]!;
      must(reason > 0 && reason < dropReasonNames.length, () => `a record of reason ${reason}`);
      const direction = record[EventWord.direction]!;
      must(direction >= 0 && direction < 4, () => `a record of direction ${direction}`);
      must(record[EventWord.timeMs] === this.#nowMs, () => 'a record of another time');
      const slots = record[EventWord.servers]!;
      const from = slotOf(record[EventWord.srcAddr]!);
      const to = slotOf(record[EventWord.dstAddr]!);
      must(slots === (to | (from << 16)), () => `a record of servers ${slots}`);
      this.#serverDrops += (from === 0 ? 0 : 1) + (to === 0 ? 0 : 1);
    }
    must(events.missed === 0, () => `${events.missed} records were overwritten`);
  }

  /** What passed was right on the wire, is allowed, and belongs to a flow that was there or is there. */
  #checkVerdicts(thread: Thread, step: FuzzStep, after: FlowSnapshot): void {
    // A flow that the other engine has admitted by a newer policy is not judged again by the older one.
    const acceptable = this.#strict ? this.#policies.slice(thread.epoch) : this.#policies;
    /** Conversations that were there before the batch or became so within it. */
    const known = (tuple: Tuple, packets: readonly PassedPacket[]): boolean =>
      this.#snapshot.has(tuple) || packets.some((each) => sameConversation(each.tuple, tuple));
    const passed: PassedPacket[] = [];
    // A datagram in fragments may have opened a flow, and the next one may have ended it: fragments are not put together here.
    const whole = step.packets.every(
      ({ bytes }) => (((bytes[6] ?? 0) & 0x3f) | (bytes[7] ?? 0)) === 0,
    );
    step.packets.forEach((packet, slot) => {
      if (this.#batch.verdicts[slot] !== 1) return;
      const read = readPassed(finalBytes(packet), packet.vnetFlags);
      if (read.kind === 'icmp-error') {
        must(
          !whole || known(read.quoted!, passed),
          () => `slot ${slot}: an ICMP error passed about nothing`,
        );
      }
      if (read.kind !== 'flow') return;
      passed.push(read);
      const allowed = allowedByAny(acceptable, read.tuple);
      must(allowed, () => `slot ${slot} passed, which no policy allows`);
      // The last packet judged leaves its flow behind, unless it was one that ends it.
      if (slot !== step.packets.length - 1 || read.isReset) return;
      must(after.has(read.tuple), () => `slot ${slot} passed without a flow`);
    });
  }
}

const serverAddresses = servers.map(addressToInt);

/** The slot that the policies of the fuzzer give to an address. */
function slotOf(address: number): number {
  return serverAddresses.indexOf(address) + 1;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
