/** The flow table beside a model of it: lru-cache where order matters, a Map where it does not. */
import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import { describe, expect, it } from 'vitest';
import { FlowEvent } from '../../../../src/dataplane/flow/flow-events.ts';
import {
  FlowList,
  awaitedMs,
  flowListCount,
  protectedIdleMs,
} from '../../../../src/dataplane/flow/flow-lists.ts';
import { Control, createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import { Direction, FlowState, noFlow } from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../../../src/dataplane/flow/flow-record.ts';
import { FlowTable } from '../../../../src/dataplane/flow/flow-table.ts';
import { TimeoutList, defaultTimeoutSeconds } from '../../../../src/dataplane/flow/timeouts.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { seed } from '../../../support/seed.ts';
import { checkFlowTable, checkShares } from '../../../support/table-check.ts';

const timeoutsMs = Object.keys(TimeoutList).map(
  (name) => defaultTimeoutSeconds[name as keyof typeof TimeoutList] * 1000,
);

const server = (10 << 24) | 2;

function makeTable(capacity: number, serverShare = Infinity) {
  const memory = createFlowMemory(capacity, [0x01234567, 0x76543210]);
  const counters = { evictions: new Float64Array(4) };
  const table = new FlowTable(memory, { timeoutsMs, serverShare }, counters);
  const find = (client: number, nowMs: number): FlowIndex =>
    table.lookup(6, client, 1000, server, 80, nowMs);
  const open = (
    client: number,
    nowMs: number,
    list: number = FlowList.tcpSynSent,
    to: number = server,
  ): FlowIndex => {
    table.lookup(6, client, 1000, to, 80, nowMs);
    const state = list === FlowList.tcpEstablished ? FlowState.established : FlowState.synSent;
    return table.insert(6, client, 1000, to, 80, state, list, Direction.inbound, 1, 0, nowMs);
  };
  const check = (): Set<number> => {
    checkShares(memory);
    return checkFlowTable(memory);
  };
  return { memory, table, counters, find, open, check };
}

describe('FlowTable', () => {
  it('finds a flow in both directions', () => {
    const { table, open } = makeTable(16);
    const flow = open(7, 0);
    expect(table.lookup(6, 7, 1000, server, 80, 1)).toBe(flow);
    expect(table.direction).toBe(0);
    expect(table.lookup(6, server, 80, 7, 1000, 1)).toBe(flow);
    expect(table.direction).toBe(1);
    expect(table.lookup(17, 7, 1000, server, 80, 1)).toBe(noFlow);
    expect(table.lookup(6, 7, 1001, server, 80, 1)).toBe(noFlow);
    expect(table.lookup(6, 7, 80, server, 1000, 1)).toBe(noFlow);
  });

  it('forgets a flow exactly at its timeout', () => {
    const { open, find, check } = makeTable(16);
    open(7, 0);
    expect(find(7, 119_999)).not.toBe(noFlow);
    expect(find(7, 120_000)).toBe(noFlow);
    expect(check().size).toBe(0);
  });

  it('knows times that wrap around 2^32 ms', () => {
    const { open, find } = makeTable(16);
    open(7, -1000);
    expect(find(7, 118_999)).not.toBe(noFlow);
    expect(find(7, 119_000)).toBe(noFlow);
  });

  it('takes the expired, then the never answered, then the closing, and leaves conversations alone', () => {
    const { table, open, find, counters, check } = makeTable(4);
    open(1, 0, FlowList.tcpClose);
    open(2, 50_000, FlowList.tcpFinWait);
    open(3, 50_000, FlowList.tcpSynSent);
    open(4, 50_000, FlowList.tcpEstablished);
    const at = 51_000;
    expect(open(5, at, FlowList.tcpEstablished)).not.toBe(noFlow); // expired: 1
    expect(open(6, at, FlowList.tcpEstablished)).not.toBe(noFlow); // never answered: 3
    expect(open(7, at, FlowList.tcpEstablished)).not.toBe(noFlow); // closing: 2
    expect([...counters.evictions]).toEqual([1, 1, 1, 0]);
    expect([1, 2, 3].map((client) => find(client, at))).toEqual([noFlow, noFlow, noFlow]);
    expect(open(8, at)).toBe(noFlow);
    expect(table.refusal).toBe(DropReason.tableFull);
    expect(find(4, at)).not.toBe(noFlow);
    check();
  });

  it('gives up what is closing before a handshake that has just begun', () => {
    const { open, find, counters, check } = makeTable(2);
    open(1, 0, FlowList.tcpClose);
    open(2, 1, FlowList.tcpSynSent);
    expect(open(3, awaitedMs)).not.toBe(noFlow);
    expect([...counters.evictions]).toEqual([0, 0, 1, 0]);
    expect(find(2, awaitedMs)).not.toBe(noFlow);
    // With nothing else to give up, the oldest of them.
    expect(open(4, awaitedMs)).not.toBe(noFlow);
    expect([...counters.evictions]).toEqual([0, 1, 1, 0]);
    expect(find(2, awaitedMs)).toBe(noFlow);
    expect(find(3, awaitedMs)).not.toBe(noFlow);
    check();
  });

  it('lets a server with its share full of closed connections open new ones', () => {
    const { open, find, counters, check } = makeTable(64, 8);
    for (let client = 1; client <= 8; client++) open(client, client, FlowList.tcpClose);
    for (let client = 11; client <= 18; client++) open(client, 500 + client);
    expect([...counters.evictions]).toEqual([0, 0, 8, 0]);
    for (let client = 11; client <= 18; client++) expect(find(client, 600)).not.toBe(noFlow);
    open(19, 600);
    expect([...counters.evictions]).toEqual([0, 1, 8, 0]);
    expect(find(11, 600)).toBe(noFlow);
    check();
  });

  it('gives up a conversation only after it was idle for a minute', () => {
    const { open, find, counters } = makeTable(2);
    open(1, 0, FlowList.tcpEstablished);
    open(2, 1, FlowList.tcpEstablished);
    expect(open(3, protectedIdleMs - 1)).toBe(noFlow);
    expect(open(3, protectedIdleMs)).not.toBe(noFlow);
    expect([...counters.evictions]).toEqual([0, 0, 0, 1]);
    expect(find(1, protectedIdleMs)).toBe(noFlow);
    expect(find(2, protectedIdleMs)).not.toBe(noFlow);
  });

  it('keeps a flooded server within its share, at the cost of its own oldest half-open flows', () => {
    const { table, open, find, check } = makeTable(64, 8);
    const other = (10 << 24) | 3;
    for (let client = 1; client <= 8; client++) open(client, client);
    for (let client = 100; client < 120; client++) open(client, 50, FlowList.tcpSynSent, other);
    expect(open(9, 100)).not.toBe(noFlow);
    expect(find(1, 100)).toBe(noFlow);
    expect(find(2, 100)).not.toBe(noFlow);
    expect(check().size).toBe(16);
    for (let client = 1; client <= 40; client++) {
      open(1000 + client, 200, FlowList.tcpEstablished);
    }
    expect(open(5000, 300)).toBe(noFlow);
    expect(table.refusal).toBe(DropReason.serverShare);
    expect(open(5000, 300, FlowList.tcpSynSent, other)).not.toBe(noFlow);
    check();
  });

  it('finds a half-open flow of a full share also behind an older flood of another server', () => {
    const { open, check, table } = makeTable(4096, 1024);
    const other = (10 << 24) | 3;
    for (let client = 1; client <= 1024; client++) open(client, 0, FlowList.tcpSynSent, other);
    for (let client = 2001; client <= 3024; client++) open(client, 10_000);
    let refused = 0;
    for (let client = 4001; client <= 5000; client++) {
      if (open(client, 11_000) === noFlow) refused++;
    }
    expect(refused).toBe(0);
    expect(check().size).toBe(2048);
    // What is a conversation is not given up for it.
    for (let client = 6001; client <= 8000; client++) open(client, 11_000, FlowList.tcpEstablished);
    expect(open(9000, 11_000)).toBe(noFlow);
    expect(table.refusal).toBe(DropReason.serverShare);
    expect(table.control[Control.listLength + FlowList.tcpEstablished]).toBe(1024);
    check();
  });

  it('shortens the timeouts of half-open flows as it fills, never those of conversations', () => {
    const { table, open, find } = makeTable(100);
    for (let client = 1; client <= 90; client++) open(client, 0);
    open(91, 0, FlowList.tcpEstablished);
    table.expire(0, 0);
    // 91 % full: (1.2 - 0.91) / 0.6 of 120 s.
    expect(find(1, 57_990)).not.toBe(noFlow);
    expect(find(1, 58_001)).toBe(noFlow);
    expect(find(91, 3_600_000)).not.toBe(noFlow);
    expect(table.expire(60_000, 10)).toBe(10);
    // Less full, the rest may wait for longer, but not beyond their configured time.
    expect(table.expire(60_000, 1000)).toBe(0);
    expect(table.expire(120_000, 1000)).toBe(79);
  });

  it('behaves like an LRU cache and a map, whatever happens to it', () => {
    const capacity = 12;
    const operation = fc.record({
      what: fc.constantFrom('packet', 'packet', 'packet', 'remove', 'tick'),
      client: fc.integer({ min: 1, max: 24 }),
      afterMs: fc.integer({ min: 1001, max: 9000 }),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
        const { table, open, find, check } = makeTable(capacity);
        let nowMs = 0;
        // One class of flows with one timeout: then the table is an LRU cache with a time to live.
        const model = new LRUCache<number, boolean>({
          max: capacity,
          ttl: 120_000,
          ttlResolution: 0,
          updateAgeOnGet: true,
          perf: { now: () => nowMs + 1 },
        });
        for (const { what, client, afterMs } of operations) {
          nowMs += afterMs;
          const flow = find(client, nowMs);
          // lru-cache keeps an entry for as long as its age is the time to live, the table until just before.
          const known = model.getRemainingTTL(client) > 0 && model.peek(client) === true;
          expect(flow !== noFlow).toBe(known);
          if (what === 'tick') {
            table.expire(nowMs, 1000);
            model.purgeStale();
            // Adaptive timeouts have a test of their own.
            for (let list = 0; list < flowListCount; list++)
              table.control[Control.timeoutMs + list] = table.configuredMs[list]!;
          } else if (what === 'remove') {
            if (flow !== noFlow) table.remove(flow, FlowEvent.closed, nowMs);
            model.delete(client);
          } else if (flow === noFlow) {
            model.delete(client);
            model.purgeStale();
            expect(open(client, nowMs)).not.toBe(noFlow);
            model.set(client, true);
          } else {
            table.refresh(flow, FlowState.synSent, FlowList.tcpSynSent, nowMs);
            model.get(client);
          }
          check();
        }
      }),
      { seed, numRuns: 400 },
    );
  });
});
