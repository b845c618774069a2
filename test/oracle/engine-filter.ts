/** Our engine as the other filter: the same packets, the same policy, the same clock. */
import { EventWord } from '../../src/dataplane/engine/event-ring.ts';
import { dropReasonNames } from '../../src/dataplane/wire/drop-reason.ts';
import { adoptFlows } from '../../src/dataplane/engine/adoption.ts';
import { createFlowMemory } from '../../src/dataplane/flow/flow-memory.ts';
import { EngineFixture, timeoutsMs } from '../support/engine-fixture.ts';
import { Carrier } from './carry.ts';
import type { Settings } from './conversation.ts';
import { enginePolicy } from './policy.ts';

export interface EngineVerdict {
  /** Packets that left because of this one; more than one if it completed a datagram. */
  readonly out: Uint8Array[];
  /** `pass`, `held` or the drop reason. */
  readonly verdict: string;
}

const policy = enginePolicy();
const capacity = 8192;

let carrier: Carrier | undefined;
let isBetween = false;

/** From now on the kernel's program is between the packets and the engine. */
export function carry(): void {
  carrier = new Carrier();
}

/** Packets that the engine has not seen. */
export const carriedPackets = (): number => carrier?.carried ?? 0;

/** An engine without flows. */
export function createEngine({ loose, restarts }: Settings): EngineFixture {
  const options = { policy, capacity, fragmentBytes: 16 << 20, loose };
  isBetween = carrier !== undefined && !restarts;
  if (carrier === undefined || restarts) return new EngineFixture(options);
  const memory = EngineFixture.memoryFor(options);
  const flows = { ...memory.flows, carry: carrier.begin(capacity, policy.epoch) };
  return new EngineFixture(options, { memory: { ...memory, flows } });
}

/** Another process with the same policy, which takes over the flows of the one before. */
export function restarted(engine: EngineFixture, { loose }: Settings): EngineFixture {
  const { hot, cold, capacity } = engine.memory.flows;
  const records = { hot: new Int32Array(hot), cold: new Int32Array(cold) };
  const flows = createFlowMemory(capacity, [engine.nowMs, 1]);
  const limits = { timeoutsMs: timeoutsMs(), serverShare: Infinity };
  const { cut, refused } = adoptFlows(records, flows, limits, policy, undefined, engine.nowMs);
  if (cut + refused > 0) throw new Error(`a restart has cut ${cut} flows and refused ${refused}`);
  const memory = { flows, fragments: engine.memory.fragments };
  return new EngineFixture({ policy, loose, nowMs: engine.nowMs }, { memory });
}

export function judge(engine: EngineFixture, packet: Uint8Array): EngineVerdict {
  while (engine.events.read());
  if (isBetween && carrier!.carries(packet, engine.nowMs))
    return { out: [packet], verdict: 'pass' };
  const out = engine.forward(packet);
  if (engine.events.read()) {
    return { out, verdict: dropReasonNames[engine.events.record[EventWord.reason]!]! };
  }
  return { out, verdict: out.length > 0 ? 'pass' : 'held' };
}
