/**
 * The control plane's side of the packet threads: starts and ends them, sends them policies, reads their counters.
 *
 * Every thread gets a queue of the TUN device, opened here so that a device that is busy, missing or forbidden is one clear
 * error. All threads share the flow table. When a thread dies, the process ends at once: the device then has no reader and
 * drops everything, which is what a broken firewall should do. An orderly stop could wait for the dead thread.
 */
import { randomFillSync } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { createAnswerMemory } from '../engine/answer-memory.ts';
import { createCaptureRing } from '../engine/capture-ring.ts';
import type { Survival } from '../engine/adoption.ts';
import { Counter, createCounters, trafficCounterCount } from '../engine/counters.ts';
import type { EngineMemory, EngineOptions } from '../engine/engine.ts';
import { ReloadMode } from '../engine/flow-review.ts';
import { EventRingReader, createEventRing } from '../engine/event-ring.ts';
import { FlowList } from '../flow/flow-lists.ts';
import { Control, createFlowMemory } from '../flow/flow-memory.ts';
import {
  createFragmentMemory,
  fragmentBytesHeld,
  fragmentChunkLength,
  fragmentDatagramsHeld,
} from '../flow/fragment-memory.ts';
import { TimeoutList } from '../flow/timeouts.ts';
import { Header, createRuleHits } from '../match/matcher.ts';
import type { PolicyProgram, RuleHits } from '../match/matcher.ts';
import { closeFd, createWake, openQueues, setOffload, signalWake } from '../tun/linux-tun.ts';
import { OffloadControl } from '../tun/offload.ts';
import type { SuperPacket } from '../tun/offload.ts';
import { batchSize } from './batch-size.ts';
import { monotonicMs } from './clock.ts';
import { FlowInspector } from './flow-inspector.ts';
import { keepFlows, notKept } from './flow-survival.ts';
import type { Kept, SurvivalOptions } from './flow-survival.ts';
import { LiveCapture } from './live-capture.ts';
import { SharedLock } from './shared-lock.ts';
import { StateWord, stateWords } from './shared-state.ts';
import type { PacketThreadData, PolicyMessage, ThreadMessage } from './shared-state.ts';

/** Capacity of the drop record ring, per thread. */
const eventRecords = 4096;

/** Size of the capture ring, per thread. */
const captureRingLength = 8 << 20;

export interface DataPlaneOptions {
  readonly device: string;
  readonly queues: number;
  readonly offload: 'auto' | 'off';
  readonly ioUring: 'auto' | 'off';
  readonly flowCapacity: number;
  /** Memory for fragments of incomplete datagrams. */
  readonly fragmentBytes: number;
  readonly engine: EngineOptions;
  /** The first policy. */
  readonly program: PolicyProgram;
  /** Where flows are kept for the next process, and those of the last one taken from. Absent: nowhere. */
  readonly survival?: SurvivalOptions;
  /** A running packet thread has ended unexpectedly: nothing is forwarded any more. */
  readonly onFailure: (error: Error) => void;
  /** The kernel refuses super-packets of this kind: their offload is off, and is tried again after so long. */
  readonly onSuperPacketsRefused: (kind: SuperPacket, retryMs: number) => void;
}

interface PacketThread {
  readonly worker: Worker;
  readonly tunFd: number;
  readonly wakeFd: number;
  readonly counters: Float64Array;
  readonly events: EventRingReader;
  appliedVersion: number;
  /** It forwards packets; an error before that is an error of the start. */
  ready: boolean;
  ended: boolean;
}

/** A policy, and what it does to flows that it forbids. */
export interface PolicyInForce {
  readonly program: PolicyProgram;
  /** ReloadMode of the engine, and with drain: until when. */
  readonly mode: number;
  readonly drainUntilMs: number;
}

interface Waiter {
  readonly version: number;
  readonly resolve: () => void;
}

export class DataPlane {
  readonly #memory: EngineMemory;
  readonly #state: Int32Array;
  readonly #flowControl: Int32Array;
  readonly #threads: PacketThread[] = [];
  readonly #options: DataPlaneOptions;
  /** The flow table, as the control plane reaches it. */
  readonly flows: FlowInspector;
  readonly capture: LiveCapture = new LiveCapture();
  #ruleHits: RuleHits;
  #policyInForce: PolicyInForce;
  #waiters: Waiter[] = [];
  #policyVersion = 0;
  #stopping = false;
  #usesRing = false;
  #offload: OffloadControl | undefined;
  #kept: Kept = notKept;

  /** Opens the device and starts the threads; resolves when all of them forward packets. Throws a `TunError` or a `FlowFileFull`. */
  static async start(options: DataPlaneOptions): Promise<DataPlane> {
    const dataPlane = new DataPlane(options);
    try {
      await dataPlane.#startThreads();
    } catch (error) {
      await dataPlane.stop();
      throw error;
    }
    return dataPlane;
  }

