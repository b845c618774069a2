/**
 * Flows that an earlier process left are taken over: all that a flow is goes on; what the policy forbids does not; and whatever
 * was done to the memory, the table's invariants hold, and no flow is in it that the policy forbids.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adoptFlows } from '../../../../src/dataplane/engine/adoption.ts';
import type { SparedFlows } from '../../../../src/dataplane/engine/adoption.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { FlowList } from '../../../../src/dataplane/flow/flow-lists.ts';
import { Control, createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import type { FlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  coldWords,
  hotShift,
  hotWords,
} from '../../../../src/dataplane/flow/flow-record.ts';
import {
  arrange,
  isReadable,
  ownLayout,
  recordLayout,
} from '../../../../src/dataplane/flow/record-layout.ts';
import type { RecordLayout, Records } from '../../../../src/dataplane/flow/record-layout.ts';
import { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { FuzzFailure, CaseRunner } from '../../../fuzz/execute.ts';
import { newCase } from '../../../fuzz/generate.ts';
import { loadGuardedBuild } from '../../../fuzz/guarded-build.ts';
import { naivelyAllowed, policyCount, policyWords } from '../../../fuzz/policies.ts';
import { newConversation } from '../../../fuzz/traffic.ts';
import { EngineFixture, timeoutsMs } from '../../../support/engine-fixture.ts';
import { icmpQuery, tcpPacket, udpPacket } from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';
import { seed, seededRandom } from '../../../support/seed.ts';
import { checkFlowTable, checkShares } from '../../../support/table-check.ts';

const client = '198.51.100.2';
const web = '10.0.0.2';
const limits = { timeoutsMs: timeoutsMs(), serverShare: Infinity };

const policy = (epoch: number, ...protocols: ('tcp' | 'udp' | 'icmp')[]): Matcher =>
  policyOf(
    { web: { inbound: protocols.map((protocol) => ({ protocol })), outbound: [] } },
    [{ name: 'web', addresses: [web], templates: ['web'] }],
    epoch,
  );
const all = ['tcp', 'udp', 'icmp'] as const;

/** What a killed process leaves: the records, and nothing else. */
function recordsOf({ hot, cold }: FlowMemory): Records {
  return { hot: new Int32Array(hot.slice(0)), cold: new Int32Array(cold.slice(0)) };
}

/** The memory of a new process: with a key of its own. */
const newMemory = (capacity = 1024): FlowMemory => createFlowMemory(capacity, [99, 77]);

function adopt(
  records: Records,
  by: Matcher,
  nowMs: number,
  { memory = newMemory(), spared }: { memory?: FlowMemory; spared?: SparedFlows } = {},
) {
  const adoption = adoptFlows(records, memory, limits, by, spared, nowMs);
  checkShares(memory);
  expect(checkFlowTable(memory).size).toBe(adoption.adopted);
  return { memory, ...adoption };
}

/** The next process, at work on the flows that it has adopted. */
function continued({ memory, nowMs }: EngineFixture, flows: FlowMemory, afterMs: number) {
  const options = { policy: policy(1, ...all), nowMs: nowMs + afterMs };
  return new EngineFixture(options, { memory: { flows, fragments: memory.fragments } });
}

/** Words of all flows by tuple, without links, epoch, servers and place in the lists. */
function flowsOf(memory: FlowMemory): Map<string, string> {
  const { hot, cold } = recordsOf(memory);
  const flows = new Map<string, string>();
  for (const flow of checkFlowTable(memory)) {
    const record = [...hot.subarray(flow << hotShift, (flow + 1) << hotShift)];
    const coldRecord = [...cold.subarray(flow * coldWords, (flow + 1) * coldWords)];
    for (const word of [Hot.next, Hot.epoch, Hot.listed]) record[word] = 0;
    for (const word of [Cold.previous, Cold.next, Cold.servers]) coldRecord[word] = 0;
    flows.set(record.slice(0, 4).join(' '), [...record, ...coldRecord].join(' '));
  }
  return flows;
}

/** A fixture with a conversation of each protocol. */
function withFlows(): EngineFixture {
  const f = new EngineFixture({ policy: policy(1, ...all) });
  f.forward(
    tcpPacket(client, web, { srcPort: 4000, dstPort: 80, flags: 'S', seq: 100 }),
    tcpPacket(web, client, { srcPort: 80, dstPort: 4000, flags: 'SA', seq: 500, ack: 101 }),
    tcpPacket(client, web, { srcPort: 4000, dstPort: 80, flags: 'A', seq: 101, ack: 501 }),
    udpPacket(client, web, 5000, 53),
    udpPacket(web, client, 53, 5000),
    icmpQuery(client, web, 8, 77),
  );
  expect(f.check().size).toBe(3);
  return f;
}

