/** The packet loop on a queue in memory. */
import { describe, expect, it } from 'vitest';
import {
  captureControlWords,
  createCaptureRing,
} from '../../../../src/dataplane/engine/capture-ring.ts';
import { Counter, createCounters } from '../../../../src/dataplane/engine/counters.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { createEventRing } from '../../../../src/dataplane/engine/event-ring.ts';
import type { PacketBatch, TunQueue } from '../../../../src/dataplane/tun/device.ts';
import { runPacketLoop } from '../../../../src/dataplane/worker/packet-loop.ts';
import { LockLostError, SharedLock } from '../../../../src/dataplane/worker/shared-lock.ts';
import { StateWord, stateWords } from '../../../../src/dataplane/worker/shared-state.ts';
import type {
  PolicyMessage,
  ThreadMessage,
} from '../../../../src/dataplane/worker/shared-state.ts';
import { MemoryBatch, vnetLength } from '../../../../src/testing/memory-batch.ts';
import { EngineFixture, timeoutsMs } from '../../../support/engine-fixture.ts';
import { udpPacket } from '../../../../src/testing/packets.ts';
import { createRuleHits } from '../../../../src/dataplane/match/matcher.ts';
import type { PolicyProgram, RuleHits } from '../../../../src/dataplane/match/matcher.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import { toServers, toTemplates } from '../../../support/policies.ts';

const server = '10.0.0.2';
const probe = (dstPort: number): Uint8Array => udpPacket('198.51.100.2', server, 4000, dstPort);
const allowing = (port: number, epoch: number): PolicyProgram =>
  compilePolicy(
    {
      templates: toTemplates({
        web: { inbound: [{ protocol: 'udp', ports: [port] }], outbound: [] },
      }),
      servers: toServers([{ name: 'web', addresses: [server], templates: ['web'] }]),
    },
    epoch,
  );

const ruleHits = (): RuleHits => createRuleHits(1, true);

/** A queue that gives scripted batches, and ends the loop behind the last one. */
class ScriptedQueue implements TunQueue {
  readonly memory: MemoryBatch = new MemoryBatch(16, 65_536, 300, 262_144);
  readonly batch: PacketBatch = this.memory as unknown as PacketBatch;
  readonly written: Uint8Array[] = [];
  readonly state: Int32Array = new Int32Array(new SharedArrayBuffer(stateWords * 4));
  nowMs = 0;
  writeFailures = 0;
  tcpRefused = 0;
  udpRefused = 0;
  closed = false;
  /** Batches that it has taken from the device when it is finished. */
  taken: Uint8Array[][] = [];
  #steps: (() => Uint8Array[])[];

  constructor(steps: (() => Uint8Array[])[]) {
    this.#steps = [...steps];
  }

  exchange(count: number): number {
    this.write(count);
    return this.read();
  }

  read(): number {
    this.nowMs += 10;
    const step = this.#steps.shift();
    if (step === undefined) Atomics.store(this.state, StateWord.stop, 1);
    return this.memory.fill(step?.() ?? []);
  }

  readonly usesRing: boolean = false;

  write(count: number): number {
    for (let slot = 0; slot < count; slot++) {
      const at = this.memory.offsets[slot]!;
      const packet = this.memory.bytes.slice(at + vnetLength, at + this.memory.lengths[slot]!);
      if (this.memory.verdicts[slot] === 1) this.written.push(packet);
    }
    return count;
  }

  finish(): void {
    this.#steps = this.taken.map((batch) => () => batch);
  }

  close(): void {
    this.closed = true;
  }
}

interface Run {
  queue: ScriptedQueue;
  sent: ThreadMessage[];
  counters: Float64Array;
}

/** Runs the loop through the steps; a step may hand policies over as the control plane does. */
function runLoop(
  steps: ((handOver: (message: PolicyMessage) => void, queue: ScriptedQueue) => Uint8Array[])[],
): Run {
  const waiting: PolicyMessage[] = [];
  const sent: ThreadMessage[] = [];
  const counters = createCounters();
  const queue: ScriptedQueue = new ScriptedQueue(
    steps.map((step) => () => {
      return step((message) => {
        waiting.push(message);
        Atomics.store(queue.state, StateWord.policyVersion, message.version);
      }, queue);
    }),
  );
  runPacketLoop(
    {
      queue: 0,
      tunFd: -1,
      wakeFd: -1,
      batch: { readSlots: 0, readBytes: 0, extraSlots: 0, extraBytes: 0 },
      ioUring: 'off',
      state: queue.state.buffer as SharedArrayBuffer,
      memory: EngineFixture.memoryFor({ capacity: 1024, fragmentBytes: 131_072 }),
      counters,
      events: createEventRing(64),
      program: allowing(1, 1),
      ruleHits: ruleHits(),
      firstReview: { mode: ReloadMode.cut, drainUntilMs: 0 },
      captureControl: new SharedArrayBuffer(captureControlWords * 4),
      captureRing: createCaptureRing(4096),
      engine: {
        limits: { timeoutsMs: timeoutsMs(), serverShare: 1024 },
        tcp: { loose: false, liberal: false },
      },
    },
    queue,
    { receive: () => waiting.shift(), send: (message) => sent.push(message) },
  );
  return { queue, sent, counters: new Float64Array(counters) };
}

