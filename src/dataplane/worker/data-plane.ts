/**
 * The control plane's side of the packet threads: starts and ends them, sends them policies, reads their counters.
 *
 * Life-cycle: `prepare` does all that can be done while an earlier process still forwards, such as to load the threads' modules. `begin`
 * takes over its flows, and starts to judge. Every thread gets a queue of the TUN device, attached here so that a device that is
 * busy, missing or forbidden is one clear error. All threads share the flow table. When a thread dies, the process ends at once: the device then has no reader and
 * drops everything, which is what a broken firewall should do. An orderly stop could wait for the dead thread.
 */
import { randomFillSync } from 'node:crypto';
import { createAnswerMemory } from '../engine/answer-memory.ts';
import type { Survival } from '../engine/adoption.ts';
import { Counter, counterCount, trafficCounterCount } from '../engine/counters.ts';
import type { EngineMemory, EngineOptions } from '../engine/engine.ts';
import { ReloadMode } from '../engine/flow-review.ts';
import { FlowEventReader } from '../flow/flow-events.ts';
import { FlowList } from '../flow/flow-lists.ts';
import { Control, createFlowMemory, pageAligned } from '../flow/flow-memory.ts';
import {
  createFragmentMemory,
  fragmentBytesHeld,
  fragmentChunkLength,
  fragmentDatagramsHeld,
} from '../flow/fragment-memory.ts';
import { TimeoutList } from '../flow/timeouts.ts';
import { Header, createRuleHits } from '../match/matcher.ts';
import type { PolicyProgram } from '../match/matcher.ts';
import {
  attachQueues,
  chooseOffload,
  closeFd,
  enabledQueues,
  setOffload,
} from '../tun/linux-tun.ts';
import { OffloadControl } from '../tun/offload.ts';
import type { SuperPacket } from '../tun/offload.ts';
import { batchSize } from './batch-size.ts';
import { monotonicMs } from './clock.ts';
import { FlowInspector } from './flow-inspector.ts';
import { HitFiles } from './hit-file.ts';
import type { LaidHits } from './hit-file.ts';
import { identityOf } from './kept-totals.ts';
import { keepMemory } from './kept-memory.ts';
import type { KeptMemory } from './kept-memory.ts';
import { leftFilePath } from './left-file.ts';
import type { FlowFile } from './flow-file.ts';
import { adoptFrom, layIntoFile, notKept, notKeptBecause } from './flow-survival.ts';
import type { Kept } from './flow-survival.ts';
import type { KernelCarry } from './kernel-carry.ts';
import { LiveCapture } from './live-capture.ts';
import { SharedLock } from './shared-lock.ts';
import { StateWord, stateWords } from './shared-state.ts';
import type { PolicyMessage } from './shared-state.ts';
import { ThreadHandle } from './thread-handle.ts';
import type { SharedThreadData } from './thread-handle.ts';

/** Room for flow events between two looks at them: 2.1 MiB. */
const flowEvents = 16_384;

export interface DataPlaneOptions {
  readonly device: string;
  readonly queues: number;
  /** Open /dev/net/tun, at least one for each queue; see attachQueues. They stay open. */
  readonly descriptors: readonly number[];
  readonly offload: 'auto' | 'off';
  readonly ioUring: 'auto' | 'off';
  readonly flowCapacity: number;
  /** Memory for fragments of incomplete datagrams. */
  readonly fragmentBytes: number;
  readonly engine: EngineOptions;
  /** Directory in which flows, hits and totals are kept for the next process, and those of the last one taken from. Absent: nowhere. */
  readonly keptIn?: string;
  /** What charts are drawn of, kept there as well: so many bytes, which these words name. */
  readonly charts: { readonly bytes: number; readonly format: string };
  /** Whether flow events are recorded, for the flow log. Default: no. */
  readonly logsFlows?: boolean;
  /** Established flows are handed over to the kernel's program. Otherwise: why nothing is carried. */
  readonly carry?: KernelCarry | string;
  /** A running packet thread has ended unexpectedly: nothing is forwarded any more. */
  readonly onFailure: (error: Error) => void;
  /** The kernel refuses super-packets of this kind: their offload is off, and is tried again after so long. */
  readonly onSuperPacketsRefused: (kind: SuperPacket, retryMs: number) => void;
  /** Something of what is counted will not outlive this process. */
  readonly onCountsNotKept: (what: string, reason: string) => void;
}