describe('flows of the process before', () => {
  it('go on as they were, in every word: whatever traffic made them', () => {
    const random = seededRandom();
    for (let round = 0; round < 50; round++) {
      const f = new EngineFixture({ policy: new Matcher(policyWords(0, 1)) });
      const conversations = Array.from({ length: 20 }, () => newConversation(random));
      for (let step = 0; step < 100; step++) {
        const of = conversations[Math.floor(random() * conversations.length)]!;
        const packets = of.next(random).slice(0, 40);
        if (packets.length > 0) f.forward(...packets);
        f.nowMs += Math.floor(random() * 20);
      }
      const before = flowsOf(f.memory.flows);
      const after = adopt(recordsOf(f.memory.flows), new Matcher(policyWords(0, 1)), f.nowMs);
      expect(flowsOf(after.memory)).toEqual(before);
      expect(after).toMatchObject({ cut: 0, refused: 0 });
    }
  });

  it('are found by the next packets, with windows where they were', () => {
    const f = withFlows();
    const memory = newMemory();
    adopt(recordsOf(f.memory.flows), policy(1, ...all), f.nowMs, { memory });
    const g = continued(f, memory, 500);
    const data = { srcPort: 80, dstPort: 4000, flags: 'PA', ack: 101 } as const;
    expect(g.judge(tcpPacket(web, client, { ...data, seq: 501 }))).toBe('pass');
    expect(g.judge(tcpPacket(web, client, { ...data, seq: 501 + 10_000_000 }))).toBe(
      'out-of-window',
    );
    expect(g.judge(udpPacket(web, client, 53, 5000))).toBe('pass');
    expect(g.judge(icmpQuery(web, client, 0, 77))).toBe('pass');
    expect(g.judge(udpPacket(web, client, 53, 5001))).toBe('no-outbound-rule');
    expect(g.check().size).toBe(3);
  });

  it('are cut if the policy in force forbids them, and only those', () => {
    const f = withFlows();
    // Of an epoch that is newer than any of the new process: it does not matter.
    const { hot, cold } = recordsOf(f.memory.flows);
    for (let at = Hot.epoch; at < hot.length; at += hotWords) hot[at] = 1_000_000;
    const by = policy(1, 'tcp', 'icmp');
    const after = adopt({ hot, cold }, by, f.nowMs);
    expect(after).toMatchObject({ adopted: 2, cut: 1, expired: 0, refused: 0 });
  });

  it('end with their timeouts, which go on', () => {
    const f = withFlows();
    const records = recordsOf(f.memory.flows);
    // UDP and ICMP have 30 s.
    expect(adopt(records, policy(1, ...all), f.nowMs + 29_999)).toMatchObject({ adopted: 3 });
    expect(adopt(records, policy(1, ...all), f.nowMs + 30_000)).toMatchObject({
      adopted: 1,
      expired: 2,
    });
    const fromTheFuture = adopt(records, policy(1, ...all), f.nowMs - 1);
    expect(fromTheFuture).toMatchObject({ adopted: 0, refused: 3 });
  });

  it('lie on their lists in the order of their last packets', () => {
    const f = new EngineFixture({ policy: policy(1, 'udp') });
    const ports = [10, 3, 7, 1, 9, 5];
    for (const port of ports) f.forward(udpPacket(client, web, port, 53));
    for (const port of ports.toSorted((a, b) => a - b)) {
      f.nowMs += 5000;
      f.forward(udpPacket(client, web, port, 53));
    }
    const { memory } = adopt(recordsOf(f.memory.flows), policy(1, 'udp'), f.nowMs);
    const g = continued(f, memory, 9999);
    g.engine.tick(g.nowMs);
    expect(g.check().size).toBe(5);
  });

  it('lie so however long ago that was, to a second', () => {
    const random = seededRandom(seed + 3);
    const f = new EngineFixture({ policy: policy(1, 'tcp') });
    for (let srcPort = 1; srcPort <= 40; srcPort++) {
      const back = { srcPort: 80, dstPort: srcPort, flags: 'SA', seq: 500, ack: 101 } as const;
      f.forward(
        tcpPacket(client, web, { srcPort, dstPort: 80, flags: 'S', seq: 100 }),
        tcpPacket(web, client, back),
        tcpPacket(client, web, { srcPort, dstPort: 80, flags: 'A', seq: 101, ack: 501 }),
      );
    }
    const records = recordsOf(f.memory.flows);
    const days = 4 * 86_400_000;
    for (let at = hotWords; at < records.hot.length; at += hotWords) {
      records.hot[at + Hot.lastRefresh] = f.nowMs - Math.floor(random() * days);
    }
    const { memory, adopted } = adopt(records, policy(1, 'tcp'), f.nowMs);
    expect(adopted).toBe(40);
    const { hot, cold } = recordsOf(memory);
    const control = new Int32Array(memory.control);
    let flow = control[Control.head + FlowList.tcpEstablished]!;
    const ages: number[] = [];
    for (; flow !== 0; flow = cold[flow * coldWords + Cold.next]!) {
      ages.push(f.nowMs - hot[(flow << hotShift) + Hot.lastRefresh]!);
    }
    expect(ages).toHaveLength(40);
    ages.reduce((older, age) => {
      expect(age).toBeLessThan(older + 1024);
      return age;
    });
  });

  it('that are more than the table holds: the newest are adopted', () => {
    const f = new EngineFixture({ policy: policy(1, 'udp') });
    for (let port = 1; port <= 8; port++) {
      f.forward(udpPacket(client, web, port, 53));
      f.nowMs += 10;
    }
    const memory = newMemory(5);
    const after = adopt(recordsOf(f.memory.flows), policy(1, 'udp'), f.nowMs, { memory });
    expect(after).toMatchObject({ adopted: 5, refused: 3 });
    const ports = [...flowsOf(memory).keys()].map((key) => Number(key.split(' ')[2]) >>> 16);
    expect(ports.toSorted()).toEqual([4, 5, 6, 7, 8]);
  });
});