  private constructor(options: DataPlaneOptions) {
    this.#options = options;
    const key = randomFillSync(new Int32Array(2));
    const hashKey = [key[0]!, key[1]!] as const;
    this.#memory = {
      flows: createFlowMemory(options.flowCapacity, hashKey),
      fragments: createFragmentMemory(options.fragmentBytes, hashKey),
      answers: createAnswerMemory(hashKey),
    };
    this.#flowControl = new Int32Array(this.#memory.flows.control);
    this.#state = new Int32Array(new SharedArrayBuffer(stateWords * 4));
    const lock = new SharedLock(this.#state, StateWord.lock);
    this.flows = new FlowInspector(this.#memory, options.engine.limits, lock, monotonicMs);
    this.#ruleHits = sharedHits(options.program);
    this.#policyInForce = { program: options.program, mode: ReloadMode.cut, drainUntilMs: 0 };
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
    const version = this.#policyVersion + 1;
    this.#policyVersion = version;
    const hits = sharedHits(program);
    const drainUntilMs = (monotonicMs() + drainMs) | 0;
    const message: PolicyMessage = { version, program: only(program), hits, mode, drainMs };
    for (const thread of this.#threads) thread.worker.postMessage(message);
    // Sent before it is announced: a thread that sees the version finds the message.
    Atomics.store(this.#state, StateWord.policyVersion, version);
    const applied = new Promise<void>((resolve) => this.#waiters.push({ version, resolve }));
    this.#wakeAll();
    await applied;
    this.#ruleHits = hits;
    this.#policyInForce = { program, mode, drainUntilMs };
    file?.setPolicy({ digest, epoch, mode, drainUntilMs });
  }

  /** What became of the flows of the process before, and whether those of this one will outlive it. */
  get survival(): Survival {
    return this.#kept.survival;
  }

  /** Flows opened by each rule of the policy in force, by its index. The arrays of earlier policies change no more. */
  get ruleHits(): RuleHits {
    return this.#ruleHits;
  }

  /** The policy in force on every thread. */
  get policyInForce(): PolicyInForce {
    return this.#policyInForce;
  }

  /** Whether packets travel by io_uring. */
  get usesRing(): boolean {
    return this.#usesRing;
  }

  /** Sum over the threads of counter `index` (engine/counters.ts). */
  counter(index: number): number {
    return this.#threads.reduce((sum, thread) => sum + thread.counters[index]!, 0);
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

  /** Ends the threads after their current batch and closes the device. To be called once. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.capture.stop();
    this.#offload?.stop();
    Atomics.store(this.#state, StateWord.stop, 1);
    this.#wakeAll();
    await Promise.all(
      this.#threads.map(
        (thread) =>
          new Promise<void>((resolve) => {
            if (thread.ended) resolve();
            else thread.worker.once('exit', () => resolve());
          }),
      ),
    );
    this.#kept.file?.close();
    for (const thread of this.#threads) {
      closeFd(thread.tunFd);
      closeFd(thread.wakeFd);
    }
  }

  async #startThreads(): Promise<void> {
    const { device, queues, offload } = this.#options;
    const opened = await openQueues(device, offload, queues);
    this.#offload = new OffloadControl({
      accepted: opened[0]!.offload,
      set: (bits) => setOffload(opened[0]!.fd, bits),
      onRefused: this.#options.onSuperPacketsRefused,
    });
    try {
      await this.#keepFlows();
    } catch (error) {
      for (const { fd } of opened) closeFd(fd);
      throw error;
    }
    await Promise.all(opened.map(({ fd }, queue) => this.#startThread(queue, fd)));
  }

  /** Once the device is open, which says that no other process judges by these flows. */
  async #keepFlows(): Promise<void> {
    const { device, survival, engine, program } = this.#options;
    if (survival === undefined) return;
    this.#kept = await keepFlows(survival, device, this.#memory.flows, engine, program);
    const { mode, drainUntilMs } = this.#kept.review;
    this.#policyInForce = { program, mode, drainUntilMs };
  }

  #startThread(queue: number, tunFd: number): Promise<void> {
    const wakeFd = createWake();
    const counters = createCounters();
    const events = createEventRing(eventRecords);
    const captureRing = createCaptureRing(captureRingLength);
    this.capture.addRing(captureRing);
    const workerData: PacketThreadData = {
      queue,
      tunFd,
      wakeFd,
      batch: batchSize(this.#memory.fragments.chunks),
      ioUring: this.#options.ioUring,
      state: this.#state.buffer as SharedArrayBuffer,
      memory: this.#memory,
      counters,
      events,
      program: only(this.#options.program),
      ruleHits: this.#ruleHits,
      firstReview: this.#kept.review,
      captureControl: this.capture.control,
      captureRing,
      engine: this.#options.engine,
    };
    const worker = new Worker(new URL('./packet-thread.js', import.meta.url), {
      workerData,
      name: `packet-thread-${queue}`,
    });
    const thread: PacketThread = {
      worker,
      tunFd,
      wakeFd,
      counters: new Float64Array(counters),
      events: new EventRingReader(events),
      appliedVersion: 0,
      ready: false,
      ended: false,
    };
    this.#threads.push(thread);
    return new Promise<void>((resolve, reject) => {
      let error = new Error(`packet thread ${queue} ended`);
      worker.on('message', (message: ThreadMessage) => {
        if (message.kind === 'ready') {
          this.#usesRing = message.usesRing;
          thread.ready = true;
          resolve();
        } else if (message.kind === 'applied') this.#onApplied(thread, message.version);
        else if (!this.#stopping) this.#offload?.refused(message.superPacket);
      });
      worker.on('error', (cause: Error) => (error = cause));
      worker.on('exit', () => {
        thread.ended = true;
        reject(error);
        if (thread.ready && !this.#stopping) this.#options.onFailure(error);
      });
    });
  }

  #onApplied(thread: PacketThread, version: number): void {
    thread.appliedVersion = version;
    const everywhere = Math.min(...this.#threads.map((each) => each.appliedVersion));
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.version > everywhere) return true;
      waiter.resolve();
      return false;
    });
  }

  #wakeAll(): void {
    for (const thread of this.#threads) {
      if (!thread.ended) signalWake(thread.wakeFd);
    }
  }
}

function sharedHits({ words, root }: PolicyProgram): RuleHits {
  return createRuleHits(words[root + Header.ruleCount]!, true);
}

/** What a packet thread gets: a compiled policy has more, which would be copied. */
function only({ words, root }: PolicyProgram): PolicyProgram {
  return { words, root };
}