/** A policy, and what it does to flows that it forbids. */
export interface PolicyInForce {
  readonly program: PolicyProgram;
  /** ReloadMode of the engine, and with drain: until when. */
  readonly mode: number;
  readonly drainUntilMs: number;
}

/** Flows opened by each rule of a policy, by its index. Without more they do not outlive the process. */
export type HitsInForce = Pick<LaidHits, 'hits'> & Partial<LaidHits>;

interface Waiter {
  readonly version: number;
  readonly resolve: () => void;
}

export class DataPlane {
  readonly #memory: EngineMemory;
  readonly #state: Int32Array;
  readonly #flowControl: Int32Array;
  readonly #threads: readonly ThreadHandle[];
  readonly #options: DataPlaneOptions;
  /** The flow table, as the control plane reaches it. */
  readonly flows: FlowInspector;
  /** Absent: none are recorded. */
  readonly flowEvents: FlowEventReader | undefined;
  readonly capture: LiveCapture;
  /** When it has begun, as the process before left it. */
  readonly charts: SharedArrayBuffer;
  #keptCharts: KeptMemory | undefined;
  #hitFiles: HitFiles | undefined;
  #ruleHits: HitsInForce = { hits: createRuleHits(0, true) };
  #policyInForce: PolicyInForce | undefined;
  #waiters: Waiter[] = [];
  #policyVersion = 0;
  #offload: OffloadControl | undefined;
  #file: FlowFile | string | undefined;
  #kept: Kept = notKept;
  readonly #carry: KernelCarry | undefined;
  /** Counts of this thread's own (counters.ts). */
  readonly #ownCounters: Float64Array = new Float64Array(counterCount);

  /**
   * Attaches to the device, unless an earlier process of the same family still has it, and makes ready what takes long.
   *
   * Throws a `TunError` or a `FlowFileFull`.
   */
  static async prepare(options: DataPlaneOptions): Promise<DataPlane> {
    const { device, queues, descriptors } = options;
    if (enabledQueues(device, descriptors).size === 0) {
      await attachQueues(device, queues, descriptors);
    }
    return new DataPlane(options);
  }

