/**
 * What a start of the firewall does with the flows of the process before: makes its own file, reads the old one, checks and inserts
 * each flow. Once, in a process that has compiled nothing yet.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createFlowMemory } from '../../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../../src/dataplane/flow/flow-memory.ts';
import { FlowList } from '../../../src/dataplane/flow/flow-lists.ts';
import {
  Cold,
  Direction,
  FlowState,
  Hot,
  StateBits,
  coldWords,
  hotShift,
} from '../../../src/dataplane/flow/flow-record.ts';
import { defaultTimeoutSeconds } from '../../../src/dataplane/flow/timeouts.ts';
import { Protocol } from '../../../src/dataplane/wire/headers.ts';
import { monotonicMs } from '../../../src/dataplane/worker/clock.ts';
import { FlowFile } from '../../../src/dataplane/worker/flow-file.ts';
import { adoptFrom, layIntoFile } from '../../../src/dataplane/worker/flow-survival.ts';
import { port, rulesOf } from '../../net/policy.ts';
import { compile, expectEqual, server, templatesOf } from './firewall.ts';
import { cpuNs } from './meter.ts';
import { randomBelow } from './traffic.ts';

/** UDP streams that were last seen within a minute, in no order. */
function fill({ hot, cold }: FlowMemory, flows: number): void {
  const [hotRecords, coldRecords] = [new Int32Array(hot), new Int32Array(cold)];
  const below = randomBelow(60_000);
  const nowMs = monotonicMs();
  for (let flow = 1; flow <= flows; flow++) {
    const record = flow << hotShift;
    hotRecords[record + Hot.originalAddr] = 0x64400000 + (flow >> 10);
    hotRecords[record + Hot.replyAddr] = server;
    hotRecords[record + Hot.ports] = ((1024 + (flow & 1023)) << 16) | port.udp;
    hotRecords[record + Hot.kind] = Protocol.udp;
    hotRecords[record + Hot.lastRefresh] = nowMs - below(60_000);
    hotRecords[record + Hot.state] =
      StateBits.inUse |
      StateBits.seenReply |
      StateBits.assured |
      (Direction.inbound << StateBits.directionShift) |
      (FlowList.udpStream << StateBits.listShift) |
      FlowState.udpStream;
    coldRecords[flow * coldWords + Cold.packets] = 1;
  }
}

/** In ns. */
export interface AdoptTimes {
  /** While packets wait: the file before read, its flows checked, judged and inserted. */
  readonly time: number;
  /** Before that, beside the old process at an upgrade: the new file, its space and mapping. */
  readonly lay: number;
  /** CPU of both, of all threads; those that compile this code are most of the difference. */
  readonly cpu: number;
}

export async function measureAdopt(flows: number): Promise<AdoptTimes> {
  // Memory, as /run is.
  const directory = mkdtempSync('/dev/shm/tunwall-bench-');
  try {
    const path = join(directory, 'flows');
    const device = 'fw0';
    const key = [1, 2] as const;
    const before = createFlowMemory(flows, key);
    const file = FlowFile.create(path, device);
    file.map(before);
    file.publish();
    fill(before, flows);
    file.close();
    const program = compile(templatesOf(rulesOf()));
    const limits = {
      timeoutsMs: Object.values(defaultTimeoutSeconds).map((seconds) => seconds * 1000),
      serverShare: flows,
    };
    const engine = { limits, tcp: { loose: false, liberal: false } };
    const memory = createFlowMemory(flows, [3, 4]);
    const [start, startMs] = [cpuNs(), performance.now()];
    const next = layIntoFile(path, device, memory);
    if (typeof next === 'string') throw new Error(next);
    const laidMs = performance.now();
    const kept = await adoptFrom(next, memory, engine, program, 'another');
    const [cpu, endMs] = [cpuNs() - start, performance.now()];
    expectEqual('flows that were adopted', kept.survival.adopted, flows);
    kept.file!.close();
    return { time: (endMs - laidMs) * 1e6, lay: (laidMs - startMs) * 1e6, cpu };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
