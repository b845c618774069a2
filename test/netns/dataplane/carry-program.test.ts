/**
 * The kernel's program of the fast path beside the engine: two engines get the same packets, one of them without those that the program
 * carries. What was carried the other one has let pass, and in the end both know the same of every flow. Then the kernel oracle, with the
 * program between.
 */
import { existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { Cold, Hot, coldWords, hotShift } from '../../../src/dataplane/flow/flow-record.ts';
import { Matcher } from '../../../src/dataplane/match/matcher.ts';
import { tcpPacket, udpPacket } from '../../../src/testing/packets.ts';
import type { TcpFields } from '../../../src/testing/packets.ts';
import { Carrier, testProgram } from '../../oracle/carry.ts';
import { enginePolicy } from '../../oracle/policy.ts';
import { EngineFixture } from '../../support/engine-fixture.ts';
import { seed, seededRandom } from '../../support/seed.ts';
import { obstacle as noNamespaces, repository } from '../support/firewall.ts';

const obstacle =
  noNamespaces ?? (existsSync(testProgram) ? undefined : 'the kernel program was not built');
if (obstacle !== undefined) console.log(`the program of the fast path is not tested: ${obstacle}`);

const client = '203.0.113.5';
const server = '10.0.0.2';
const capacity = 1024;

/** Words of a flow's record that say what its packets have taught. */
const hotWordsCompared = [Hot.state, Hot.lastRefresh, Hot.epoch, Hot.tcp, Hot.end, Hot.end + 1];
hotWordsCompared.push(Hot.maxEnd, Hot.maxEnd + 1, Hot.maxWindow, Hot.maxWindow + 1);
const coldWordsCompared = [Cold.maxAck, Cold.maxAck + 1, Cold.lastSequence, Cold.lastAck];
coldWordsCompared.push(Cold.lastExtent, Cold.packets, Cold.packets + 1, Cold.bytes, Cold.bytes + 1);

/** An engine with the program in front of it, and its twin without. */
class Twins {
  readonly carrier: Carrier;
  readonly plain: EngineFixture;
  readonly behind: EngineFixture;
  readonly policy: Matcher = enginePolicy();

  constructor(carrier: Carrier) {
    this.carrier = carrier;
    const options = { policy: this.policy, capacity };
    this.plain = new EngineFixture(options);
    const memory = EngineFixture.memoryFor(options);
    const carry = carrier.begin(capacity, this.policy.epoch);
    this.behind = new EngineFixture(options, {
      memory: { ...memory, flows: { ...memory.flows, carry } },
    });
  }

  /** Returns whether it was carried. */
  send(packet: Uint8Array): boolean {
    const verdict = this.plain.judge(packet);
    const carried = this.carrier.carries(packet, this.behind.nowMs);
    expect(carried ? 'pass' : this.behind.judge(packet)).toBe(verdict);
    return carried;
  }

  wait(ms: number): void {
    this.plain.nowMs += ms;
    this.behind.nowMs += ms;
  }

  /** What both know of all flows, and have counted. */
  expectSame(): void {
    for (let tick = 0; tick < 10; tick++) this.behind.engine.tick(this.behind.nowMs);
    for (let tick = 0; tick < 10; tick++) this.plain.engine.tick(this.plain.nowMs);
    expect(known(this.behind)).toEqual(known(this.plain));
    // All but the counts of what was carried, and of batches.
    expect([...this.behind.counters.subarray(0, 138)]).toEqual([
      ...this.plain.counters.subarray(0, 138),
    ]);
  }
}

function known(fixture: EngineFixture): unknown {
  const { hot, cold } = fixture.engine.table;
  return [...fixture.check()].sort().map((flow) => ({
    flow,
    hot: hotWordsCompared.map((word) => hot[(flow << hotShift) + word]),
    cold: coldWordsCompared.map((word) => cold[flow * coldWords + word]),
  }));
}

type Random = () => number;
const below = (random: Random, limit: number): number => Math.floor(random() * limit);
const pick = <T>(random: Random, ...values: readonly T[]): T =>
  values[below(random, values.length)]!;

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  values.forEach((value, at) => new DataView(bytes.buffer).setUint32(at * 4, value >>> 0));
  return bytes;
}

const synOptions = Uint8Array.of(2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7, 1, 1, 1, 1);

/** Random segments around the windows of a connection, most of which are good. */
class Connection {
  readonly #twins: Twins;
  readonly #random: Random;
  readonly #port: number;
  /** What each side sends next. */
  readonly next: [number, number];

  constructor(twins: Twins, random: Random, port: number) {
    this.#twins = twins;
    this.#random = random;
    this.#port = port;
    this.next = [below(random, 2 ** 32), below(random, 2 ** 32)];
    const options = random() < 0.7 ? synOptions : Uint8Array.of(2, 4, 5, 180);
    this.#send(0, { flags: 'S', seq: this.next[0], ack: 0, options });
    this.#send(1, { flags: 'SA', seq: this.next[1], ack: this.next[0] + 1, options });
    this.next = [(this.next[0] + 1) >>> 0, (this.next[1] + 1) >>> 0];
    this.#send(0, { flags: 'A', seq: this.next[0], ack: this.next[1] });
    this.#send(1, { flags: 'A', seq: this.next[1], ack: this.next[0] });
  }

