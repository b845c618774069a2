/** What a policy change does to flows: it cuts, keeps or drains them; and the drop reasons after their end. */
import { describe, expect, it } from 'vitest';
import { Counter } from '../../../../src/dataplane/engine/counters.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { Control } from '../../../../src/dataplane/flow/flow-memory.ts';
import { Cold, coldWords, hotShift } from '../../../../src/dataplane/flow/flow-record.ts';
import type { FlowIndex } from '../../../../src/dataplane/flow/flow-record.ts';
import { flowTag } from '../../../../src/dataplane/worker/flow-inspector.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import {
  icmpMessage,
  icmpQuery,
  ipv4Packet,
  tcpPacket,
  udpPacket,
} from '../../../../src/testing/packets.ts';
import { observe } from '../../../support/observed.ts';
import { policyOf } from '../../../support/policies.ts';
import type { PlainRule } from '../../../support/policies.ts';

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

const bytesOf = (length: number): Uint8Array => new Uint8Array(length);

const fixture = () => new EngineFixture({ policy: policy() });

describe('a new policy', () => {
  const syn = tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S', seq: 1 });
  const query = udpPacket(client, web, 4000, 53);
  const answer = udpPacket(web, client, 53, 4000);
  const withoutDns = (epoch: number) =>
    policyOf(
      { web: { inbound: [{ protocol: 'tcp', ports: [443] }], outbound: [] } },
      [{ name: 'web', addresses: [web], templates: ['web'] }],
      epoch,
    );

  it('cuts what it forbids on the next packet, in either direction, and leaves the rest', () => {
    const f = fixture();
    f.forward(syn, query);
    f.engine.setPolicy(withoutDns(2), ReloadMode.cut, 0);
    expect(f.judge(answer)).toBe('policy-cut');
    expect(f.judge(query)).toBe('no-inbound-rule');
    expect(
      f.judge(tcpPacket(web, client, { srcPort: 443, dstPort: 4000, flags: 'SA', seq: 9, ack: 2 })),
    ).toBe('pass');
    expect(f.counter(Counter.flowsCut)).toBe(1);
    f.check();
  });

  it('cuts idle flows in the background', () => {
    const f = fixture();
    f.forward(syn, query);
    f.engine.setPolicy(withoutDns(2), ReloadMode.cut, 0);
    expect(f.check().size).toBe(2);
    f.engine.tick(f.nowMs);
    expect(f.check().size).toBe(1);
    expect(f.counter(Counter.flowsCut)).toBe(1);
  });

  it('keeps them if it is asked to', () => {
    const f = fixture();
    f.forward(syn, query);
    f.engine.setPolicy(withoutDns(2), ReloadMode.keep, 0);
    f.engine.tick(f.nowMs);
    expect(f.judge(answer)).toBe('pass');
    expect(f.judge(udpPacket(client, web, 4001, 53))).toBe('no-inbound-rule');
  });

  it('drains them if it is asked to', () => {
    const f = fixture();
    f.forward(query, udpPacket(client, web, 4001, 53));
    f.engine.setPolicy(withoutDns(2), ReloadMode.drain, f.nowMs + 10_000);
    f.engine.tick(f.nowMs);
    f.nowMs += 9999;
    expect(f.judge(answer)).toBe('pass');
    f.nowMs += 1;
    expect(f.judge(answer)).toBe('policy-cut');
    f.engine.tick(f.nowMs);
    expect(f.check().size).toBe(0);
    expect(f.counter(Counter.flowsCut)).toBe(2);
  });

  it('drains all of them, also when the deadline passes in the middle of the sweep', () => {
    const f = new EngineFixture({ policy: policy(), capacity: 16_384 });
    for (let port = 1; port <= 10_000; port += 50) {
      f.forward(...Array.from({ length: 50 }, (_, i) => udpPacket(client, web, port + i, 53)));
    }
    f.engine.setPolicy(withoutDns(2), ReloadMode.drain, f.nowMs + 10_000);
    f.nowMs += 9999;
    f.engine.tick(f.nowMs);
    expect(f.check().size).toBe(10_000);
    f.nowMs += 1;
    for (let tick = 0; tick < 4; tick++) f.engine.tick(f.nowMs);
    expect(f.check().size).toBe(0);
    expect(f.engine.table.control[Control.sweepRemaining]).toBe(0);
  });

  it('a sweep that has nothing to drain ends before the deadline', () => {
    const f = fixture();
    f.forward(syn);
    f.engine.setPolicy(withoutDns(2), ReloadMode.drain, f.nowMs + 10_000);
    expect(f.engine.table.control[Control.sweepRemaining]).toBe(1);
    f.engine.tick(f.nowMs);
    expect(f.engine.table.control[Control.sweepRemaining]).toBe(0);
  });
});

