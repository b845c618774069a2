/** The live side of a firewall as the API sees it, on an engine in memory: totals, cuts, which flow decides, captures. */
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { LiveVerdict } from '../../../../src/control/api/context.ts';
import {
  CaptureControl,
  CaptureRingWriter,
  createCaptureRing,
} from '../../../../src/dataplane/engine/capture-ring.ts';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import type { PolicyInForce } from '../../../../src/dataplane/worker/data-plane.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import type { PolicySource } from '../../../../src/policy/types.ts';
import { openingPacket } from '../../../../src/policy/opening-packet.ts';
import { ServerSlots } from '../../../../src/policy/server-slots.ts';
import { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { historyLength } from '../../../../src/control/metrics/traffic-history.ts';
import { LiveObserver } from '../../../../src/control/service/observer.ts';
import { LiveCapture } from '../../../../src/dataplane/worker/live-capture.ts';
import { ScratchDirectory, readAll } from '../../../support/captures.ts';
import type { ReadPacket } from '../../../support/captures.ts';
import { EngineFixture, timeoutsMs } from '../../../support/engine-fixture.ts';
import { observe } from '../../../support/observed.ts';
import {
  addressToInt,
  icmpMessage,
  ipv4Packet,
  tcpPacket,
  udpPacket,
} from '../../../../src/testing/packets.ts';
import { toServers, toTemplates } from '../../../support/policies.ts';
import type { PlainRule } from '../../../support/policies.ts';

const client = '198.51.100.2';
const [web, db] = ['10.0.0.2', '10.0.0.3'] as const;

const captures: LiveCapture[] = [];
afterEach(() => {
  for (const capture of captures.splice(0)) capture.stop();
});

class Gateway {
  readonly slots: ServerSlots = new ServerSlots();
  readonly capture: LiveCapture = new LiveCapture();
  readonly engine: EngineFixture;
  readonly observer: LiveObserver;
  #compiled: CompiledPolicy;
  #policy: Matcher;
  #inForce: PolicyInForce;

  constructor(inbound: PlainRule[], loose = false) {
    this.#compiled = this.compile(inbound, 1);
    this.#policy = new Matcher(this.#compiled.words);
    this.#inForce = { program: this.#compiled, mode: ReloadMode.cut, drainUntilMs: 0 };
    const ring = createCaptureRing(65_536);
    this.capture.addRing(ring);
    captures.push(this.capture);
    this.engine = new EngineFixture({
      policy: this.#policy,
      capacity: 64,
      loose,
      capture: new CaptureRingWriter(this.capture.control, ring, () => 1_700_000_000_123_456),
    });
    const { engine, capture } = this;
    const { flows } = observe(engine);
    const policyInForce = () => this.#inForce;
    const ruleHits = () => this.#policy.hits;
    this.observer = new LiveObserver({
      dataPlane: {
        flows,
        capture,
        charts: new SharedArrayBuffer(historyLength),
        counter: (index) => engine.counter(index),
        get flowCount() {
          return engine.engine.table.used;
        },
        get policyInForce() {
          return policyInForce();
        },
        get ruleHits() {
          return { hits: ruleHits() };
        },
      },
      device: 'fw0',
      engine: {
        limits: { timeoutsMs: timeoutsMs(), serverShare: Infinity },
        tcp: { loose, liberal: false },
      },
      flowCapacity: 64,
      slots: this.slots,
      policy: this.#compiled,
      judgeTrial: async (source, judge) => judge(compilePolicy(source, 0)),
    });
  }

  source(inbound: PlainRule[], names: string[] = ['web', 'db']): PolicySource {
    const servers = names.map((name, i) => ({
      name,
      addresses: [[web, db][i]!],
      templates: ['base'],
    }));
    return {
      templates: toTemplates({ base: { inbound, outbound: [] } }),
      servers: toServers(servers),
    };
  }

  compile(inbound: PlainRule[], epoch: number, names: string[] = ['web', 'db']): CompiledPolicy {
    const slots = this.slots.assign(names);
    return compilePolicy(this.source(inbound, names), epoch, { slots });
  }

  change(next: CompiledPolicy, mode: number = ReloadMode.cut): void {
    this.#policy = new Matcher(next.words);
    this.#inForce = { program: next, mode, drainUntilMs: 0 };
    this.engine.engine.setPolicy(this.#policy, mode, 0);
    this.observer.onPolicy(next);
  }
}

const dns: PlainRule = { protocol: 'udp', ports: [53] };
const https: PlainRule = { protocol: 'tcp', ports: [443] };

describe('totals', () => {
  it('are those of the counters, with every drop reason', () => {
    const { engine, observer } = new Gateway([dns]);
    engine.forward(
      udpPacket(client, web, 1, 53),
      udpPacket(web, client, 53, 1),
      udpPacket(client, web, 1, 54),
    );
    const { passed, dropped, drops, flows } = observer.totals();
    expect([passed, dropped]).toEqual([
      { packets: 2, bytes: 72 },
      { packets: 1, bytes: 36 },
    ]);
    expect(drops).toMatchObject({ 'no-inbound-rule': 1, ipv6: 0, 'write-failed': 0 });
    expect(drops).not.toHaveProperty('none');
    expect(flows).toEqual({ count: 1, capacity: 64, opened: 1, cut: 0 });
  });

  it('go into the history once a second, with the changes of the policy', async () => {
    const gateway = new Gateway([dns]);
    const { engine, observer } = gateway;
    const at = (seconds: number) => ({ wallMs: 1000 * seconds, monotonicMs: 1000 * seconds });
    observer.look(at(100));
    engine.forward(udpPacket(client, web, 1, 53), udpPacket(client, web, 1, 54));
    observer.look(at(101));
    // The walk over the flows for the first reading of the servers.
    await vi.waitUntil(() => !observer.history.servers.isDue(at(101).wallMs), { timeout: 10_000 });
    const { columns } = observer.history.read('second', at(101).wallMs, 10);
    expect(columns).toEqual([[1], [36], [1], [36], [1]]);
    gateway.change(gateway.compile([], 2));
    expect(observer.history.marksSince(0).map(({ epoch }) => epoch)).toEqual([2]);
  });

  it('of servers stay with a name that is gone, and start at zero for a new one at its address', async () => {
    const gateway = new Gateway([dns]);
    const { engine, observer } = gateway;
    engine.forward(udpPacket(client, web, 1, 53), udpPacket(client, db, 1, 54));
    gateway.change(gateway.compile([dns], 2, ['www', 'db']));
    engine.forward(udpPacket(client, web, 1, 53, new Uint8Array(20)));
    engine.nowMs += 1000;
    const none = { packets: 0, bytes: 0 };
    const server = (packets: number, bytes: number, drops = none) => ({
      inbound: { passed: { packets, bytes }, dropped: drops },
      outbound: { passed: none, dropped: none },
    });
    expect(Object.fromEntries(await observer.serverTotals())).toEqual({
      web: server(1, 36),
      www: server(1, 48),
      db: server(0, 0, { packets: 1, bytes: 36 }),
    });
  });
});

it('finds the flows that a policy would cut, and leaves them and the policy as they are', async () => {
  const gateway = new Gateway([dns, https]);
  const { engine, observer } = gateway;
  engine.forward(udpPacket(client, web, 1, 53), udpPacket(client, db, 2, 53));
  engine.forward(tcpPacket(client, web, { srcPort: 1, dstPort: 443, flags: 'S' }));
  const cut = (inbound: PlainRule[], by?: string) => observer.cutBy(gateway.source(inbound), by);
  expect(await cut([dns, https])).toEqual({ count: 0, largest: [], ofClient: false });
  expect(await cut([https])).toMatchObject({ count: 2, ofClient: false });
  const all = await cut([{ ...dns, sources: ['192.0.2.1'] }]);
  expect(all.count).toBe(3);
  expect(all.largest.map(({ destinationPort }) => destinationPort)).toEqual([443, 53, 53]);
  // Either end may be whoever asks; one that no flow has, or that is no IPv4 address, is not.
  expect((await cut([https], db)).ofClient).toBe(true);
  expect((await cut([https], client)).ofClient).toBe(true);
  expect((await cut([dns], db)).ofClient).toBe(false);
  expect((await cut([https], '192.0.2.99')).ofClient).toBe(false);
  expect((await cut([https], '::1')).ofClient).toBe(false);
  expect(engine.check().size).toBe(3);
  gateway.change(gateway.compile([https], 2));
  engine.engine.tick(engine.nowMs);
  expect(observer.totals().flows.cut).toBe(2);
});

it('lists the largest twenty flows that a policy would cut, and counts all', async () => {
  const gateway = new Gateway([dns]);
  const { engine, observer } = gateway;
  for (let port = 1; port <= 45; port++) {
    engine.forward(udpPacket(client, web, port, 53, new Uint8Array(port)));
  }
  const { count, largest } = await observer.cutBy(gateway.source([https]));
  expect(count).toBe(45);
  const ports = Array.from({ length: 20 }, (_, index) => 45 - index);
  expect(largest.map(({ sourcePort }) => sourcePort)).toEqual(ports);
});

describe('which flow decides', () => {
  const syn = tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S', seq: 100 });
  const synAck = tcpPacket(web, client, {
    srcPort: 443,
    dstPort: 4000,
    flags: 'SA',
    seq: 300,
    ack: 101,
  });
  const ack = (seq: number): Uint8Array =>
    tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'A', seq, ack: 301 });
  const reported = (verdict: LiveVerdict | undefined) =>
    verdict === undefined
      ? undefined
      : `${verdict.flow.state} ${verdict.verdict} ${verdict.reason}`;

  it.each<[string, Uint8Array, string | undefined]>([
    ['a segment of a connection', ack(101), 'established pass none'],
    [
      'its answer',
      tcpPacket(web, client, { srcPort: 443, dstPort: 4000, flags: 'A', seq: 301, ack: 101 }),
      'established pass none',
    ],
    ['a segment out of window', ack(1_000_000), 'established drop out-of-window'],
    ['a second SYN, which passes for the end to challenge', syn, 'established pass none'],
    [
      'a segment of flags that do not fit',
      tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'SA', seq: 1, ack: 1 }),
      'established drop invalid-state',
    ],
    [
      'an ICMP error about it',
      ipv4Packet({
        src: '203.0.113.1',
        dst: client,
        protocol: 1,
        payload: icmpMessage(3, 1, 0, ack(101).slice(0, 28)),
      }),
      'established pass none',
    ],
    [
      'an ICMP error about something else',
      ipv4Packet({
        src: web,
        dst: client,
        protocol: 1,
        payload: icmpMessage(3, 1, 0, udpPacket(client, web, 1, 2).slice(0, 28)),
      }),
      undefined,
    ],
    [
      'another connection',
      tcpPacket(client, web, { srcPort: 4001, dstPort: 443, flags: 'S' }),
      undefined,
    ],
    ['a datagram', udpPacket(client, web, 4000, 443), undefined],
    [
      'a fragment',
      ipv4Packet({
        src: client,
        dst: web,
        protocol: 6,
        moreFragments: true,
        payload: new Uint8Array(40),
      }),
      undefined,
    ],
    [
      'a packet with a wrong checksum',
      ack(101).map((byte, at) => (at === 36 ? byte ^ 1 : byte)),
      undefined,
    ],
    ['nothing', new Uint8Array(), undefined],
  ])('about %s', async (_what, packet, expected) => {
    const { engine, observer } = new Gateway([https]);
    engine.forward(syn, synAck, ack(101));
    const before = [engine.memory.flows.hot, engine.memory.flows.cold].map((each) => each.slice(0));
    expect(reported(await observer.explainLive(packet))).toBe(expected);
    const after = [engine.memory.flows.hot, engine.memory.flows.cold].map((each) => each.slice(0));
    expect(after).toEqual(before);
    // The firewall itself says the same.
    if (expected !== undefined) expect(expected).toContain(engine.judge(packet));
  });

  it('also about the packet of a question, which has no checksum', async () => {
    const { engine, observer } = new Gateway([https]);
    engine.forward(syn);
    const question = openingPacket({
      protocol: 'tcp',
      source: addressToInt(client) >>> 0,
      sourcePort: 4000,
      destination: addressToInt(web) >>> 0,
      destinationPort: 443,
    });
    const verdict = await observer.explainLive(question.subarray(10));
    expect(reported(verdict)).toBe('syn_sent pass none');
    expect(verdict!.flow).toMatchObject({ sourcePort: 4000, destinationServer: 'web' });
  });

  it('by the policy that is in force', async () => {
    const gateway = new Gateway([https, dns]);
    const { engine, observer } = gateway;
    const query = udpPacket(client, web, 4000, 53);
    engine.forward(query);
    gateway.change(gateway.compile([https], 2));
    expect(reported(await observer.explainLive(query))).toBe('unanswered drop policy-cut');
    gateway.change(gateway.compile([https], 3), ReloadMode.keep);
    expect(reported(await observer.explainLive(query))).toBe('unanswered pass none');
  });

  it('none when a SYN opens the next connection of the same ports', async () => {
    const { engine, observer } = new Gateway([https]);
    engine.forward(syn, synAck, ack(101));
    const fin = (
      src: string,
      dst: string,
      fields: { seq: number; ack: number; srcPort: number; dstPort: number },
    ) => tcpPacket(src, dst, { ...fields, flags: 'FA' });
    engine.forward(
      fin(client, web, { srcPort: 4000, dstPort: 443, seq: 101, ack: 301 }),
      fin(web, client, { srcPort: 443, dstPort: 4000, seq: 301, ack: 102 }),
      tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'A', seq: 102, ack: 302 }),
    );
    expect((await observer.flows({ sort: 'age', limit: 1 })).flows[0]!.state).toBe('time_wait');
    expect(await observer.explainLive(syn)).toBeUndefined();
  });
});

