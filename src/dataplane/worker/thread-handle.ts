/**
 * A packet thread, as the control plane has it. It loads its modules when it is made, waits for `begin`, and forwards packets until
 * `end`.
 */
import { Worker } from 'node:worker_threads';
import { createCaptureRing } from '../engine/capture-ring.ts';
import { createCounters } from '../engine/counters.ts';
import { EventRingReader, createEventRing } from '../engine/event-ring.ts';
import { createWake, signalWake } from '../tun/linux-tun.ts';
import type { SuperPacket } from '../tun/offload.ts';
import type { PacketThreadData, PolicyMessage, ThreadMessage } from './shared-state.ts';

/** Capacity of the drop record ring. */
const eventRecords = 4096;

const captureRingLength = 8 << 20;

export interface ThreadListener {
  /** It judges by this policy. */
  readonly onApplied: () => void;
  readonly onRefused: (superPacket: SuperPacket) => void;
  /** It had forwarded packets, and has ended without being asked. */
  readonly onFailure: (error: Error) => void;
}

/** What it begins with: what all threads have in common. */
export type SharedThreadData = Omit<
  PacketThreadData,
  'queue' | 'wakeFd' | 'tunFd' | 'counters' | 'events' | 'captureRing'
>;

export class ThreadHandle {
  readonly counters: Float64Array;
  readonly events: EventRingReader;
  readonly captureRing: SharedArrayBuffer = createCaptureRing(captureRingLength);
  readonly wakeFd: number = createWake();
  /** It judges no more packets, and writes to no memory. */
  readonly stopped: Promise<void>;
  appliedVersion = 0;
  usesRing = false;
  readonly #queue: number;
  readonly #worker: Worker;
  readonly #counters: SharedArrayBuffer = createCounters();
  readonly #events: SharedArrayBuffer = createEventRing(eventRecords);
  /** It forwards packets; an error before that is an error of the start. */
  readonly #ready: Promise<void>;
  #hasBegun = false;
  #isEnding = false;
  #hasEnded = false;

  constructor(queue: number, { onApplied, onRefused, onFailure }: ThreadListener) {
    this.#queue = queue;
    this.counters = new Float64Array(this.#counters);
    this.events = new EventRingReader(this.#events);
    const entry = new URL('./packet-thread.js', import.meta.url);
    const worker = new Worker(entry, { name: `packet-thread-${queue}` });
    this.#worker = worker;
    let onStopped: () => void = () => undefined;
    this.stopped = new Promise((resolve) => (onStopped = resolve));
    this.#ready = new Promise<void>((resolve, reject) => {
      let isReady = false;
      let error = new Error(`packet thread ${queue} ended`);
      worker.on('message', (message: ThreadMessage) => {
        if (message.kind === 'ready') {
          this.usesRing = message.usesRing;
          isReady = true;
          resolve();
        } else if (message.kind === 'applied') {
          this.appliedVersion = message.version;
          onApplied();
        } else if (message.kind === 'stopped') onStopped();
        else if (!this.#isEnding) onRefused(message.superPacket);
      });
      worker.on('error', (cause: Error) => (error = cause));
      worker.on('exit', () => {
        this.#hasEnded = true;
        onStopped();
        reject(error);
        if (isReady && !this.#isEnding) onFailure(error);
      });
    });
    // Whoever begins it hears of it.
    this.#ready.catch(() => undefined);
  }

  /** Resolves when it forwards packets. */
  begin(tunFd: number, shared: SharedThreadData): Promise<void> {
    const data: PacketThreadData = {
      ...shared,
      queue: this.#queue,
      tunFd,
      wakeFd: this.wakeFd,
      counters: this.#counters,
      events: this.#events,
      captureRing: this.captureRing,
    };
    this.#hasBegun = true;
    this.#worker.postMessage(data);
    return this.#ready;
  }

  send(message: PolicyMessage): void {
    this.#worker.postMessage(message);
  }

  /** Ends its wait for packets. */
  wake(): void {
    if (!this.#hasEnded) signalWake(this.wakeFd);
  }

  /** It is to end, or ends by itself from now on: that is no failure. */
  end(): void {
    this.#isEnding = true;
    if (this.#hasBegun) this.wake();
    else void this.#worker.terminate();
  }
}
