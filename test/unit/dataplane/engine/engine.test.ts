/** Whole packets through the engine: UDP, ICMP queries and errors, policy and its changes, several engines on one table. */
import { describe, expect, it } from 'vitest';
import { Counter, trafficIndex } from '../../../../src/dataplane/engine/counters.ts';
import { EvictionClass } from '../../../../src/dataplane/flow/flow-lists.ts';
import { Control } from '../../../../src/dataplane/flow/flow-memory.ts';
import { Direction, FlowState } from '../../../../src/dataplane/flow/flow-record.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import {
  icmpMessage,
  icmpQuery,
  ipv4Packet,
  tcpPacket,
  udpPacket,
} from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';

const client = '198.51.100.2';
const router = '203.0.113.9';
const web = '10.0.0.2';
const db = '10.0.1.2';

const policy = (epoch = 1) =>
  policyOf(
    {
      web: {
        inbound: [
          { protocol: 'tcp', ports: [80, 443] },
          { protocol: 'udp', ports: [53] },
          { protocol: 'icmp' },
        ],
        outbound: [{ protocol: 'tcp', ports: [5432] }],
      },
      db: { inbound: [{ protocol: 'tcp', ports: [5432], sources: [web] }], outbound: [] },
    },
    [
      { name: 'web', addresses: [web], templates: ['web'] },
      { name: 'db', addresses: [db], templates: ['db'] },
    ],
    epoch,
  );

const fixture = () => new EngineFixture({ policy: policy() });

describe('policy', () => {
  it.each<[string, Uint8Array, string]>([
    ['an allowed port', tcpPacket(client, web, { srcPort: 1, dstPort: 443, flags: 'S' }), 'pass'],
    [
      'a forbidden port',
      tcpPacket(client, web, { srcPort: 1, dstPort: 22, flags: 'S' }),
      'no-inbound-rule',
    ],
    ['outwards without a rule', udpPacket(web, client, 1, 53), 'no-outbound-rule'],
    [
      'from server to server, both allow',
      tcpPacket(web, db, { srcPort: 1, dstPort: 5432, flags: 'S' }),
      'pass',
    ],
    [
      'from server to server, one does not',
      tcpPacket(db, web, { srcPort: 1, dstPort: 443, flags: 'S' }),
      'no-outbound-rule',
    ],
    [
      'from outside to the other server',
      tcpPacket(client, db, { srcPort: 1, dstPort: 5432, flags: 'S' }),
      'no-inbound-rule',
    ],
    ['no server concerned', udpPacket(client, router, 1, 53), 'no-server'],
  ])('%s', (_name, packet, expected) => {
    expect(fixture().judge(packet)).toBe(expected);
  });

  it('counts by direction, protocol and verdict', () => {
    const f = fixture();
    f.forward(
      udpPacket(client, web, 1, 53),
      udpPacket(web, client, 53, 1),
      udpPacket(client, web, 1, 54),
      tcpPacket(web, db, { srcPort: 1, dstPort: 5432, flags: 'S' }),
    );
    const packets = (direction: number, protocol: number, verdict: number): number =>
      f.counter(Counter.packets + trafficIndex(direction, protocol, verdict));
    expect(packets(Direction.inbound, 17, 1)).toBe(1);
    expect(packets(Direction.outbound, 17, 1)).toBe(1);
    expect(packets(Direction.inbound, 17, 0)).toBe(1);
    expect(packets(Direction.internal, 6, 1)).toBe(1);
    expect(f.counter(Counter.drops + DropReason.noInboundRule)).toBe(1);
  });
});

/** UDP flows by state. */
function udpFlows(f: EngineFixture): Record<string, number> {
  const { control } = f.engine.table;
  const count = (state: number): number => control[Control.stateCount + state]!;
  return {
    unanswered: count(FlowState.udpUnanswered),
    answered: count(FlowState.udpAnswered),
    stream: count(FlowState.udpStream),
  };
}

describe('UDP', () => {
  it('answers need no rule; a stranger does', () => {
    const f = fixture();
    expect(f.judge(udpPacket(client, web, 4000, 53))).toBe('pass');
    expect(f.judge(udpPacket(web, client, 53, 4000))).toBe('pass');
    expect(f.judge(udpPacket(web, client, 53, 4001))).toBe('no-outbound-rule');
  });

  it('lasts 30 s until it is a stream, then 120 s', () => {
    const f = fixture();
    f.forward(udpPacket(client, web, 4000, 53), udpPacket(web, client, 53, 4000));
    f.nowMs += 29_999;
    expect(f.judge(udpPacket(web, client, 53, 4000))).toBe('pass');
    f.nowMs += 119_999;
    expect(f.judge(udpPacket(web, client, 53, 4000))).toBe('pass');
    f.nowMs += 120_000;
    expect(f.judge(udpPacket(web, client, 53, 4000))).toBe('no-outbound-rule');
  });

  it('stays a stream when its age in ms is beyond 2^31', () => {
    const f = new EngineFixture({ policy: policy(), timeouts: { udpStream: 20 * 86_400 } });
    f.forward(udpPacket(client, web, 4000, 53), udpPacket(web, client, 53, 4000));
    f.nowMs += 2001;
    f.forward(udpPacket(client, web, 4000, 53));
    for (let halves = 0; halves < 2; halves++) {
      f.nowMs += 15 * 86_400_000;
      expect(f.judge(udpPacket(web, client, 53, 4000))).toBe('pass');
      expect(udpFlows(f)).toEqual({ unanswered: 0, answered: 0, stream: 1 });
    }
  });
});