const policy = (version: number, port: number, mode: number = ReloadMode.cut): PolicyMessage => ({
  version,
  program: allowing(port, version + 1),
  hits: ruleHits(),
  mode,
  drainMs: 0,
});

describe('the packet loop', () => {
  it('writes what passes and nothing else, until it is stopped', () => {
    const { queue, sent } = runLoop([() => [probe(1), probe(2)], () => [], () => [probe(1)]]);
    expect(queue.written).toEqual([probe(1), probe(1)]);
    expect(sent).toEqual([{ kind: 'ready', usesRing: false }, { kind: 'stopped' }]);
    expect(queue.closed).toBe(true);
  });

  it('judges by a new policy from the next batch on, and says so', () => {
    const { queue, sent } = runLoop([
      () => [probe(1), probe(2)],
      (handOver) => {
        handOver(policy(1, 2));
        return [probe(1), probe(2)];
      },
    ]);
    expect(queue.written).toEqual([probe(1), probe(2)]);
    expect(sent).toEqual([
      { kind: 'ready', usesRing: false },
      { kind: 'applied', version: 1 },
      { kind: 'stopped' },
    ]);
  });

  it('judges what the queue had taken from the device when it was stopped', () => {
    const { queue } = runLoop([
      (_, own) => {
        own.taken = [[probe(1), probe(2)], [probe(1)]];
        Atomics.store(own.state, StateWord.stop, 1);
        return [probe(1)];
      },
      () => [probe(1), probe(1), probe(1)],
    ]);
    expect(queue.written).toEqual([probe(1), probe(1), probe(1)]);
    expect(queue.closed).toBe(true);
  });

  it('takes policies in the order in which they were given, the last one counts', () => {
    const { queue, sent } = runLoop([
      (handOver) => {
        handOver(policy(1, 2));
        handOver(policy(2, 3));
        return [probe(1), probe(2), probe(3)];
      },
    ]);
    expect(queue.written).toEqual([probe(3)]);
    expect(sent.slice(1)).toEqual([
      { kind: 'applied', version: 1 },
      { kind: 'applied', version: 2 },
      { kind: 'stopped' },
    ]);
  });

  it('cuts idle flows that a new policy forbids, without a packet', () => {
    const { counters } = runLoop([
      () => [probe(1)],
      (handOver) => {
        handOver(policy(1, 2));
        return [];
      },
      ...Array.from({ length: 30 }, () => () => []),
    ]);
    expect(counters[Counter.flowsCut]).toBe(1);
  });

  it('ends with what is thrown in it, writes nothing of that batch, and leaves the lock lost', () => {
    let queue: ScriptedQueue | undefined;
    const fail = (): Run =>
      runLoop([
        () => [probe(1)],
        (handOver, own) => {
          queue = own;
          handOver({ ...policy(1, 1), program: { words: new Int32Array(8), root: 0 } });
          return [probe(1)];
        },
      ]);
    expect(fail).toThrow('not a compiled policy');
    expect(queue!.written).toEqual([probe(1)]);
    const lock = new SharedLock(queue!.state, StateWord.lock);
    expect(() => lock.hold(() => undefined)).toThrow(LockLostError);
  });

  it('tells which super-packets the kernel refuses, at most once a second', () => {
    const refuse =
      (tcpRefused: number, udpRefused: number, passedMs = 0) =>
      (_: unknown, queue: ScriptedQueue): Uint8Array[] => {
        Object.assign(queue, {
          tcpRefused,
          udpRefused,
          writeFailures: tcpRefused + udpRefused + 1,
        });
        queue.nowMs += passedMs;
        return [probe(1)];
      };
    const run = (...steps: ReturnType<typeof refuse>[]): Run & { told: string[] } => {
      const done = runLoop(steps);
      const told = done.sent.flatMap((each) => (each.kind === 'refused' ? [each.superPacket] : []));
      return { ...done, told };
    };
    expect(run(refuse(0, 0)).told).toEqual([]);
    const often = run(refuse(1, 0), refuse(2, 0), refuse(3, 7), refuse(4, 8));
    expect(often.told).toEqual(['tcp', 'udp']);
    expect(often.counters[Counter.gsoRefused]).toBe(12);
    expect(often.counters[Counter.writeFailures]).toBe(13);
    const again = run(refuse(1, 0), refuse(2, 0, 1000), refuse(2, 0, 1000), refuse(2, 1, 1000));
    expect(again.told).toEqual(['tcp', 'tcp', 'udp']);
  });
});
