/**
 * Judges packets of every kind and prints, per packet, how many bytes were allocated, and how many of them are still held.
 *
 * Run with --expose-gc, and with new space so large (--max-semi-space-size) that nothing is collected while it measures:
 * then the growth of the used heap is all that was allocated, also what is garbage at once.
 *
 * The batches are built once; between two measurements only the engine runs.
 */
import { EngineFixture } from './engine-fixture.ts';
import {
  icmpMessage,
  icmpQuery,
  ipv4Packet,
  tcpPacket,
  udpPacket,
  udpDatagram,
} from '../../src/testing/packets.ts';
import { inboundPolicy } from './policies.ts';

const client = '198.51.100.2';
const server = '10.0.0.2';
const packets = Number(process.argv[2]);

// What lacks a rule is answered, and sometimes more often than the limits allow.
const reject = { outbound: true, perSecond: 20_000, perSourcePerSecond: 2000 };
const fixture = new EngineFixture({ policy: inboundPolicy(1, reject), capacity: 4096 });
const fragmented = udpDatagram(client, server, 9, 9, new Uint8Array(2000));
const fragment = (from: number, to: number, more: boolean): Uint8Array =>
  ipv4Packet({
    src: client,
    dst: server,
    protocol: 17,
    identification: 7,
    fragmentOffset: from,
    moreFragments: more,
    payload: fragmented.subarray(from, to),
  });
const quoted = udpPacket(server, client, 53, 1000).subarray(0, 28);
const kinds = [
  tcpPacket(client, server, { srcPort: 4000, dstPort: 80, flags: 'S', seq: 1 }),
  tcpPacket(server, client, { srcPort: 80, dstPort: 4000, flags: 'SA', seq: 1, ack: 2 }),
  tcpPacket(client, server, { srcPort: 4000, dstPort: 80, flags: 'A', seq: 2, ack: 2 }),
  tcpPacket(client, server, { srcPort: 4001, dstPort: 80, flags: 'A', seq: 2, ack: 2 }),
  udpPacket(client, server, 1000, 53),
  udpPacket(server, client, 53, 1000),
  udpPacket(server, client, 1, 2),
  icmpQuery(client, server, 8, 1),
  icmpQuery(server, client, 0, 1),
  ipv4Packet({ src: client, dst: server, protocol: 1, payload: icmpMessage(3, 4, 1400, quoted) }),
  ipv4Packet({ src: client, dst: server, protocol: 132, payload: new Uint8Array(20) }),
  fragment(0, 1400, true),
  fragment(1400, 2008, false),
  new Uint8Array(20),
];
// New flows as well: a range of source ports in turn, more of them than the table holds.
const batches = Array.from({ length: 256 }, (_, batch) => [
  ...kinds,
  ...Array.from({ length: 50 }, (_, i) => udpPacket(client, server, 2000 + batch * 50 + i, 99)),
]);

const { batch, engine } = fixture;

// Every batch is laid out once in memory of its own, so that measuring copies bytes and does nothing else.
const laidOut = batches.map((each) => {
  const count = batch.fill(each);
  return {
    count,
    bytes: batch.bytes.slice(0, 65_536),
    offsets: batch.offsets.slice(0, count),
    lengths: batch.lengths.slice(0, count),
  };
});

function judge(total: number): void {
  let judged = 0;
  for (let turn = 0; judged < total; turn++) {
    const next = laidOut[turn % laidOut.length]!;
    batch.bytes.set(next.bytes);
    batch.offsets.set(next.offsets);
    batch.lengths.set(next.lengths);
    engine.judge(next.count, (fixture.nowMs += 1));
    if (turn % 100 === 0) engine.tick(fixture.nowMs);
    judged += next.count;
  }
}

function collected(): number {
  for (let i = 0; i < 4; i++) globalThis.gc!();
  return process.memoryUsage().heapUsed;
}

judge(500_000);
const before = collected();
judge(packets);
const allocated = (process.memoryUsage().heapUsed - before) / packets;
const held = (collected() - before) / packets;
process.stdout.write(JSON.stringify({ allocated, held }));