describe('ICMP', () => {
  it('replies match requests by identifier and type', () => {
    const f = fixture();
    expect(f.judge(icmpQuery(web, client, 0, 7))).toBe('icmp-type');
    expect(f.judge(icmpQuery(client, web, 8, 7))).toBe('pass');
    expect(f.judge(icmpQuery(web, client, 0, 8))).toBe('icmp-type');
    expect(f.judge(icmpQuery(web, client, 14, 7))).toBe('icmp-type');
    // A request the other way is a conversation of its own, for the rules to decide.
    expect(f.judge(icmpQuery(web, client, 8, 7))).toBe('no-outbound-rule');
    expect(f.judge(icmpQuery(web, client, 0, 7))).toBe('pass');
  });

  it.each([1, 2, 4, 9, 10, 19, 40])('type %i passes never', (type) => {
    expect(fixture().judge(icmpQuery(client, web, type, 1))).toBe('icmp-type');
  });

  it('redirects pass never', () => {
    const f = fixture();
    const sent = udpPacket(client, web, 4000, 53);
    f.judge(sent);
    const redirect = icmpMessage(5, 1, 0, sent.slice(0, 28));
    expect(f.judge(ipv4Packet({ src: router, dst: client, protocol: 1, payload: redirect }))).toBe(
      'icmp-redirect',
    );
  });
});

describe('ICMP errors', () => {
  const error = (
    src: string,
    dst: string,
    type: number,
    code: number,
    quoted: Uint8Array,
    bytes = 28,
  ): Uint8Array =>
    ipv4Packet({
      src,
      dst,
      protocol: 1,
      payload: icmpMessage(type, code, 1400, quoted.slice(0, bytes)),
    });
  const syn = tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S', seq: 100 });
  const synAck = tcpPacket(web, client, {
    srcPort: 443,
    dstPort: 4000,
    flags: 'SA',
    seq: 300,
    ack: 101,
  });
  const data = (seq: number): Uint8Array =>
    tcpPacket(web, client, {
      srcPort: 443,
      dstPort: 4000,
      flags: 'A',
      seq,
      ack: 101,
      payload: new Uint8Array(1000),
    });

  it('pass in both directions, from any router, if they quote a live flow', () => {
    const f = fixture();
    f.forward(syn, synAck);
    expect(f.judge(error(router, client, 3, 4, syn))).toBe('pass');
    expect(f.judge(error(web, client, 3, 3, syn))).toBe('pass');
    expect(f.judge(error(router, client, 11, 0, syn))).toBe('pass');
    expect(f.judge(error(router, client, 12, 0, syn))).toBe('pass');
    expect(f.judge(error(router, web, 3, 4, synAck))).toBe('pass');
    expect(f.judge(error(router, web, 3, 4, synAck, 40))).toBe('pass');
  });

  it('go only to the end that sent the quoted packet', () => {
    const f = fixture();
    f.forward(syn, synAck);
    expect(f.judge(error(router, web, 3, 4, syn))).toBe('icmp-error');
    expect(f.judge(error(router, db, 3, 4, synAck))).toBe('icmp-error');
  });

  it('must quote a sequence number that was sent', () => {
    const f = fixture();
    f.forward(
      syn,
      synAck,
      tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'A', seq: 101, ack: 301 }),
    );
    f.forward(data(301));
    expect(f.judge(error(router, web, 3, 4, data(301)))).toBe('pass');
    expect(f.judge(error(router, web, 3, 4, data(1301)))).toBe('pass');
    expect(f.judge(error(router, web, 3, 4, data(1302)))).toBe('icmp-error');
    expect(f.judge(error(router, web, 3, 4, data(301 - 140_000)))).toBe('icmp-error');
  });

  it('may quote any sequence number of a connection that was picked up: its scaled windows are not known', () => {
    const f = new EngineFixture({ policy: policy(), loose: true });
    const ack = (seq: number): Uint8Array =>
      tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'A', seq, ack: 301 });
    f.forward(ack(101), data(301), ack(101));
    expect(f.judge(data(1_000_301))).toBe('pass');
    expect(f.judge(error(router, web, 3, 4, data(1_000_301)))).toBe('pass');
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['27 bytes', syn.slice(0, 27)],
    ['a later fragment', syn.map((value, at) => (at === 7 ? 1 : value))],
    ['IPv6', syn.map((value, at) => (at === 0 ? 0x65 : value))],
    ['options that are cut off', syn.map((value, at) => (at === 0 ? 0x46 : value)).slice(0, 28)],
    ['another port', tcpPacket(client, web, { srcPort: 4001, dstPort: 443, flags: 'S', seq: 100 })],
    ['GRE', syn.map((value, at) => (at === 9 ? 47 : value))],
    [
      'an ICMP error',
      ipv4Packet({ src: client, dst: web, protocol: 1, payload: icmpMessage(3, 3, 0, syn) }),
    ],
  ])('are dropped when they quote %s', (_name, quoted) => {
    const f = fixture();
    f.forward(syn, synAck);
    expect(f.judge(error(router, client, 3, 3, quoted, quoted.length))).toBe('icmp-error');
  });

  it('quote UDP and ping as well, and refresh nothing', () => {
    const f = fixture();
    const query = udpPacket(client, web, 4000, 53);
    const ping = icmpQuery(client, web, 8, 7);
    f.forward(query, ping);
    f.nowMs += 29_000;
    expect(f.judge(error(web, client, 3, 3, query))).toBe('pass');
    expect(f.judge(error(router, client, 11, 0, ping))).toBe('pass');
    f.nowMs += 1000;
    expect(f.judge(error(web, client, 3, 3, query))).toBe('icmp-error');
  });
});

