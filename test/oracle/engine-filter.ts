/** Our engine as the other filter: the same packets, the same policy, the same clock. */
import { EventWord } from '../../src/dataplane/engine/event-ring.ts';
import { dropReasonNames } from '../../src/dataplane/wire/drop-reason.ts';
import { EngineFixture } from '../support/engine-fixture.ts';
import type { Settings } from './conversation.ts';
import { enginePolicy } from './policy.ts';

export interface EngineVerdict {
  /** Packets that left because of this one; more than one if it completed a datagram. */
  readonly out: Uint8Array[];
  /** `pass`, `held` or the drop reason. */
  readonly verdict: string;
}

const policy = enginePolicy();

/** An engine without flows. */
export function createEngine({ loose }: Settings): EngineFixture {
  return new EngineFixture({ policy, capacity: 8192, fragmentBytes: 16 << 20, loose });
}

export function judge(engine: EngineFixture, packet: Uint8Array): EngineVerdict {
  while (engine.events.read());
  const out = engine.forward(packet);
  if (engine.events.read()) {
    return { out, verdict: dropReasonNames[engine.events.record[EventWord.reason]!]! };
  }
  return { out, verdict: out.length > 0 ? 'pass' : 'held' };
}