describe('a flow that is kept although the new policy forbids it', () => {
  const segment = (flags: string, seq: number, ack = 0, length = 0): Uint8Array =>
    tcpPacket(client, web, {
      srcPort: 700,
      dstPort: 443,
      flags,
      seq,
      ack,
      payload: bytesOf(length),
    });
  const answer = (flags: string, seq: number, ack: number, length = 0): Uint8Array =>
    tcpPacket(web, client, {
      srcPort: 443,
      dstPort: 700,
      flags,
      seq,
      ack,
      payload: bytesOf(length),
    });
  const nothing = (epoch: number, outbound: PlainRule[] = []) =>
    policyOf(
      { web: { inbound: [{ protocol: 'tcp', ports: [1] }], outbound } },
      [{ name: 'web', addresses: [web], templates: ['web'] }],
      epoch,
    );
  const connect = (f: EngineFixture, mode: number, next = nothing(2)): void => {
    f.forward(segment('S', 100), answer('SA', 300, 101), segment('A', 101, 301));
    f.engine.setPolicy(next, mode, f.nowMs + 30_000);
    f.engine.tick(f.nowMs);
  };

  it.each([
    ['keep', ReloadMode.keep],
    ['drain', ReloadMode.drain],
  ])('with %s, is that conversation and not the next one', (_, mode) => {
    const f = fixture();
    connect(f, mode);
    expect(f.judge(segment('A', 101, 301))).toBe('pass');
    for (const number of [900_000_000, 2_000_000_000, 77, 100]) {
      expect(f.judge(segment('S', number))).toBe('no-inbound-rule');
    }
    expect(f.judge(answer('A', 301, 101))).toBe('pass');
    // Closed, its ports are free, and whoever comes asks the policy.
    f.forward(segment('FA', 101, 301), answer('FA', 301, 102), segment('A', 102, 302));
    expect(f.judge(segment('S', 5000))).toBe('no-inbound-rule');
    f.check();
  });

  // Some newer and some older than the conversation, by less than a window or by more; the clock of the numbers wraps.
  it.each([
    [900_000_000, 50],
    [2_000_000_000, 4_000_000_000],
    [3_000_000_000, 3_000_000_000],
    [77, 88],
    [4_294_967_290, 4_294_967_290],
    [200_000, 200_000],
  ])('lets no segment of a new handshake pass, with the numbers %i and %i', (isn, peer) => {
    const f = fixture();
    connect(f, ReloadMode.keep);
    f.forward(segment('PA', 101, 301, 10), answer('PA', 301, 111, 10));
    const judged = [
      f.judge(segment('S', isn)),
      f.judge(answer('SA', peer, isn + 1)),
      f.judge(segment('A', isn + 1, peer + 1)),
      f.judge(segment('PA', isn + 1, peer + 1, 10)),
      f.judge(answer('PA', peer + 1, isn + 11, 6)),
      f.judge(segment('FA', isn + 11, peer + 7)),
    ];
    expect(judged).not.toContain('pass');
    expect(judged.slice(0, 3)).toEqual(['no-inbound-rule', 'invalid-state', 'out-of-window']);
    // The conversation that is spared has not noticed.
    expect(f.judge(segment('A', 111, 311))).toBe('pass');
    expect(f.judge(answer('PA', 311, 111, 6))).toBe('pass');
  });

  it.each<[string, (f: EngineFixture) => void, Uint8Array[]]>([
    [
      'the SYN+ACK again, if the ACK was lost behind the gateway, and the ACK again',
      () => undefined,
      [answer('SA', 300, 101), segment('A', 101, 301)],
    ],
    [
      'data again whose acknowledgment was lost behind the gateway',
      (f) => f.forward(segment('PA', 101, 301, 1000), answer('A', 301, 1101)),
      [segment('PA', 101, 301, 1000), answer('A', 301, 1101)],
    ],
    [
      'data that was lost before the gateway, after the last of its window',
      (f) => f.forward(segment('A', 10_101, 301, 1000)),
      [segment('A', 101, 301, 1000), segment('A', 5101, 301, 1000)],
    ],
    [
      'a keepalive and its answer',
      (f) => f.forward(segment('PA', 101, 301, 10), answer('A', 301, 111)),
      [segment('A', 110, 301), answer('A', 301, 111)],
    ],
  ])('loses nothing of it: %s', (_, before, packets) => {
    const f = fixture();
    connect(f, ReloadMode.keep);
    before(f);
    for (const packet of packets) expect(f.judge(packet)).toBe('pass');
  });

  it('may still be opened: its own SYN comes again, and is answered', () => {
    const f = fixture();
    f.forward(segment('S', 100));
    f.engine.setPolicy(nothing(2), ReloadMode.keep, 0);
    expect(f.judge(segment('S', 100))).toBe('pass');
    expect(f.judge(segment('S', 999))).toBe('no-inbound-rule');
    expect(f.judge(answer('SA', 300, 1000))).not.toBe('pass');
    expect(f.judge(answer('SA', 300, 101))).toBe('pass');
    expect(f.judge(segment('A', 101, 301))).toBe('pass');
  });

  it('is an ordinary one again when a later policy allows it', () => {
    const f = fixture();
    connect(f, ReloadMode.keep);
    f.engine.setPolicy(policy(3), ReloadMode.keep, 0);
    // Linux lets a SYN in a connection through unbelieved: its answer puts both ends right.
    expect(f.judge(segment('S', 5000))).toBe('pass');
    expect(f.judge(answer('A', 301, 101))).toBe('pass');
  });
});

