/** tunwall's engine as a packet thread has it: memory, limits and policy as `tunwall run` makes them, and a batch. */
import { createAnswerMemory } from '../../../src/dataplane/engine/answer-memory.ts';
import { closeSync, openSync, unlinkSync } from 'node:fs';
import {
  createCounters,
  Counter,
  trafficCounterCount,
} from '../../../src/dataplane/engine/counters.ts';
import { Engine } from '../../../src/dataplane/engine/engine.ts';
import { createEventRing } from '../../../src/dataplane/engine/event-ring.ts';
import { Control, createFlowMemory } from '../../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../../src/dataplane/flow/flow-memory.ts';
import { createFragmentMemory } from '../../../src/dataplane/flow/fragment-memory.ts';
import { defaultTimeoutSeconds } from '../../../src/dataplane/flow/timeouts.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../src/policy/compile.ts';
import type { Template } from '../../../src/policy/types.ts';
import { Matcher } from '../../../src/dataplane/match/matcher.ts';
import { createBatch, defaultBatchSize } from '../../../src/dataplane/tun/batch.ts';
import type { Batch } from '../../../src/dataplane/tun/batch.ts';
import { loadAddon } from '../../../src/system/addon.ts';
import { rulesOf } from '../../net/policy.ts';
import type { Rules } from '../../net/policy.ts';

export function addressOf(text: string): number {
  return text.split('.').reduce((value, part) => (value << 8) | Number(part), 0);
}

/** The server that everything goes to. */
export const server: number = addressOf('10.0.0.2');

/** `rulesOf` as templates after validation, some thousand rules each. */
export function templatesOf(rules: Rules): Template[] {
  const size = 10_000;
  return Array.from({ length: Math.ceil(rules.length / size) }, (_, index) => ({
    name: `rules-${index}`,
    outbound: [],
    inbound: rules
      .slice(index * size, (index + 1) * size)
      .map(({ protocol, firstPort, lastPort, source }) => ({
        protocol,
        ports: [{ from: firstPort, to: lastPort }],
        ...(source !== undefined && {
          peers: [{ from: addressOf(source) >>> 0, to: addressOf(source) >>> 0, text: source }],
        }),
      })),
  }));
}

export function compile(templates: readonly Template[], epoch = 1): CompiledPolicy {
  const names = templates.map(({ name }) => name);
  const servers = [{ name: 'server', addresses: [server >>> 0], templates: names }];
  return compilePolicy({ templates, servers }, epoch);
}

export interface FirewallOptions {
  /** Flows that fit. */
  readonly capacity: number;
  /** Rules, of which the last ones are those of the traffic tools. */
  readonly rules?: number;
  /** Packets of a batch. */
  readonly batchSize?: number;
  /** The flow table lies in a file, as with `flows.survive`. */
  readonly survive?: boolean | undefined;
}

/** A file without a name, in memory as /run is. */
function layIntoFile({ hot, cold }: FlowMemory): void {
  const path = `/dev/shm/tunwall-bench-${process.pid}`;
  const fd = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  const addon = loadAddon();
  const hotAt = addon.mapFile(fd, 0, new Uint8Array(hot, 0, hot.byteLength), false);
  const end = hotAt + 4096 * Math.ceil(hot.byteLength / 4096);
  addon.mapFile(fd, end, new Uint8Array(cold, 0, cold.byteLength), false);
  closeSync(fd);
}

export class Firewall {
  readonly batch: Batch;
  readonly words: Uint16Array;
  readonly engine: Engine;
  readonly #counters: Float64Array;

  constructor({
    capacity,
    rules,
    batchSize = defaultBatchSize.readSlots,
    survive,
  }: FirewallOptions) {
    this.batch = createBatch({ ...defaultBatchSize, readSlots: batchSize });
    this.words = new Uint16Array(this.batch.buffer, 0, this.batch.buffer.byteLength >> 1);
    const hashKey = crypto.getRandomValues(new Int32Array(2));
    const key = [hashKey[0]!, hashKey[1]!] as const;
    const flows = createFlowMemory(capacity, key);
    if (survive === true) layIntoFile(flows);
    const counters = createCounters();
    this.#counters = new Float64Array(counters);
    this.engine = new Engine(
      this.batch,
      {
        flows,
        fragments: createFragmentMemory(1 << 20, key),
        answers: createAnswerMemory(key),
      },
      counters,
      createEventRing(4096),
      new Matcher(compile(templatesOf(rulesOf(rules))).words),
      {
        limits: {
          timeoutsMs: Object.values(defaultTimeoutSeconds).map((seconds) => seconds * 1000),
          serverShare: capacity,
        },
        tcp: { loose: false, liberal: false },
      },
    );
  }

  flowsIn(state: number): number {
    return this.engine.table.control[Control.stateCount + state]!;
  }

  /** Packets that have passed so far; those that were dropped. */
  passed(): number {
    return this.#packets(1);
  }

  dropped(): number {
    return this.#packets(0);
  }

  #packets(verdict: number): number {
    let packets = 0;
    for (let at = verdict; at < trafficCounterCount; at += 2) {
      packets += this.#counters[Counter.packets + at]!;
    }
    return packets;
  }
}

/** A benchmark of packets that met something else than was meant would be fast, and worth nothing. */
export function expectEqual(what: string, measured: number, wanted: number): void {
  if (measured !== wanted) throw new Error(`${what}: ${measured}, not ${wanted}`);
}