it('flows are found by the rule that the policy in force has for them', async () => {
  const ntp: PlainRule = { protocol: 'udp', ports: [123] };
  const gateway = new Gateway([dns, ntp]);
  gateway.engine.forward(udpPacket(client, web, 1, 53), udpPacket(client, web, 2, 123));
  const ports = async (direction?: 'inbound' | 'outbound', index?: number) => {
    const rule = { template: 'base', ...(direction && { direction }), ...(index && { index }) };
    const { flows } = await gateway.observer.flows({ rule, sort: 'age', limit: 10 });
    return flows.map(({ destinationPort }) => destinationPort).sort();
  };
  expect(await ports()).toEqual([123, 53]);
  expect(await ports('inbound', 1)).toEqual([123]);
  expect(await ports('outbound')).toEqual([]);
  gateway.change(gateway.compile([ntp, dns], 2));
  expect(await ports('inbound', 1)).toEqual([53]);
});

it('flows are found and ended by what the API calls them', async () => {
  const { engine, observer } = new Gateway([dns]);
  engine.forward(udpPacket(client, web, 1, 53), udpPacket(client, db, 1, 53));
  const list = (query: object) => observer.flows({ sort: 'bytes', limit: 10, ...query });
  expect((await list({ server: 'web' })).total).toBe(1);
  expect((await list({ server: 'mail' })).total).toBe(0);
  expect((await list({ address: db })).total).toBe(1);
  expect((await list({ address: 'db' })).total).toBe(0);
  const [flow] = (await list({ server: 'web' })).flows;
  expect(await observer.killFlow('nonsense')).toBe(false);
  expect(await observer.killFlow(flow!.id)).toBe(true);
  expect(await observer.killFlow(flow!.id)).toBe(false);
  expect((await list({})).total).toBe(1);
});