describe('a flow that is cut', () => {
  const both = [{ protocol: 'udp', ports: [5555] }] as PlainRule[];
  const withRules = (epoch: number, inbound: PlainRule[], outbound: PlainRule[]) =>
    policyOf(
      { web: { inbound, outbound } },
      [{ name: 'web', addresses: [web], templates: ['web'] }],
      epoch,
    );

  it('by a packet that the new policy allows the other way round: that packet opens a flow', () => {
    const f = new EngineFixture({ policy: withRules(1, both, both) });
    f.forward(udpPacket(web, client, 5555, 5555), udpPacket(client, web, 5555, 5555));
    f.engine.setPolicy(withRules(2, both, []), ReloadMode.cut, 0);
    expect(f.judge(udpPacket(client, web, 5555, 5555))).toBe('pass');
    expect(f.judge(udpPacket(web, client, 5555, 5555))).toBe('pass');
    expect(f.counter(Counter.flowsCut)).toBe(1);
    expect(f.counter(Counter.flowsOpened)).toBe(2);
    f.check();
  });

  const open = [{ protocol: 'all' }] as PlainRule[];
  const tcpSyn = tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S', seq: 1 });
  const tcpAnswer = tcpPacket(web, client, {
    srcPort: 443,
    dstPort: 4000,
    flags: 'SA',
    seq: 9,
    ack: 2,
  });
  const tcpAck = tcpPacket(client, web, {
    srcPort: 4000,
    dstPort: 443,
    flags: 'A',
    seq: 2,
    ack: 10,
  });
  const query = udpPacket(client, web, 4000, 53);
  const reply = udpPacket(web, client, 53, 4000);
  const ping = icmpQuery(client, web, 8, 7);
  const pong = icmpQuery(web, client, 0, 7);
  const error = ipv4Packet({
    src: router,
    dst: client,
    protocol: 1,
    payload: icmpMessage(3, 1, 0, query.slice(0, 28)),
  });

  it('is the reason for what its ends still send; a packet that may open a flow gets that of the rules', () => {
    const f = new EngineFixture({ policy: withRules(1, open, []) });
    f.forward(tcpSyn, tcpAnswer, tcpAck, query, reply, ping, pong);
    f.engine.setPolicy(withRules(2, [], []), ReloadMode.cut, 0);
    f.engine.tick(f.nowMs);
    for (const packet of [tcpAnswer, tcpAck, reply, pong, error]) {
      expect(f.judge(packet)).toBe('policy-cut');
    }
    for (const packet of [tcpSyn, query, ping]) expect(f.judge(packet)).toBe('no-inbound-rule');
    expect(f.judge(udpPacket(web, client, 53, 4001))).toBe('no-outbound-rule');
    f.nowMs += 600_000;
    expect(f.judge(tcpAck)).toBe('invalid-state');
  });

  it('by hand gives flow-killed, until the tuple has a flow again', () => {
    const f = new EngineFixture({ policy: withRules(1, open, []) });
    f.forward(tcpSyn, tcpAnswer, tcpAck, query, reply);
    const { flows } = observe(f);
    const { hot, cold } = f.engine.table;
    for (const flow of f.check() as Set<FlowIndex>) {
      const tag = flowTag(hot, flow << hotShift, cold[flow * coldWords + Cold.created]!);
      expect(flows.kill(flow, tag)).toBe(true);
    }
    for (const packet of [tcpAnswer, tcpAck, reply]) expect(f.judge(packet)).toBe('flow-killed');
    expect(f.judge(query)).toBe('pass');
    expect(f.judge(reply)).toBe('pass');
    f.nowMs += 300_000;
    expect(f.judge(reply)).toBe('no-outbound-rule');
  });
});

