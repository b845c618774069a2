/** Resident memory of a table that is full of UDP flows, over that of the same process before the table was made. */
import { Protocol } from '../../../src/dataplane/wire/headers.ts';
import { port, rulesOf } from '../../net/policy.ts';
import { Firewall, expectEqual, server } from './firewall.ts';
import { NaiveFirewall } from './naive.ts';
import { PacketStore, layOut, maxPayload } from './traffic.ts';

/** Flows that are opened at a time, so that their packets take no memory to speak of. */
const chunk = 8192;

interface Table {
  judge(count: number): void;
  readonly used: number;
}

function fill(table: Table, firewall: Firewall, flows: number): void {
  const { batch } = firewall;
  layOut(batch);
  const kind = { protocol: Protocol.udp, payload: maxPayload };
  const store = new PacketStore(chunk, batch.readSlots, kind);
  for (let first = 0; first < flows; first += chunk) {
    for (let i = 0; i < chunk; i++) {
      const flow = first + i;
      store.put(i, 0x64400000 + (flow >> 15), flow & 0x7fff, server, port.udp);
    }
    for (let index = 0; index < store.batches; index++) table.judge(store.copyBatch(index, batch));
  }
  expectEqual('flows', table.used, flows);
}

function ourTable(firewall: Firewall): Table {
  const { engine } = firewall;
  return {
    judge: (count) => void engine.judge(count, 0),
    get used() {
      return engine.table.used;
    },
  };
}

function naiveTable(firewall: Firewall, capacity: number): Table {
  const twin = new NaiveFirewall(capacity, rulesOf(), server);
  return {
    judge: (count) => twin.judge(firewall.batch, count, 0),
    get used() {
      return twin.flows.size;
    },
  };
}

function resident(): number {
  // Twice: what the first one frees, the second gives back.
  globalThis.gc!();
  globalThis.gc!();
  return process.memoryUsage.rss();
}

/** @param flows a multiple of 8192 */
export function measureMemory(naive: boolean, flows: number): { bytes: number } {
  const make = (capacity: number): (() => Table) => {
    const firewall = new Firewall({ capacity });
    const table = naive ? naiveTable(firewall, capacity) : ourTable(firewall);
    fill(table, firewall, capacity);
    return () => table;
  };
  // Everything that is compiled and loaded is, before the count begins.
  make(4 * chunk)();
  const before = resident();
  const table = make(flows);
  const after = resident();
  return { bytes: (after - before) / table().used };
}