describe('flows that a policy forbids and spares', () => {
  const spare = (mode: number, drainUntilMs = 0): EngineFixture => {
    const f = withFlows();
    f.engine.setPolicy(policy(2, 'tcp'), mode, drainUntilMs);
    for (let round = 0; round < 3; round++) f.engine.tick(f.nowMs);
    expect(f.check().size).toBe(3);
    return f;
  };

  it('are spared on by the same policy: kept', () => {
    const f = spare(ReloadMode.keep);
    const spared = { mode: ReloadMode.keep, drainUntilMs: 0, epoch: 2 };
    const records = recordsOf(f.memory.flows);
    expect(adopt(records, policy(1, 'tcp'), f.nowMs, { spared })).toMatchObject({ adopted: 3 });
    expect(adopt(records, policy(1, 'tcp'), f.nowMs)).toMatchObject({ adopted: 1, cut: 2 });
  });

  it('are spared on by the same policy: until the deadline that they had', () => {
    const f = spare(ReloadMode.drain, 1_010_000);
    const spared = { mode: ReloadMode.drain, drainUntilMs: 1_010_000, epoch: 2 };
    const records = recordsOf(f.memory.flows);
    expect(adopt(records, policy(1, 'tcp'), 1_009_999, { spared })).toMatchObject({ adopted: 3 });
    expect(adopt(records, policy(1, 'tcp'), 1_010_000, { spared })).toMatchObject({ cut: 2 });
  });

  it('a flow that this very policy had admitted is not one of them', () => {
    const f = new EngineFixture({ policy: policy(1, ...all) });
    f.forward(udpPacket(client, web, 5000, 53));
    const spared = { mode: ReloadMode.keep, drainUntilMs: 0, epoch: 1 };
    const records = recordsOf(f.memory.flows);
    // Damage: the policy of epoch 1 would not have admitted this.
    expect(adopt(records, policy(1, 'tcp'), f.nowMs, { spared })).toMatchObject({ cut: 1 });
  });
});