  private constructor(options: DataPlaneOptions) {
    this.#options = options;
    const key = randomFillSync(new Int32Array(2));
    const hashKey = [key[0]!, key[1]!] as const;
    const events = options.logsFlows ? flowEvents : 0;
    const flows = createFlowMemory(options.flowCapacity, hashKey, events);
    this.#carry = typeof options.carry === 'object' ? options.carry : undefined;
    this.charts = pageAligned(options.charts.bytes);
    this.capture = new LiveCapture((running) => this.#carry?.pause(running));
    this.#memory = {
      flows: this.#carry === undefined ? flows : { ...flows, carry: this.#carry.memory },
      fragments: createFragmentMemory(options.fragmentBytes, hashKey),
      answers: createAnswerMemory(hashKey),
    };
    const { events: ring } = this.#memory.flows;
    this.flowEvents = ring && new FlowEventReader(ring);
    this.#flowControl = new Int32Array(this.#memory.flows.control);
    this.#state = new Int32Array(new SharedArrayBuffer(stateWords * 4));
    const lock = new SharedLock(this.#state, StateWord.lock);
    const { limits } = options.engine;
    this.flows = new FlowInspector(this.#memory, limits, lock, monotonicMs, this.#ownCounters);
    const queues = Array.from({ length: options.queues }, (_, queue) => queue);
    this.#threads = queues.map((queue) => this.#loadThread(queue));
    const { keptIn, device } = options;
    if (keptIn !== undefined) {
      const path = leftFilePath(keptIn, 'flows', device);
      this.#file = layIntoFile(path, device, this.#memory.flows);
    }
  }

  /**
   * Takes over the device and the flows, and judges by this policy; resolves when all threads forward packets. No other process may
   * do so any more. To be called once.
   *
   * @param digest for the next process: equal for equal policies
   */
  async begin(program: PolicyProgram, digest: string): Promise<void> {
    const { device, queues, offload, descriptors, engine } = this.#options;
    await attachQueues(device, queues, descriptors);
    const first = descriptors[0]!;
    this.#offload = new OffloadControl({
      accepted: chooseOffload(first, offload),
      set: (bits) => setOffload(first, bits),
      onRefused: this.#options.onSuperPacketsRefused,
    });
    if (typeof this.#file === 'string') this.#kept = notKeptBecause(this.#file);
    else if (this.#file !== undefined) {
      this.#kept = await adoptFrom(this.#file, this.#memory.flows, engine, program, digest);
    }
    if (this.#carry !== undefined) {
      this.flows.takeOver(this.#carry);
      this.#carry.begin(device, program.words[program.root + Header.epoch]!);
    }
    this.#hitFiles = this.#openHitFiles();
    this.#keptCharts = this.#keepCharts();
    this.#ruleHits = this.#newHits(program);
    this.#policyInForce = { program, ...this.#kept.review };
    const shared: SharedThreadData = {
      batch: batchSize(this.#memory.fragments.chunks),
      ioUring: this.#options.ioUring,
      state: this.#state.buffer as SharedArrayBuffer,
      memory: this.#memory,
      program: only(program),
      ruleHits: this.#ruleHits.hits,
      firstReview: this.#kept.review,
      captureControl: this.capture.control,
      engine,
    };
    const begin = (thread: ThreadHandle, queue: number): Promise<void> =>
      thread.begin(descriptors[queue]!, shared);
    await Promise.all(this.#threads.map(begin));
  }

  /**
   * Puts a policy in force; resolves when every thread judges by it, and none by the one before.
   *
   * @param mode ReloadMode of the engine, @param drainMs with drain: for how long
   * @param digest for the next process: equal for equal policies
   */
  async setPolicy(
    program: PolicyProgram,
    mode: number,
    drainMs: number,
    digest = '',
  ): Promise<void> {
    const epoch = program.words[program.root + Header.epoch]!;
    // If this process ends in between, no flow is spared by either policy.
    const { file } = this.#kept;
    file?.setPolicy({ digest: '', epoch, mode: ReloadMode.cut, drainUntilMs: 0 });
    this.#carry?.setEpoch(epoch);
    const version = this.#policyVersion + 1;
    this.#policyVersion = version;
    const next = this.#newHits(program);
    const { hits } = next;
    const drainUntilMs = (monotonicMs() + drainMs) | 0;
    const message: PolicyMessage = { version, program: only(program), hits, mode, drainMs };
    for (const thread of this.#threads) thread.send(message);
    // Sent before it is announced: a thread that sees the version finds the message.
    Atomics.store(this.#state, StateWord.policyVersion, version);
    const applied = new Promise<void>((resolve) => this.#waiters.push({ version, resolve }));
    for (const thread of this.#threads) thread.wake();
    await applied;
    this.#ruleHits = next;
    this.#policyInForce = { program, mode, drainUntilMs };
    file?.setPolicy({ digest, epoch, mode, drainUntilMs });
  }

  /** From now on this slot is for traffic of this server. */
  nameServer(slot: number, name: string): void {
    const { serverTotals } = this.#memory.flows;
    try {
      if (typeof this.#file === 'object') this.#file.mapTotals(serverTotals, slot + 1);
    } catch (error) {
      this.#options.onCountsNotKept('totals of servers', (error as Error).message);
    }
    this.flows.nameSlot(slot, identityOf(name));
  }

  /** Servers whose totals begin anew, because those of the process before were damaged. */
  get totalsRefused(): number {
    return this.#kept.totalsRefused ?? 0;
  }

  /** What became of the flows of the process before, and whether those of this one will outlive it. */
  get survival(): Survival {
    return this.#kept.survival;
  }

  /** A sentence: why the charts of the process before are not used. */
  get chartsRefused(): string | undefined {
    return this.#keptCharts?.refused;
  }

  /** Of the policy in force. The arrays of earlier policies change no more. */
  get ruleHits(): HitsInForce {
    return this.#ruleHits;
  }

  /** The policy in force on every thread. */
  get policyInForce(): PolicyInForce {
    if (this.#policyInForce === undefined) throw new Error('the data plane has not begun');
    return this.#policyInForce;
  }

  /** Whether packets travel by io_uring. */
  get usesRing(): boolean {
    return this.#threads.some((thread) => thread.usesRing);
  }

  /** Sum over all threads of counter `index` (engine/counters.ts). */
  counter(index: number): number {
    const own = this.#ownCounters[index]!;
    return this.#threads.reduce((sum, thread) => sum + thread.counters[index]!, own);
  }

  /** Whether the kernel carries nothing at the moment, because somebody has changed what stands in the way of packets. */
  get carriesNothing(): boolean {
    return this.#carry?.isWithheld === true;
  }

  /** Flows that the kernel may carry at the moment; undefined: none ever. */
  get carriedFlows(): number | undefined {
    return this.#carry?.flowCount;
  }

  /** Why nothing is carried, as far as that is known here. */
  get notCarriedBecause(): string | undefined {
    const { carry } = this.#options;
    return typeof carry === 'string' ? carry : undefined;
  }

  /** Packets judged, by queue. */
  packetsByQueue(): number[] {
    const end = Counter.packets + trafficCounterCount;
    return this.#threads.map(({ counters }) =>
      counters.subarray(Counter.packets, end).reduce((sum, packets) => sum + packets, 0),
    );
  }

  flowsInState(state: number): number {
    return this.#flowControl[Control.stateCount + state]!;
  }

  get flowCount(): number {
    return this.#flowControl[Control.used]!;
  }

  /** Factor on the timeouts that pressure shortens (FlowTable.expire): 1 = as configured. */
  get flowTimeoutFactor(): number {
    const inForceMs = this.#flowControl[Control.timeoutMs + FlowList.tcpSynSent]!;
    return inForceMs / this.#options.engine.limits.timeoutsMs[TimeoutList.tcpSynSent]!;
  }

  /**
   * Flow records that the policy in force has not visited yet; with drain, above 0 until all flows that it forbids
   * are gone.
   */
  get sweepRemaining(): number {
    return Atomics.load(this.#flowControl, Control.sweepRemaining);
  }

  /** Bytes of held fragments, and their limit. */
  get fragmentBytesHeld(): number {
    return fragmentBytesHeld(this.#memory.fragments);
  }

  get fragmentBytesLimit(): number {
    return this.#memory.fragments.chunks * fragmentChunkLength;
  }

  get fragmentDatagramsHeld(): number {
    return fragmentDatagramsHeld(this.#memory.fragments);
  }

  /** Delivers all unread drop records, also after `stop`; returns how many were overwritten before they could be read. */
  drainEvents(onRecord: (words: Int32Array) => void): number {
    let missed = 0;
    for (const { events } of this.#threads) {
      while (events.read()) onRecord(events.record);
      missed += events.missed;
      events.missed = 0;
    }
    return missed;
  }

  /** Ends the threads after their current batch; the next process can begin when it resolves. To be called once. */
  async stop(): Promise<void> {
    this.capture.stop();
    this.#carry?.end();
    this.#offload?.stop();
    Atomics.store(this.#state, StateWord.stop, 1);
    for (const thread of this.#threads) thread.end();
    await Promise.all(this.#threads.map(({ stopped }) => stopped));
    if (typeof this.#file === 'object') this.#file.close();
    this.#hitFiles?.close();
    this.#hitFiles = undefined;
    this.#keptCharts?.close();
    for (const { wakeFd } of this.#threads) closeFd(wakeFd);
  }

  #openHitFiles(): HitFiles | undefined {
    const { keptIn, device, onCountsNotKept } = this.#options;
    if (keptIn === undefined || this.#kept.file === undefined) return undefined;
    try {
      return HitFiles.open(leftFilePath(keptIn, 'hits', device), device);
    } catch (error) {
      onCountsNotKept('hits of rules', (error as Error).message);
      return undefined;
    }
  }

  #keepCharts(): KeptMemory | undefined {
    const { keptIn, device, charts, onCountsNotKept } = this.#options;
    if (keptIn === undefined) return undefined;
    try {
      const path = leftFilePath(keptIn, 'charts', device);
      return keepMemory(path, charts.format, device, this.charts);
    } catch (error) {
      onCountsNotKept('charts', (error as Error).message);
      return undefined;
    }
  }

  /** Where a policy's hits are to be counted. */
  #newHits({ words, root }: PolicyProgram): HitsInForce {
    const rules = words[root + Header.ruleCount]!;
    const files = this.#hitFiles;
    try {
      if (files !== undefined) return files.lay(rules);
    } catch (error) {
      this.#hitFiles = undefined;
      files?.close();
      this.#options.onCountsNotKept('hits of rules', (error as Error).message);
    }
    return { hits: createRuleHits(rules, true) };
  }

  #loadThread(queue: number): ThreadHandle {
    const thread = new ThreadHandle(queue, {
      onApplied: () => this.#onApplied(),
      onRefused: (kind) => this.#offload?.refused(kind),
      onFailure: this.#options.onFailure,
    });
    this.capture.addRing(thread.captureRing);
    return thread;
  }

  #onApplied(): void {
    const everywhere = Math.min(...this.#threads.map((each) => each.appliedVersion));
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.version > everywhere) return true;
      waiter.resolve();
      return false;
    });
  }
}

/** What a packet thread gets: a compiled policy has more, which would be copied. */
function only({ words, root }: PolicyProgram): PolicyProgram {
  return { words, root };
}
