/** Packets that no rule allows: parse, look-up, match, and the record for the log. */
import { Protocol } from '../../../src/dataplane/wire/headers.ts';
import { port, rulesOf } from '../../net/policy.ts';
import { Firewall, expectEqual, server } from './firewall.ts';
import { perOperation } from './meter.ts';
import type { Duration } from './meter.ts';
import { NaiveFirewall } from './naive.ts';
import { PacketStore, layOut, maxPayload } from './traffic.ts';

const packetCount = 8192;
const ruleCount = 10;

export function measureDrop(naive: boolean, duration: Duration): { time: number } {
  const capacity = 1 << 18;
  const firewall = new Firewall({ capacity, rules: ruleCount });
  const twin = new NaiveFirewall(capacity, rulesOf(ruleCount), server);
  const { batch, engine } = firewall;
  const kind = { protocol: Protocol.udp, payload: maxPayload };
  const store = new PacketStore(packetCount, batch.readSlots, kind);
  for (let i = 0; i < packetCount; i++) {
    store.put(i, 0x64400000 + i, 1024 + i, server, port.refused);
  }
  layOut(batch);
  let next = 0;
  let judged = 0;
  const prepare = (): number => store.copyBatch(next++ % store.batches, batch);
  const step = (): number => {
    const count = prepare();
    if (naive) twin.judge(batch, count, next);
    else engine.judge(count, next);
    judged += count;
    return count;
  };
  const time = perOperation({ step, prepare }, duration);
  expectEqual('dropped packets', naive ? twin.dropped : firewall.dropped(), judged);
  return { time };
}
