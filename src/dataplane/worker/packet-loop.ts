/**
 * The packet loop: reads a batch, judges it under the lock, writes it. Between two batches it takes a new policy, and
 * a few times a second it does housekeeping. It never waits for the control plane, and ends when the stop word is
 * set.
 */
import { CaptureRingWriter } from '../engine/capture-ring.ts';
import { Counter } from '../engine/counters.ts';
import { Engine, ReloadMode } from '../engine/engine.ts';
import { Matcher } from '../match/matcher.ts';
import type { TunQueue } from '../tun/device.ts';
import type { SuperPacket } from '../tun/offload.ts';
import { wallClockUs } from './clock.ts';
import { SharedLock } from './shared-lock.ts';
import { StateWord } from './shared-state.ts';
import type { PacketThreadData, PolicyMessage, ThreadMessage } from './shared-state.ts';

/** How long a thread sleeps in poll when no packet comes: the period of housekeeping. */
const idleWaitMs = 100;

/** How often a thread tells at most that super-packets of a kind are refused. */
const tellAgainMs = 1000;

export interface LoopPort {
  /** The next waiting message, or undefined. */
  receive(): PolicyMessage | undefined;
  send(message: ThreadMessage): void;
}

export function runPacketLoop(data: PacketThreadData, queue: TunQueue, port: LoopPort): void {
  const state = new Int32Array(data.state);
  const counters = new Float64Array(data.counters);
  const failures = new WriteFailures(queue, counters, port);
  const lock = new SharedLock(state, StateWord.lock);
  const policy = new Matcher(data.program.words, data.ruleHits, data.program.root);
  const engine = new Engine(
    queue.batch,
    data.memory,
    data.counters,
    data.events,
    policy,
    data.engine,
    new CaptureRingWriter(data.captureControl, data.captureRing, wallClockUs),
  );
  const { mode, drainUntilMs } = data.firstReview;
  // Flows that an earlier process drained: the sweep has to meet them.
  if (mode === ReloadMode.drain) {
    lock.hold(() => engine.setPolicy(policy, mode, drainUntilMs));
  }
  let policyVersion = 0;
  let lastTickMs = queue.nowMs;
  port.send({ kind: 'ready', usesRing: queue.usesRing });

  let count = 0;
  let slots = 0;
  // Made once: nothing is allocated for a batch.
  const judgeBatch = (): void => {
    const nowMs = queue.nowMs;
    if (Atomics.load(state, StateWord.policyVersion) !== policyVersion) {
      policyVersion = takePolicies(engine, port, policyVersion, nowMs);
    }
    slots = engine.judge(count, nowMs);
    if (data.queue === 0 && ((nowMs - lastTickMs) | 0) >= idleWaitMs) {
      lastTickMs = nowMs;
      slots = engine.tick(nowMs);
    }
  };
  while (Atomics.load(state, StateWord.stop) === 0) {
    count = queue.exchange(slots, idleWaitMs);
    failures.note();
    lock.hold(judgeBatch);
  }
  // Packets that were taken from the device are judged, too: nobody else will see them.
  queue.finish();
  while ((count = queue.exchange(slots, 0)) > 0) {
    failures.note();
    lock.hold(judgeBatch);
  }
  queue.close();
  port.send({ kind: 'stopped' });
}

/** Counts packets of earlier batches that the device refused. */
class WriteFailures {
  readonly #queue: TunQueue;
  readonly #counters: Float64Array;
  readonly #port: LoopPort;
  #tcpRefused = 0;
  #udpRefused = 0;
  readonly #toldAtMs: Partial<Record<SuperPacket, number>> = {};

  constructor(queue: TunQueue, counters: Float64Array, port: LoopPort) {
    this.#queue = queue;
    this.#counters = counters;
    this.#port = port;
  }

  /** To be called after each exchange. */
  note(): void {
    const queue = this.#queue;
    const counters = this.#counters;
    if (queue.writeFailures === counters[Counter.writeFailures]) return;
    counters[Counter.writeFailures] = queue.writeFailures;
    const { tcpRefused, udpRefused } = queue;
    if (tcpRefused !== this.#tcpRefused) this.#tell('tcp');
    if (udpRefused !== this.#udpRefused) this.#tell('udp');
    this.#tcpRefused = tcpRefused;
    this.#udpRefused = udpRefused;
    counters[Counter.gsoRefused] = tcpRefused + udpRefused;
  }

  /** The main thread, which has the device, turns the offload off; until then each batch may be refused. */
  #tell(superPacket: SuperPacket): void {
    const { nowMs } = this.#queue;
    const toldAtMs = this.#toldAtMs[superPacket];
    if (toldAtMs !== undefined && ((nowMs - toldAtMs) | 0) < tellAgainMs) return;
    this.#toldAtMs[superPacket] = nowMs;
    this.#port.send({ kind: 'refused', superPacket });
  }
}

/** Applies every waiting policy in order; returns the version reached. */
function takePolicies(engine: Engine, port: LoopPort, version: number, nowMs: number): number {
  let reached = version;
  for (;;) {
    const message = port.receive();
    if (message === undefined) return reached;
    const { program, hits } = message;
    const policy = new Matcher(program.words, hits, program.root);
    engine.setPolicy(policy, message.mode, (nowMs + message.drainMs) | 0);
    reached = message.version;
    port.send({ kind: 'applied', version: reached });
  }
}