describe('engines that have not all taken the new policy', () => {
  const syn = tcpPacket(client, web, { srcPort: 4000, dstPort: 22, flags: 'S', seq: 1 });
  const synAck = tcpPacket(web, client, {
    srcPort: 22,
    dstPort: 4000,
    flags: 'SA',
    seq: 9,
    ack: 2,
  });
  const unreachable = ipv4Packet({
    src: router,
    dst: client,
    protocol: 1,
    payload: icmpMessage(3, 1, 0, syn.slice(0, 28)),
  });
  const withSsh = (epoch: number) =>
    policyOf(
      { web: { inbound: [{ protocol: 'tcp', ports: [22] }], outbound: [] } },
      [{ name: 'web', addresses: [web], templates: ['web'] }],
      epoch,
    );

  it.each([
    ['', 1, 2],
    [' when epochs wrap', 0x7fffffff, -0x80000000],
  ])('the older policy cuts nothing that the newer one has admitted%s', (_, older, newer) => {
    const behind = new EngineFixture({ policy: policy(older) });
    const ahead = new EngineFixture({ policy: policy(older) }, behind);
    ahead.engine.setPolicy(withSsh(newer), ReloadMode.cut, 0);
    expect(ahead.judge(syn)).toBe('pass');
    expect(behind.judge(synAck)).toBe('pass');
    expect(behind.judge(unreachable)).toBe('pass');
    // The sweep is that of the engine that is behind.
    behind.engine.tick(behind.nowMs);
    expect(behind.check().size).toBe(1);
    behind.engine.setPolicy(withSsh(newer), ReloadMode.cut, 0);
    behind.engine.tick(behind.nowMs);
    expect(behind.judge(syn)).toBe('pass');
    expect(behind.counter(Counter.flowsCut) + ahead.counter(Counter.flowsCut)).toBe(0);
  });

  it('what the older policy still admits is judged by the newer one', () => {
    const behind = new EngineFixture({ policy: withSsh(1) });
    const ahead = new EngineFixture({ policy: withSsh(1) }, behind);
    ahead.engine.setPolicy(policy(2), ReloadMode.cut, 0);
    expect(behind.judge(syn)).toBe('pass');
    expect(ahead.judge(synAck)).toBe('policy-cut');
    expect(ahead.check().size).toBe(0);
  });
});