  #send(side: 0 | 1, fields: Omit<TcpFields, 'srcPort' | 'dstPort'>, change?: number): boolean {
    const ports = { srcPort: this.#port, dstPort: 443 };
    const packet =
      side === 0
        ? tcpPacket(client, server, { ...ports, ...fields })
        : tcpPacket(server, client, { srcPort: 443, dstPort: this.#port, ...fields });
    if (change !== undefined) packet[change % packet.length]! ^= 1 << below(this.#random, 8);
    return this.#twins.send(packet);
  }

  /** Something that may follow. Returns whether it was carried. */
  step(): boolean {
    const random = this.#random;
    const side = pick<0 | 1>(random, 0, 1);
    const length = pick(random, 0, 0, 1, 100, 1000, 1448);
    const jump = pick(random, 0, 0, 0, 0, 0, 0, -1448, -70_000, 1448, 70_000, 2 ** 24);
    const ackJump = pick(random, 0, 0, 0, 0, 0, -1448, -70_000, 1, 1448, 2 ** 24);
    const flags = pick(
      random,
      'A',
      'A',
      'PA',
      'A',
      'PA',
      'AE',
      'AC',
      'A',
      'FA',
      'R',
      'RA',
      'SA',
      'UA',
    );
    const seq = this.next[side] + jump;
    const ack = this.next[side ^ 1]! + ackJump;
    if (jump === 0) this.next[side] = (this.next[side] + length) >>> 0;
    // A connection that ends often teaches nothing.
    const isEnd = /[FRS]/.test(flags) && random() < 0.8;
    return this.#send(
      side,
      {
        flags: isEnd ? 'A' : flags,
        ...{ seq, ack, win: pick(random, 0, 1, 500, 8000, 65_535) },
        options: this.#options(ack),
        payload: new Uint8Array(length),
      },
      random() < 0.03 ? below(random, 60) : undefined,
    );
  }

  #options(ack: number): Uint8Array {
    const random = this.#random;
    const stamps = words(0x0101080a, below(random, 2 ** 32), below(random, 2 ** 32));
    const edge = (): number => ack + pick(random, 1448, 2896, 70_000, -1448, 2 ** 24);
    const blocks = 1 + below(random, 3);
    const edges = Array.from({ length: 2 * blocks }, edge);
    const sack = words(0x01010500 | (2 + 8 * blocks), ...edges);
    const [none, wrong, odd] = [
      new Uint8Array(),
      words(0x01010500 | below(random, 40), ...edges),
      Uint8Array.of(pick(random, 0, 1, 5, 8, 253), pick(random, 0, 2, 4, 9), 1, 1),
    ];
    return pick(
      random,
      ...[none, none, stamps, stamps, stamps, sack, Uint8Array.of(...stamps, ...sack), wrong, odd],
    ).subarray(0, 40);
  }
}

describe.skipIf(obstacle !== undefined)('the program of the fast path', () => {
  let carrier: Carrier;
  beforeAll(() => {
    carrier = new Carrier();
  });

  it(`random segments teach it what they teach the judge (TUNWALL_SEED=${seed})`, () => {
    const random = seededRandom();
    let carried = 0;
    for (let round = 0; round < 60; round++) {
      const twins = new Twins(carrier);
      const connections = [1, 2, 3].map((n) => new Connection(twins, random, 1000 + n));
      for (let step = 0; step < 250; step++) {
        if (pick(random, ...connections).step()) carried++;
        if (random() < 0.02) twins.wait(below(random, 3000));
      }
      twins.expectSame();
    }
    expect(carried).toBeGreaterThan(1000);
  });

  it('carries datagrams of a flow that was answered, and nothing that was changed on the way', () => {
    const random = seededRandom();
    const twins = new Twins(carrier);
    const asked = udpPacket(client, server, 5000, 53);
    const answered = udpPacket(server, client, 53, 5000);
    expect([asked, asked, answered, asked, answered].map((packet) => twins.send(packet))).toEqual([
      ...[false, false, false, true, true],
    ]);
    twins.expectSame();
    for (let i = 0; i < 2000; i++) {
      const packet = (i & 1) === 0 ? asked.slice() : answered.slice();
      packet[below(random, packet.length)]! ^= 1 << below(random, 8);
      twins.send(packet);
    }
    twins.expectSame();
  });

  it('carries nothing without a lease, by another policy, while a capture runs, or with padding that says more', () => {
    const twins = new Twins(carrier);
    const asked = udpPacket(client, server, 5000, 53);
    const answered = udpPacket(server, client, 53, 5000);
    const isCarried = (): boolean => twins.send(asked) || twins.send(asked);
    for (const packet of [asked, answered]) twins.send(packet);
    expect(isCarried()).toBe(true);
    const attempts: Record<string, boolean> = {};
    carrier.lease = false;
    attempts['lease'] = isCarried();
    carrier.lease = true;
    carrier.paused = true;
    attempts['paused'] = isCarried();
    carrier.paused = false;
    carrier.epoch = twins.policy.epoch + 1;
    attempts['epoch'] = isCarried();
    carrier.epoch = twins.policy.epoch;
    expect(attempts).toEqual({ lease: false, paused: false, epoch: false });
    expect(isCarried()).toBe(true);
    // A short frame is filled up to 60 bytes; more behind the packet is not the driver's.
    const { nowMs } = twins.behind;
    expect([0, 10, 11].map((padding) => carrier.run(asked, nowMs, padding))).toEqual([
      ...[true, true, false],
    ]);
  });

  it('the kernel finds no difference with it in front of the engine', () => {
    const args = ['--json', '--carry', '--packets', '20000', '--seed', '5'];
    const run = spawnSync(`${repository}/scripts/oracle`, args, { encoding: 'utf8' });
    const result = JSON.parse(run.stdout) as { findings: unknown[]; carried: number };
    expect(result.findings).toEqual([]);
    expect(result.carried).toBeGreaterThan(1000);
  });
});
