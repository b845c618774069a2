/** Flows in slots, with a kernel that is played here: what it carries reaches everything that asks for the flow. */
import { describe, expect, it } from 'vitest';
import { ConnectionWord } from '../../../../src/dataplane/engine/answer-memory.ts';
import { CutConnections } from '../../../../src/dataplane/engine/cut-connections.ts';
import { Counter } from '../../../../src/dataplane/engine/counters.ts';
import {
  CarryControl,
  Owner,
  Slot,
  createCarryMemory,
  slotShift,
} from '../../../../src/dataplane/flow/carried-flows.ts';
import { noFlow } from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../../../src/dataplane/flow/flow-record.ts';
import { addressToInt, tcpPacket, udpPacket } from '../../../../src/testing/packets.ts';
import type { TcpFields } from '../../../../src/testing/packets.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { policyOf } from '../../../support/policies.ts';

const client = '198.51.100.2';
const server = '10.0.0.2';
const policy = policyOf(
  { open: { inbound: [{ protocol: 'all' }], outbound: [{ protocol: 'all' }] } },
  [{ name: 'web', addresses: [server], templates: ['open'] }],
);

/** An engine, and the kernel beside it. */
class Carrying extends EngineFixture {
  readonly slots: Int32Array;

  constructor(slotCount = 64, capacity = 64) {
    const slots = new SharedArrayBuffer(slotCount << (slotShift + 2));
    const control = new SharedArrayBuffer(32);
    new Int32Array(control)[CarryControl.hashShift] = 32 - Math.log2(slotCount / 4);
    const options = { policy, capacity };
    const memory = EngineFixture.memoryFor(options);
    const carry = createCarryMemory(slots, control, capacity);
    super(options, { memory: { ...memory, flows: { ...memory.flows, carry } } });
    this.slots = new Int32Array(slots);
  }

  connect(port: number): FlowIndex {
    const send = (fromClient: boolean, fields: Omit<TcpFields, 'srcPort' | 'dstPort'>): string =>
      fromClient
        ? this.judge(tcpPacket(client, server, { srcPort: port, dstPort: 443, ...fields }))
        : this.judge(tcpPacket(server, client, { srcPort: 443, dstPort: port, ...fields }));
    send(true, { flags: 'S', seq: 100, ack: 0 });
    send(false, { flags: 'SA', seq: 300, ack: 101 });
    expect(send(true, { flags: 'A', seq: 101, ack: 301 })).toBe('pass');
    return this.find(6, port, 443);
  }

  answered(port: number): FlowIndex {
    this.judge(udpPacket(client, server, port, 53));
    expect(this.judge(udpPacket(server, client, 53, port))).toBe('pass');
    return this.find(17, port, 53);
  }

  find(protocol: number, from: number, to: number): FlowIndex {
    const [source, destination] = [addressToInt(client), addressToInt(server)];
    return this.engine.table.lookup(protocol, source, from, destination, to, this.nowMs);
  }

  /** Where the slot of a flow begins; -1: it is not carried. */
  slotOf(flow: FlowIndex): number {
    for (let at = 0; at < this.slots.length; at += 1 << slotShift) {
      if (this.slots[at] === Owner.carried && this.slots[at + Slot.flow] === flow) return at;
    }
    return -1;
  }

  /** The kernel carries packets of a flow from its client. @param data that they bring forward */
  carry(flow: FlowIndex, packets: number, data = 0): void {
    const at = this.slotOf(flow);
    expect(at).toBeGreaterThanOrEqual(0);
    const words = this.slots;
    words[at + Slot.packets] = (words[at + Slot.packets]! + packets) | 0;
    words[at + Slot.bytes] = (words[at + Slot.bytes]! + packets * 40 + data) | 0;
    words[at + Slot.seenMs] = this.nowMs;
    // Hot.end lies behind Hot.tcp.
    if (data > 0) words[at + Slot.tcp + 1] = (words[at + Slot.tcp + 1]! + data) | 0;
  }

  wait(seconds: number): void {
    for (let tick = 0; tick < seconds * 10; tick++) {
      this.nowMs += 100;
      this.engine.tick(this.nowMs);
    }
  }
}

describe('a flow that the kernel carries', () => {
  it('is noted within a second, as carried and as judged', () => {
    const fixture = new Carrying();
    const flow = fixture.answered(5000);
    fixture.carry(flow, 7);
    fixture.wait(1);
    expect(fixture.counter(Counter.carriedPackets)).toBe(7);
    expect(fixture.slotOf(flow)).toBeGreaterThanOrEqual(0);
    fixture.check();
  });

  it('lives from the last packet that was carried on', () => {
    const fixture = new Carrying();
    const flow = fixture.answered(5000);
    // Both ends have said something for more than two seconds: a stream, which lives for two minutes.
    fixture.wait(3);
    for (let times = 0; times < 4; times++) {
      fixture.carry(flow, 1);
      fixture.wait(100);
    }
    expect(fixture.find(17, 5000, 53)).toBe(flow);
    fixture.wait(130);
    expect(fixture.find(17, 5000, 53)).toBe(noFlow);
    fixture.check();
  });

  it('is in use for a table that is full: idle ones are evicted before it', () => {
    const fixture = new Carrying(64, 8);
    const flows = Array.from({ length: 8 }, (_, n) => fixture.connect(1000 + n));
    fixture.wait(50);
    fixture.carry(flows[0]!, 1);
    fixture.wait(30);
    // The seven others have been idle for more than a minute. The eighth new one finds nobody to evict but itself.
    for (let n = 0; n < 8; n++) {
      fixture.judge(tcpPacket(client, server, { srcPort: 2000 + n, dstPort: 443, flags: 'S' }));
    }
    expect(fixture.find(6, 1000, 443)).toBe(flows[0]);
    fixture.check();
  });

  it('tells its ends where they are when it is cut', () => {
    const fixture = new Carrying();
    const flow = fixture.connect(1000);
    fixture.carry(flow, 3, 1000);
    const cut = new CutConnections(fixture.memory.answers!);
    expect(cut.note(fixture.engine.table, flow)).toBe(true);
    const at = cut.take();
    expect(cut.words[at + ConnectionWord.end]).toBe(101 + 1000);
    expect(fixture.slotOf(flow)).toBe(-1);
  });

  it('gives its slot to another one of its set after a second without a packet, and not before', () => {
    const fixture = new Carrying(8);
    const ports = Array.from({ length: 60 }, (_, n) => 1 + n);
    const flows = ports.map((port) => fixture.answered(port));
    const carried = flows.filter((flow) => fixture.slotOf(flow) >= 0);
    expect(carried).toHaveLength(8);
    // The others ask again, also those of its set.
    const askAgain = (): void => {
      ports.forEach((port, n) => {
        if (!carried.includes(flows[n]!)) fixture.answered(port);
      });
    };
    const [idle, ...busy] = carried;
    fixture.wait(0.5);
    for (const flow of busy) fixture.carry(flow, 1);
    askAgain();
    expect(carried.every((flow) => fixture.slotOf(flow) >= 0)).toBe(true);
    const slot = fixture.slotOf(idle!);
    fixture.wait(0.6);
    askAgain();
    expect(busy.every((flow) => fixture.slotOf(flow) >= 0)).toBe(true);
    expect(fixture.slotOf(idle!)).toBe(-1);
    expect(fixture.slots[slot]).toBe(Owner.carried);
    fixture.check();
  });
});
