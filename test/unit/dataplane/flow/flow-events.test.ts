/** Every flow ends in one event, or is counted as lost; and the event has all that the flow has carried. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adoptFlows } from '../../../../src/dataplane/engine/adoption.ts';
import { Counter, trafficIndex } from '../../../../src/dataplane/engine/counters.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import {
  FlowEvent,
  FlowEventReader,
  FlowEventWriter,
  createFlowEvents,
} from '../../../../src/dataplane/flow/flow-events.ts';
import { createFlowMemory } from '../../../../src/dataplane/flow/flow-memory.ts';
import {
  Cold,
  Hot,
  coldWords,
  flowPackets,
  hotShift,
  hotWords,
} from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../../../src/dataplane/flow/flow-record.ts';
import type { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { icmpQuery, tcpPacket, udpPacket } from '../../../../src/testing/packets.ts';
import { EngineFixture, timeoutsMs } from '../../../support/engine-fixture.ts';
import { policyOf } from '../../../support/policies.ts';
import { seed } from '../../../support/seed.ts';

const web = '10.0.0.2';
const directions = [1, 2, 3];
const protocols = [1, 6, 17];

const policy = (epoch: number, ...allowed: ('tcp' | 'udp' | 'icmp')[]): Matcher =>
  policyOf(
    { web: { inbound: allowed.map((protocol) => ({ protocol })), outbound: [] } },
    [{ name: 'web', addresses: [web], templates: ['web'] }],
    epoch,
  );

/** What tells a flow from all others, as long as no two of a tuple begin in the same millisecond. */
const nameOf = (hot: Int32Array, record: number, cold: Int32Array, coldRecord: number): string =>
  [...hot.subarray(record, record + 4), cold[coldRecord + Cold.created]!].join();

type Step = { readonly what: number; readonly peer: number; readonly port: number };

class Subject {
  readonly fixture: EngineFixture;
  readonly reader: FlowEventReader;
  readonly told: Map<string, number> = new Map<string, number>();
  readonly live: Set<string> = new Set<string>();
  readonly seen: Set<string> = new Set<string>();
  toldPackets = 0;
  #epoch = 1;

  constructor(loggedEvents: number) {
    const options = { policy: policy(1, 'tcp', 'udp', 'icmp'), capacity: 16, loggedEvents };
    this.fixture = new EngineFixture({ ...options, serverShare: 12 });
    this.reader = new FlowEventReader(this.fixture.memory.flows.events!);
  }

  step({ what, peer, port }: Step): void {
    const { fixture } = this;
    const client = `198.51.100.${peer}`;
    const ports = { srcPort: 4000 + port, dstPort: 80 };
    const back = { srcPort: 80, dstPort: 4000 + port };
    const segments = [
      tcpPacket(client, web, { ...ports, seq: 100, flags: 'S' }),
      tcpPacket(web, client, { ...back, seq: 500, ack: 101, flags: 'SA' }),
      tcpPacket(client, web, { ...ports, seq: 101, ack: 501, flags: 'A' }),
      tcpPacket(client, web, { ...ports, seq: 101, ack: 501, flags: 'FA' }),
      tcpPacket(web, client, { ...back, seq: 501, ack: 102, flags: 'FA' }),
      tcpPacket(client, web, { ...ports, seq: 102, ack: 502, flags: 'A' }),
      tcpPacket(client, web, { ...ports, seq: 101, flags: 'R' }),
      tcpPacket(web, client, { ...back, seq: 0, ack: 101, flags: 'RA' }),
      udpPacket(client, web, 4000 + port, 53),
      udpPacket(web, client, 53, 4000 + port),
      icmpQuery(client, web, 8, port),
    ];
    const packet = segments[what];
    if (packet !== undefined) fixture.forward(packet);
    else this.#otherwise(what - segments.length, peer);
    fixture.nowMs++;
    this.#look();
  }

  #otherwise(what: number, peer: number): void {
    const { fixture } = this;
    const { engine } = fixture;
    if (what === 0) fixture.nowMs += peer * 20_000;
    if (what === 1) fixture.tickAll();
    if (what === 2) {
      const allowed = peer % 2 === 0 ? (['udp'] as const) : (['tcp', 'udp', 'icmp'] as const);
      engine.setPolicy(policy(++this.#epoch, ...allowed), ReloadMode.cut, 0);
    }
    if (what === 3) {
      const [flow] = fixture.check();
      if (flow !== undefined) {
        engine.table.end(flow as FlowIndex, DropReason.flowKilled, fixture.nowMs);
      }
    }
    if (what === 4) this.read();
  }

  /** Which flows there are. One that came and went within a step is in `told` only. */
  #look(): void {
    this.live.clear();
    const { hot, cold } = this.fixture.engine.table;
    for (const flow of this.fixture.check()) {
      const name = nameOf(hot, flow << hotShift, cold, flow * coldWords);
      this.live.add(name);
      this.seen.add(name);
    }
  }

