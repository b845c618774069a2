/**
 * The packet loop: reads a batch, judges it under the lock, writes it. Between two batches it takes a new policy, and
 * a few times a second it does housekeeping. It never waits for the control plane, and ends when the stop word is
 * set.
 */
import { CaptureRingWriter } from '../engine/capture-ring.ts';
import { Counter } from '../engine/counters.ts';
import { Engine } from '../engine/engine.ts';
import { Matcher } from '../match/matcher.ts';
import type { TunQueue } from '../tun/device.ts';
import { wallClockUs } from './clock.ts';
import { SharedLock } from './shared-lock.ts';
import { StateWord } from './shared-state.ts';
import type { PacketThreadData, PolicyMessage, ThreadMessage } from './shared-state.ts';

/** How long a thread sleeps in poll when no packet comes: the period of housekeeping. */
const idleWaitMs = 100;

export interface LoopPort {
  /** The next waiting message, or undefined. */
  receive(): PolicyMessage | undefined;
  send(message: ThreadMessage): void;
}

export function runPacketLoop(data: PacketThreadData, queue: TunQueue, port: LoopPort): void {
  const state = new Int32Array(data.state);
  const counters = new Float64Array(data.counters);
  const lock = new SharedLock(state, StateWord.lock);
  const engine = new Engine(
    queue.batch,
    data.memory,
    data.counters,
    data.events,
    new Matcher(data.policyWords, data.ruleHits),
    data.engine,
    new CaptureRingWriter(data.captureControl, data.captureRing, wallClockUs),
  );
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
      engine.tick(nowMs);
    }
  };
  while (Atomics.load(state, StateWord.stop) === 0) {
    count = queue.exchange(slots, idleWaitMs);
    if (queue.writeFailures !== counters[Counter.writeFailures]) {
      noteWriteFailures(queue, counters, port);
    }
    lock.hold(judgeBatch);
  }
  queue.write(slots);
  queue.close();
}

/** Counts packets of earlier batches that the device refused. */
function noteWriteFailures(queue: TunQueue, counters: Float64Array, port: LoopPort): void {
  counters[Counter.writeFailures] = queue.writeFailures;
  if (queue.gsoRefused === counters[Counter.gsoRefused]) return;
  // Some kernels refuse to take super-packets back (EINVAL): do without them.
  if (counters[Counter.gsoRefused] === 0) {
    queue.disableOffload();
    port.send({ kind: 'offload-disabled' });
  }
  counters[Counter.gsoRefused] = queue.gsoRefused;
}

/** Applies every waiting policy in order; returns the version reached. */
function takePolicies(engine: Engine, port: LoopPort, version: number, nowMs: number): number {
  let reached = version;
  for (;;) {
    const message = port.receive();
    if (message === undefined) return reached;
    const policy = new Matcher(message.words, message.hits);
    engine.setPolicy(policy, message.mode, (nowMs + message.drainMs) | 0);
    reached = message.version;
    port.send({ kind: 'applied', version: reached });
  }
}
