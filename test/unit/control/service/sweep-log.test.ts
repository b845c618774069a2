/** What a policy change has cut is reported when the sweep is through, once, and the lines add up. */
import { expect, it } from 'vitest';
import { Counter } from '../../../../src/dataplane/engine/counters.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { Control } from '../../../../src/dataplane/flow/flow-memory.ts';
import { SweepLog } from '../../../../src/control/service/sweep-log.ts';
import type { Swept } from '../../../../src/control/service/sweep-log.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { udpPacket } from '../../../../src/testing/packets.ts';
import { inboundPolicy, policyOf } from '../../../support/policies.ts';

function makeLog(): { log: SweepLog; reported: Swept[] } {
  const reported: Swept[] = [];
  return { log: new SweepLog((swept) => reported.push(swept)), reported };
}

it('logs nothing before the sweep has finished, and then once', () => {
  const { log, reported } = makeLog();
  const source = { sweepRemaining: 0, flowsCut: 0, counter: () => source.flowsCut };
  log.look(source);
  log.onPolicy(2);
  source.sweepRemaining = 7;
  source.flowsCut = 3;
  log.look(source);
  expect(reported).toEqual([]);
  source.sweepRemaining = 0;
  source.flowsCut = 5;
  log.look(source);
  log.look(source);
  expect(reported).toEqual([{ epoch: 2, flowsCut: 5 }]);
  // Changes right behind one another: one sweep, one line, and nothing is lost.
  log.onPolicy(3);
  log.onPolicy(4);
  source.flowsCut = 6;
  log.look(source);
  expect(reported).toEqual([
    { epoch: 2, flowsCut: 5 },
    { epoch: 4, flowsCut: 1 },
  ]);
});

it('logs what an engine has cut in a table that takes several ticks', () => {
  const { log, reported } = makeLog();
  const f = new EngineFixture({ policy: inboundPolicy(), capacity: 16_384 });
  for (let port = 1; port <= 10_000; port += 50) {
    f.forward(
      ...Array.from({ length: 50 }, (_, i) => udpPacket('198.51.100.2', '10.0.0.2', port + i, 53)),
    );
  }
  const control = new Int32Array(f.memory.flows.control);
  const source = {
    get sweepRemaining(): number {
      return control[Control.sweepRemaining]!;
    },
    counter: (index: number): number => f.counter(index),
  };
  f.engine.setPolicy(policyOf({}, [], 2), ReloadMode.cut, 0);
  log.onPolicy(2);
  f.engine.tick(f.nowMs);
  log.look(source);
  expect(reported).toEqual([]);
  expect(f.counter(Counter.flowsCut)).toBeGreaterThan(0);
  f.engine.tick(f.nowMs);
  log.look(source);
  expect(reported).toEqual([{ epoch: 2, flowsCut: 10_000 }]);
});
