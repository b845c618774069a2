/**
 * The life of short flows: SYNs that each match another rule open them, a tick looks at them, and when their time is over ticks
 * remove them all. Then the same again.
 */
import { Protocol, TcpFlag } from '../../../src/dataplane/wire/headers.ts';
import { rulesOf } from '../../net/policy.ts';
import { Firewall, addressOf, expectEqual, server } from './firewall.ts';
import { cpuNs } from './meter.ts';
import type { Duration } from './meter.ts';
import { NaiveFirewall } from './naive.ts';
import { PacketStore, layOut, randomBelow } from './traffic.ts';

export interface FlowLifeOptions {
  readonly rules: number;
  /** Flows that are opened at a time, 65,536 at most: a source port each. That is a quarter of the table. */
  readonly flows: number;
  /** See FirewallOptions. */
  readonly survive?: boolean;
}

const capacity = 1 << 18;
/** A SYN without an answer lives for two minutes. */
const timeoutMs = 120_000;
/** Ticks while nothing expires. */
const idleTicks = 100;

/** What is measured: the engine or its twin. */
interface Table {
  judge(count: number, nowMs: number): void;
  /** One tick; returns the flows left. */
  tick(nowMs: number): number;
}

/** SYNs from the source and to the port of a rule each, rules in random order. The traffic's own rules match none. */
function synStore({ rules, flows }: FlowLifeOptions, batchSize: number): PacketStore {
  const own = rulesOf(rules).filter(({ source }) => source !== undefined);
  const below = randomBelow(rules);
  const store = new PacketStore(flows, batchSize, {
    protocol: Protocol.tcp,
    tcpFlags: TcpFlag.syn,
  });
  for (let i = 0; i < flows; i++) {
    const { source, firstPort } = own[below(own.length)]!;
    store.put(i, addressOf(source!), i, server, firstPort);
  }
  return store;
}

function ourTable(firewall: Firewall): Table {
  return {
    judge: (count, nowMs) => void firewall.engine.judge(count, nowMs),
    tick(nowMs) {
      firewall.engine.tick(nowMs);
      return firewall.engine.table.used;
    },
  };
}

function naiveTable(firewall: Firewall, rules: number): Table {
  const twin = new NaiveFirewall(capacity, rulesOf(rules), server);
  return {
    judge: (count, nowMs) => twin.judge(firewall.batch, count, nowMs),
    tick(nowMs) {
      twin.expire(nowMs, timeoutMs);
      return twin.flows.size;
    },
  };
}

/** Times in ns: to open a flow; of a tick that has nothing to do; to remove a flow that has expired. */
export interface FlowLife {
  readonly open: number;
  readonly idleTick: number;
  readonly expire: number;
}

export function measureFlowLife(
  naive: boolean,
  options: FlowLifeOptions,
  { warmUpMs, measureMs }: Duration,
): FlowLife {
  const firewall = new Firewall({ capacity, rules: options.rules, survive: options.survive });
  const { batch } = firewall;
  layOut(batch);
  const store = synStore(options, batch.readSlots);
  const table = naive ? naiveTable(firewall, options.rules) : ourTable(firewall);
  const spent = { fill: 0, open: 0, idle: 0, expire: 0 };
  let lives = 0;
  let nowMs = 0;
  const timed = (phase: keyof typeof spent, work: () => void): void => {
    const before = cpuNs();
    work();
    spent[phase] += cpuNs() - before;
  };
  const live = (): void => {
    nowMs += 1;
    timed('fill', () => {
      for (let index = 0; index < store.batches; index++) store.copyBatch(index, batch);
    });
    timed('open', () => {
      for (let index = 0; index < store.batches; index++) {
        table.judge(store.copyBatch(index, batch), nowMs);
      }
    });
    expectEqual('flows that were opened', table.tick(nowMs), options.flows);
    timed('idle', () => {
      for (let tick = 0; tick < idleTicks; tick++) table.tick(nowMs);
    });
    nowMs += timeoutMs;
    timed('expire', () => {
      while (table.tick(nowMs) > 0);
    });
    lives++;
  };
  for (const end = cpuNs() + warmUpMs * 1e6; cpuNs() < end;) live();
  Object.assign(spent, { fill: 0, open: 0, idle: 0, expire: 0 });
  lives = 0;
  while (spent.open + spent.expire < measureMs * 1e6) live();
  const flows = lives * options.flows;
  return {
    open: (spent.open - spent.fill) / flows,
    idleTick: spent.idle / (lives * idleTicks),
    expire: spent.expire / flows,
  };
}