it('several engines share one table: a flow opened by one is known to the other', () => {
  const first = fixture();
  const second = new EngineFixture({ policy: policy() }, first);
  expect(first.judge(udpPacket(client, web, 4000, 53))).toBe('pass');
  expect(second.judge(udpPacket(web, client, 53, 4000))).toBe('pass');
  first.check();
});

describe('the share of a server', () => {
  const other = '10.0.2.2';
  const open = (epoch = 1) =>
    policyOf(
      { open: { inbound: [{ protocol: 'all' }], outbound: [{ protocol: 'all' }] } },
      [web, db, other].map((address) => ({
        name: address,
        addresses: [address],
        templates: ['open'],
      })),
      epoch,
    );
  /** Fills a share of 4 with streams from `src` to `dst`: nothing of it can be given up. */
  const filled = (src: string, dst: string): EngineFixture => {
    const f = new EngineFixture({ policy: open(), capacity: 64, serverShare: 4 });
    for (let turn = 0; turn < 2; turn++) {
      for (let port = 1; port <= 4; port++) {
        f.forward(udpPacket(src, dst, port, 53), udpPacket(dst, src, 53, port));
      }
      f.nowMs += 2001;
    }
    return f;
  };

  it.each<[string, EngineFixture, Uint8Array, string]>([
    ['flows from outside', filled(client, web), udpPacket(router, web, 1, 53), 'server-share'],
    ['and its own', filled(client, web), udpPacket(web, router, 1, 53), 'server-share'],
    ['not those of others', filled(client, web), udpPacket(client, db, 9, 53), 'pass'],
    ['flows that it opens', filled(web, client), udpPacket(web, client, 9, 53), 'server-share'],
    ['also to servers', filled(web, db), udpPacket(web, other, 1, 53), 'server-share'],
    ['not flows from a server', filled(web, db), udpPacket(client, db, 1, 53), 'pass'],
    ['not even while it is flooded by one', filled(web, db), udpPacket(db, client, 1, 53), 'pass'],
  ])('counts %s', (_what, f, packet, expected) => {
    expect(f.judge(packet)).toBe(expected);
    f.check();
  });
});

it('gives up unanswered connections picked up in mid-stream, like half-open ones', () => {
  const f = new EngineFixture({ policy: policy(), capacity: 8, loose: true });
  const ack = (srcPort: number): Uint8Array =>
    tcpPacket(client, web, { srcPort, dstPort: 443, flags: 'A', seq: 1000, ack: 500 });
  const answer = tcpPacket(web, client, {
    srcPort: 443,
    dstPort: 1,
    flags: 'A',
    seq: 500,
    ack: 1000,
  });
  f.forward(ack(1), answer, ack(1));
  for (let port = 2; port <= 40; port++) expect(f.judge(ack(port))).toBe('pass');
  expect(f.judge(answer)).toBe('pass');
  expect(f.counter(Counter.evictions + 1 + EvictionClass.unanswered)).toBe(32);
  f.check();
});

it('refuses new flows when the table is full of conversations', () => {
  const rules = policy();
  const f = new EngineFixture({ policy: rules, capacity: 8 });
  for (let port = 1; port <= 8; port++) {
    f.forward(udpPacket(client, web, port, 53), udpPacket(web, client, 53, port));
  }
  f.nowMs += 2001;
  for (let port = 1; port <= 8; port++) f.forward(udpPacket(client, web, port, 53));
  // What is refused has opened no flow, and hit no rule.
  const counts = (): number[] => [f.counter(Counter.flowsOpened), ...rules.hits.counts];
  const before = counts();
  expect(before.filter((count) => count > 0)).toEqual([8, 8]);
  expect(f.judge(udpPacket(client, web, 9, 53))).toBe('table-full');
  expect(counts()).toEqual(before);
  f.check();
});