/** No flow in a table that a naive evaluator of the policy would not admit. */
function mustBeAllowed(memory: FlowMemory, index: number): void {
  const hot = new Int32Array(memory.hot);
  for (const flow of checkFlowTable(memory)) {
    const record = flow << hotShift;
    const [src, dst, ports, kind] = hot.subarray(record, record + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    expect(naivelyAllowed(index, kind & 0xff, src, dst, ports & 0xffff)).toBe(true);
  }
}

describe('memory that cannot be trusted', () => {
  const busy = (): EngineFixture => {
    const random = seededRandom();
    const f = new EngineFixture({ policy: new Matcher(policyWords(0, 1)) });
    const conversations = Array.from({ length: 60 }, () => newConversation(random));
    for (const of of [...conversations, ...conversations, ...conversations]) {
      const packets = of.next(random).slice(0, 40);
      if (packets.length > 0) f.forward(...packets);
    }
    expect(f.check().size).toBeGreaterThan(20);
    return f;
  };

  it('a thousand files with flipped bits or cut off: adopted in part, never against the policy', () => {
    const f = busy();
    const whole = recordsOf(f.memory.flows);
    const used = new Int32Array(f.memory.flows.control)[2]!;
    let refused = 0;
    const damage = fc.record({
      flips: fc.array(fc.tuple(fc.boolean(), fc.nat(used * hotWords - 1), fc.nat(31)), {
        maxLength: 200,
      }),
      cutHot: fc.option(fc.nat(used * hotWords), { freq: 3 }),
      cutCold: fc.option(fc.nat(used * coldWords), { freq: 3 }),
      by: fc.nat(policyCount - 1),
    });
    fc.assert(
      fc.property(damage, ({ flips, cutHot, cutCold, by }) => {
        const hot = whole.hot.slice(0, cutHot ?? undefined);
        const cold = whole.cold.slice(0, cutCold ?? undefined);
        for (const [inHot, word, bit] of flips) {
          const part = inHot ? hot : cold;
          if (word < part.length) part[word]! ^= 1 << bit;
        }
        const after = adopt({ hot, cold }, new Matcher(policyWords(by, 1)), f.nowMs);
        refused += after.refused;
        mustBeAllowed(after.memory, by);
      }),
      { numRuns: 1000, seed },
    );
    expect(refused).toBeGreaterThan(1000);
  });

  it('a record twice is one flow', () => {
    const f = withFlows();
    const { hot, cold } = recordsOf(f.memory.flows);
    hot.copyWithin(4 * hotWords, hotWords, 4 * hotWords);
    cold.copyWithin(4 * coldWords, coldWords, 4 * coldWords);
    expect(adopt({ hot, cold }, policy(1, ...all), f.nowMs)).toMatchObject({
      adopted: 3,
      refused: 3,
    });
  });

  it('of a process killed at any write of insert, remove, refresh or sweep', async () => {
    const build = await loadGuardedBuild();
    const runner = new CaseRunner(build);
    const random = seededRandom();
    let killed = 0;
    let adopted = 0;
    for (let round = 0; round < 150; round++) {
      build.runtime.killAfter(500 + Math.floor(random() * 4000));
      try {
        runner.run(newCase(random));
      } catch (error) {
        if (!(error instanceof FuzzFailure) || !(error.cause instanceof build.runtime.Killed)) {
          throw error;
        }
        killed++;
      } finally {
        build.runtime.killAfter(Infinity);
      }
      const by = Math.floor(random() * policyCount);
      const memory = newMemory(runner.flows!.capacity);
      const records = recordsOf(runner.flows!);
      adopted += adopt(records, new Matcher(policyWords(by, 1)), runner.nowMs, { memory }).adopted;
      mustBeAllowed(memory, by);
    }
    expect(killed).toBeGreaterThan(50);
    expect(adopted).toBeGreaterThan(50);
  });

  it.each([
    ['no state', Hot.state, StateBits.inUse | (1 << StateBits.directionShift)],
    ['a source that no host has', Hot.originalAddr, 0x7f000001],
    ['another protocol than its state', Hot.kind, 17],
    ['a protocol that nobody speaks', Hot.kind, 99],
    ['a scale larger than any', Hot.tcp, 15],
  ])('a record with %s is refused', (_what, word, value) => {
    const f = new EngineFixture({ policy: policy(1, 'tcp') });
    f.forward(tcpPacket(client, web, { srcPort: 4000, dstPort: 80, flags: 'S', seq: 100 }));
    const records = recordsOf(f.memory.flows);
    records.hot[hotWords + word] = value;
    expect(adopt(records, policy(1, 'tcp'), f.nowMs)).toMatchObject({ adopted: 0, refused: 1 });
  });

  it('a state and a list that do not fit: the list is that of the state', () => {
    const f = withFlows();
    const records = recordsOf(f.memory.flows);
    const at = hotWords + Hot.state;
    expect(records.hot[at]! & StateBits.stateMask).toBe(FlowState.established);
    records.hot[at] = (records.hot[at]! & ~StateBits.stateMask) | FlowState.lastAck;
    expect(adopt(records, policy(1, 'tcp'), f.nowMs + 29_999)).toMatchObject({ expired: 0 });
    expect(adopt(records, policy(1, 'tcp'), f.nowMs + 30_000)).toMatchObject({ expired: 3 });
  });
});

describe('another record layout', () => {
  /** Fields in another order, some in the other part, and words that this program does not know. */
  const other: RecordLayout = {
    id: recordLayout + 1,
    readableFrom: recordLayout,
    hot: {
      words: 20,
      fields: Object.fromEntries(
        [...Object.entries(Hot)]
          .filter(([name]) => name !== 'maxWindow')
          .map(([name, at]) => [name, 19 - at - (['end', 'maxEnd'].includes(name) ? 1 : 0)]),
      ),
    },
    cold: {
      words: 19,
      fields: {
        ...Object.fromEntries(Object.entries(Cold).map(([name, at]) => [name, at + 1])),
        maxWindow: 17,
        isNew: 0,
      },
    },
  };

  /** The records as a program with that layout would have written them. */
  function written(records: Records, layout: RecordLayout): Records {
    const count = records.hot.length / hotWords;
    const hot = new Int32Array(count * layout.hot.words).fill(-7);
    const cold = new Int32Array(count * layout.cold.words).fill(-7);
    const wide = ['end', 'maxEnd', 'maxWindow', 'maxAck', 'packets', 'bytes'];
    for (const [fields, from, words] of [
      [Hot, records.hot, hotWords],
      [Cold, records.cold, coldWords],
    ] as const) {
      for (const [name, at] of Object.entries(fields)) {
        const toHot = name in layout.hot.fields && from === records.hot;
        const part = toHot ? layout.hot : layout.cold;
        const to = toHot ? hot : cold;
        for (let i = 0; i < count; i++) {
          for (let word = 0; word < (wide.includes(name) ? 2 : 1); word++) {
            to[i * part.words + part.fields[name]! + word] = from[i * words + at + word]!;
          }
        }
      }
    }
    return { hot, cold };
  }

  it('is read: forwards and back again nothing of a flow changes', () => {
    const f = withFlows();
    const records = recordsOf(f.memory.flows);
    expect(isReadable(other)).toBe(true);
    const back = arrange(written(records, other), other);
    const after = adopt(back, policy(1, ...all), f.nowMs);
    expect(after).toMatchObject({ adopted: 3, refused: 0 });
    expect(flowsOf(after.memory)).toEqual(flowsOf(f.memory.flows));
  });

  it('the one before is read: it has no rules, and so the review finds them', () => {
    const f = withFlows();
    const fields = Object.fromEntries(Object.entries(Cold).filter(([, word]) => word < 14));
    const before: RecordLayout = {
      ...ownLayout,
      id: recordLayout - 1,
      cold: { words: 14, fields },
    };
    expect(isReadable(before)).toBe(true);
    const { hot, cold } = recordsOf(f.memory.flows);
    const count = hot.length / hotWords;
    const old = new Int32Array(count * 14);
    for (let i = 0; i < count; i++) {
      old.set(cold.subarray(i * coldWords, i * coldWords + 14), i * 14);
    }
    const after = adopt(arrange({ hot, cold: old }, before), policy(1, ...all), f.nowMs);
    expect(after).toMatchObject({ adopted: 3, refused: 0 });
    expect(flowsOf(after.memory)).toEqual(flowsOf(f.memory.flows));
  });

  it('its own is not copied', () => {
    const records = recordsOf(withFlows().memory.flows);
    expect(arrange(records, ownLayout)).toBe(records);
  });

  it.each<[string, RecordLayout]>([
    ['a later one that means something else', { ...other, readableFrom: recordLayout + 1 }],
    ['one without a number', { ...ownLayout, id: 0 }],
    ['one that lacks a field', { ...ownLayout, cold: { ...ownLayout.cold, fields: {} } }],
    [
      'one with a field outside of its record',
      { ...ownLayout, hot: { ...ownLayout.hot, words: hotWords - 1 } },
    ],
    ['one with an enormous record', { ...ownLayout, hot: { ...ownLayout.hot, words: 1e9 } }],
  ])('%s is refused', (_what, layout) => {
    expect(isReadable(layout)).toBe(false);
  });
});