  read(): void {
    const { reader, told } = this;
    while (reader.next()) {
      const { hot, cold, event } = reader;
      expect(event).toBeGreaterThan(FlowEvent.start);
      const name = nameOf(hot, 0, cold, 0);
      told.set(name, (told.get(name) ?? 0) + 1);
      this.toldPackets += flowPackets(cold, 0, 0) + flowPackets(cold, 0, 1);
    }
  }

  get passed(): number {
    let packets = 0;
    for (const direction of directions) {
      for (const protocol of protocols) {
        packets += this.fixture.counter(Counter.packets + trafficIndex(direction, protocol, 1));
      }
    }
    return packets;
  }

  get livePackets(): number {
    const { cold } = this.fixture.engine.table;
    return [...this.fixture.check()].reduce(
      (sum, flow) =>
        sum + flowPackets(cold, flow * coldWords, 0) + flowPackets(cold, flow * coldWords, 1),
      0,
    );
  }
}

const steps = fc.array(
  fc.record({ what: fc.nat(15), peer: fc.integer({ min: 1, max: 8 }), port: fc.nat(3) }),
  { minLength: 20, maxLength: 300 },
);

describe('flow events', () => {
  it('there is one for each flow that has ended, with all its packets', () => {
    fc.assert(
      fc.property(steps, (given) => {
        const subject = new Subject(512);
        for (const each of given) subject.step(each);
        subject.read();
        const { told, live, seen, fixture } = subject;
        expect(subject.reader.lost).toBe(0);
        expect([...told.values()].every((count) => count === 1)).toBe(true);
        expect([...told.keys()].filter((name) => live.has(name))).toEqual([]);
        expect([...seen].filter((name) => !live.has(name) && !told.has(name))).toEqual([]);
        expect(told.size + live.size).toBe(fixture.counter(Counter.flowsOpened));
        expect(subject.toldPackets + subject.livePackets).toBe(subject.passed);
      }),
      { seed, numRuns: 40 },
    );
  });

  it('those that find no room are counted', () => {
    fc.assert(
      fc.property(steps, (given) => {
        const subject = new Subject(4);
        for (const each of given) subject.step(each);
        subject.read();
        const ended = subject.told.size + subject.reader.lost;
        expect(ended + subject.live.size).toBe(subject.fixture.counter(Counter.flowsOpened));
      }),
      { seed, numRuns: 25 },
    );
  });

  it('flows of the process before go on, or end in an event of this one', () => {
    fc.assert(
      fc.property(steps, fc.nat(400_000), fc.boolean(), (given, laterMs, all) => {
        const subject = new Subject(512);
        for (const each of given) subject.step(each);
        const { hot, cold } = subject.fixture.memory.flows;
        const records = { hot: new Int32Array(hot), cold: new Int32Array(cold) };
        const memory = createFlowMemory(16, [5, 6], 64);
        const next = policy(1, ...(all ? (['tcp', 'udp', 'icmp'] as const) : (['udp'] as const)));
        const limits = { timeoutsMs: timeoutsMs(), serverShare: 16 };
        const nowMs = subject.fixture.nowMs + laterMs;
        const { adopted, refused } = adoptFlows(records, memory, limits, next, undefined, nowMs);
        const reader = new FlowEventReader(memory.events!);
        let ended = 0;
        while (reader.next()) {
          ended++;
          // Nothing of the process before means anything here.
          expect(reader.cold[Cold.inboundRule]).toBe(0);
          expect(reader.cold[Cold.servers]).toBe(0);
          expect(reader.hot[Hot.epoch]).toBe(0);
        }
        expect(refused).toBe(0);
        expect(adopted + ended).toBe(subject.live.size);
      }),
      { seed, numRuns: 25 },
    );
  });

  it('a ring hands over what was written, in order, past the point where its counts wrap', () => {
    const ring = createFlowEvents(4);
    const words = new Int32Array(ring);
    // Counts of a firewall that has run for long.
    words[0] = -3;
    words[16] = -3;
    const writer = new FlowEventWriter(ring);
    const reader = new FlowEventReader(ring);
    const hot = new Int32Array(2 * hotWords);
    const cold = new Int32Array(2 * coldWords);
    for (let turn = 0; turn < 10; turn++) {
      for (let i = 0; i < 3; i++) {
        hot.fill(turn * 10 + i, hotWords);
        cold.fill(-turn * 10 - i, coldWords);
        writer.write(FlowEvent.closed, hot, cold, 1, turn);
      }
      for (let i = 0; i < 3; i++) {
        expect(reader.next()).toBe(true);
        expect([reader.event, reader.timeMs]).toEqual([FlowEvent.closed, turn]);
        expect(reader.hot).toEqual(new Int32Array(hotWords).fill(turn * 10 + i));
        expect(reader.cold).toEqual(new Int32Array(coldWords).fill(-turn * 10 - i));
      }
      expect(reader.next()).toBe(false);
    }
    expect(reader.lost).toBe(0);
  });
});