describe('a capture', () => {
  const scratch = new ScratchDirectory();
  const liveFile = join(scratch.path, 'live.pcapng');
  afterAll(() => scratch.remove());
  const query = udpPacket(client, web, 1, 53);
  const answer = udpPacket(web, client, 53, 1);
  const probe = udpPacket(client, web, 1, 54);

  async function captured(
    options: Parameters<LiveObserver['capture']>[0],
    ...packets: Parameters<EngineFixture['forward']>
  ): Promise<ReadPacket[]> {
    const { engine, observer, capture } = new Gateway([dns]);
    const file = createWriteStream(liveFile);
    const stream = observer.capture(options);
    stream.pipe(file);
    engine.forward(...packets);
    capture.drain();
    await once(file, 'close');
    return readAll(liveFile);
  }

  it('is a file with verdicts as comments, which ends at its limit', async () => {
    const packets = await captured({ limit: 3 }, query, probe, answer, answer);
    const comments = [...readFileSync(liveFile, 'latin1').matchAll(/tunwall: [a-z -]+, [a-z ]+/g)];
    expect(comments.map(([comment]) => comment)).toEqual([
      'tunwall: pass, inbound udp',
      'tunwall: drop no-inbound-rule, inbound udp',
      'tunwall: pass, outbound udp',
    ]);
    expect(packets[0]).toMatchObject({ seconds: 1_700_000_000, nanoseconds: 123_456_000 });
    expect(packets.map(({ bytes }) => Buffer.from(bytes))).toEqual(
      [query, probe, answer].map((packet) => Buffer.from(packet)),
    );
  });

  it.each<[string, Parameters<LiveObserver['capture']>[0], Uint8Array]>([
    ['of what passed', { verdict: 'passed' }, query],
    ['of what was dropped', { verdict: 'dropped' }, probe],
    ['of a server', { server: 'db' }, udpPacket(client, db, 1, 53)],
  ])('%s has nothing else', async (_what, options, expected) => {
    const packets = await captured(
      { ...options, limit: 1 },
      query,
      probe,
      udpPacket(client, db, 1, 53),
    );
    expect(packets.map(({ bytes }) => Buffer.from(bytes))).toEqual([Buffer.from(expected)]);
  });

  it('completes the checksums that the kernel has left to the card', async () => {
    const whole = tcpPacket(client, web, {
      srcPort: 1,
      dstPort: 53,
      flags: 'S',
      payload: Uint8Array.of(7),
    });
    for (const [packet, field] of [
      [query, 26],
      [whole, 36],
    ] as const) {
      const partial = packet.slice();
      partial.set([0x12, 0x34], field);
      const completed = await captured({ limit: 1 }, { bytes: partial, vnetFlags: 1 });
      expect(completed.map(({ bytes }) => Buffer.from(bytes))).toEqual([Buffer.from(packet)]);
      // Without that flag a wrong checksum is one that somebody has sent.
      const wrong = await captured({ limit: 1 }, { bytes: partial, vnetFlags: 0 });
      expect(wrong.map(({ bytes }) => Buffer.from(bytes))).toEqual([Buffer.from(partial)]);
      // Cut off, it cannot be completed.
      const cut = await captured({ limit: 1, snapLength: 24 }, { bytes: partial, vnetFlags: 1 });
      expect(cut.map(({ bytes }) => Buffer.from(bytes))).toEqual([
        Buffer.from(partial.subarray(0, 24)),
      ]);
    }
  });

  it('ends when its reader goes, and costs nothing then', async () => {
    const { engine, observer, capture } = new Gateway([dns]);
    const stream = observer.capture({});
    engine.forward(query);
    capture.drain();
    stream.resume();
    const [first] = (await once(stream, 'data')) as [Buffer];
    expect(first.length).toBeGreaterThan(0);
    stream.destroy();
    await once(stream, 'close');
    expect(new Int32Array(capture.control)[CaptureControl.verdicts]).toBe(0);
  });

  it('loses packets when its reader is slow, and says how many', async () => {
    const { engine, observer, capture } = new Gateway([dns]);
    const large = udpPacket(client, web, 1, 53, new Uint8Array(60_000));
    const stream = observer.capture({ limit: 100 });
    for (let i = 0; i < 200; i++) {
      engine.forward(large);
      capture.drain();
    }
    const file = createWriteStream(liveFile);
    stream.pipe(file);
    while (!stream.readableEnded) {
      engine.forward(query);
      capture.drain();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await once(file, 'close');
    expect(await readAll(liveFile)).toHaveLength(100);
    // Interface statistics, isb_ifdrop: packets for which there was no room.
    const content = readFileSync(liveFile);
    expect(content.length).toBeLessThan(5 << 20);
    const at = content.lastIndexOf(Buffer.from([5, 0, 8, 0]));
    expect(content.readUInt32LE(at + 4)).toBeGreaterThan(100);
  });
});
