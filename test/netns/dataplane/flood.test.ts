/**
 * Floods of ten times what the firewall can remember, on allowed ports and from random sources: established flows stay,
 * other servers stay reachable, memory stays bounded, and the metrics tell.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seed } from '../../support/seed.ts';
import {
  FirewallLab,
  client,
  db,
  obstacle,
  openConfig,
  web,
  webSecond,
} from '../support/firewall.ts';
import type { Metrics } from '../support/firewall.ts';
import type { FloodOptions } from '../support/flood.ts';
import { runScript, startScript } from '../support/scripts.ts';
import type { RunningScript } from '../support/scripts.ts';

const sessionPort = 2222;
const sources = '198.18.0.0/15';

const evicted = (metrics: Metrics, kind: string): number =>
  metrics.get(`tunwall_flow_evictions_total{class="${kind}"}`)!;

const dropped = (metrics: Metrics, reason: string): number =>
  metrics.get(`tunwall_drops_total{reason="${reason}"}`)!;

function flowsInTable(metrics: Metrics): number {
  return [...metrics]
    .filter(([name]) => name.startsWith('tunwall_flows{'))
    .reduce((sum, [, flows]) => sum + flows, 0);
}

/** What is common to the floods: the network, the sessions that were there before, and the flood itself. */
class FloodLab {
  readonly firewall: FirewallLab;
  readonly #sessions: RunningScript[] = [];
  #floods = 0;

  static async create(gateway: Record<string, unknown>): Promise<FloodLab> {
    const firewall = await FirewallLab.started({ ...openConfig, gateway });
    const { lab } = firewall;
    await firewall.prepareInjection('client');
    // So that the gateway's reverse-path filter believes the sources; what answers them is lost.
    await lab.ip('gateway', 'route', 'add', sources, 'via', client);
    await lab.ip('client', 'route', 'add', 'blackhole', sources);
    for (const host of ['client', 'web', 'db']) {
      await startScript(firewall, host, 'sessions', 'serve', sessionPort);
    }
    return new FloodLab(firewall);
  }

  private constructor(firewall: FirewallLab) {
    this.firewall = firewall;
  }

  /** Opens sessions that last until the lab is closed. */
  async open(from: string, address: string, count: number): Promise<void> {
    const { firewall } = this;
    const to = `${address}:${sessionPort}`;
    const sessions = runScript(firewall, from, 'sessions', 'keep', to, count, 300);
    this.#sessions.push(sessions);
    await firewall.until(`${count} sessions to ${to} are open`, async () => {
      if (sessions.child.exitCode !== null) await sessions.result();
      return rounds(sessions) > 0;
    });
  }

  /** Every session that was ever opened is there, and a line goes back and forth on it. */
  async expectAllAlive(): Promise<void> {
    for (const sessions of this.#sessions) {
      const before = rounds(sessions);
      // The round that is under way may have begun earlier.
      await this.firewall.until('every session has answered', async () => {
        if (sessions.child.exitCode !== null) await sessions.result();
        return rounds(sessions) >= before + 2;
      });
    }
  }

  /** Starts a flood; resolves when all of it was sent. */
  async flood(options: Omit<FloodOptions, 'seed' | 'to'>): Promise<void> {
    this.#floods++;
    const json = JSON.stringify({ ...options, to: web, seed: seed + this.#floods });
    const reported = await runScript(this.firewall, 'client', 'flood', 'inj0', json).result();
    expect(JSON.parse(reported)).toMatchObject({ sent: options.count });
  }

  async curl(address: string): Promise<number> {
    const command = ['curl', '-s', '--max-time', '10', `http://${address}/`];
    return (await this.firewall.lab.exec('client', command)).code;
  }
}

const rounds = (sessions: RunningScript): number =>
  sessions.printed().filter((line) => line.startsWith('round')).length;

describe.skipIf(obstacle !== undefined)('a flood of an allowed port', () => {
  const capacity = 4096;
  const fragmentMemory = 1 << 20;
  let lab: FloodLab;
  beforeAll(async () => {
    lab = await FloodLab.create({
      flows: { capacity, perServerShare: 0.5 },
      fragments: { memory: fragmentMemory },
      // So that nothing makes room but pressure; also longer than tcpUnacknowledged, which must not matter.
      timeouts: { tcpSynSent: 600, tcpSynRecv: 600, udp: 600, udpStream: 600 },
    });
    await lab.open('client', web, 20);
    await lab.open('client', db, 20);
    await lab.open('web', client, 20);
    await lab.open('db', web, 20);
  });
  afterAll(async () => {
    await lab.firewall.close();
  });

  /**
   * Floods while a transfer runs, with new connections to another server, until the firewall has seen enough of it: how much of a
   * flood arrives depends on the machine. Returns the metrics before and after.
   */
  async function floodUnderLoad(
    options: Omit<FloodOptions, 'seed' | 'to'>,
    meanwhile: () => Promise<void>,
    isEnough: (before: Metrics, after: Metrics) => boolean,
  ): Promise<[Metrics, Metrics]> {
    const { firewall } = lab;
    const before = await firewall.metrics();
    await firewall.serveIperf('web', 5400, '-1');
    const arrivals = await firewall.countArrivals('web', `{ ${client} }`);
    const iperf = ['iperf3', '-c', web, '-p', '5400', '-t', '600', '-b', '100M'];
    const transfer = firewall.lab.spawn('client', iperf);
    await firewall.until('the transfer runs', async () => (await arrivals()) > 100);
    let after = before;
    await firewall.until('enough of the flood has arrived', async () => {
      const over = lab.flood(options).then(() => true);
      do await meanwhile();
      while (!(await Promise.race([over, sleep(0, false)])));
      after = await firewall.metrics();
      return isEnough(before, after);
    });
    const seen = await arrivals();
    await firewall.until('the transfer goes on', async () => (await arrivals()) > seen + 1000);
    const ended = once(transfer, 'exit');
    transfer.kill();
    await ended;
    await lab.expectAllAlive();
    expect(after.get('tunwall_fragment_bytes')).toBeLessThanOrEqual(fragmentMemory);
    expect(flowsInTable(after)).toBeLessThanOrEqual(capacity);
    return [before, after];
  }

  it.each([
    { what: 'SYNs', kind: 'syn', port: 80 },
    { what: 'UDP', kind: 'udp', port: 53 },
  ] as const)('$what of ten times the table', async ({ kind, port }) => {
    const opened = (before: Metrics, after: Metrics): number =>
      after.get('tunwall_flows_opened_total')! - before.get('tunwall_flows_opened_total')!;
    const [before, after] = await floodUnderLoad(
      { kind, port, count: 10 * capacity, perSecond: 20_000 },
      async () => expect(await lab.curl(db)).toBe(0),
      (...metrics) => opened(...metrics) >= 10 * capacity,
    );
    const given = (each: string): number => evicted(after, each) - evicted(before, each);
    expect(given('unanswered') + given('closing') + given('expired')).toBeGreaterThanOrEqual(
      opened(before, after) - capacity,
    );
    expect(evicted(after, 'established')).toBe(0);
    // The flooded server is there again.
    expect(await lab.curl(web)).toBe(0);
  });

  it('fragments of datagrams that never come whole', async () => {
    const given = (before: Metrics, after: Metrics): number =>
      dropped(after, 'fragment-memory') - dropped(before, 'fragment-memory');
    // Datagrams that do come whole still get through, unless a full ring has lost a part of them.
    const ping = ['ping', '-c', '1', '-W', '5', '-s', '4000', web];
    const [, after] = await floodUnderLoad(
      { kind: 'fragment', port: 53, count: 10_000, perSecond: 5_000 },
      () =>
        lab.firewall.until('a large ping is answered', async () => {
          return (await lab.firewall.lab.exec('client', ping)).code === 0;
        }),
      // Each lies in a chunk of 2 KiB.
      (...metrics) => given(...metrics) > 10 * (fragmentMemory / 2048),
    );
    expect(evicted(after, 'established')).toBe(0);
  });
});

describe.skipIf(obstacle !== undefined)('a table full of conversations', () => {
  // The smallest table that can be configured; half of it for one server.
  const capacity = 1024;
  let lab: FloodLab;
  beforeAll(async () => {
    lab = await FloodLab.create({ flows: { capacity, perServerShare: 0.5 } });
  });
  afterAll(async () => {
    await lab.firewall.close();
  });

  it('a server whose share is full takes no new ones and loses none; others take them', async () => {
    await lab.open('client', web, capacity / 2);
    const before = await lab.firewall.metrics();
    await lab.flood({ kind: 'syn', port: 80, count: 5000, perSecond: 10_000 });
    const after = await lab.firewall.metrics();
    expect(dropped(after, 'server-share') - dropped(before, 'server-share')).toBeGreaterThan(0);
    expect(await lab.curl(webSecond)).toBe(0);
    expect(await lab.curl(db)).toBe(0);
    await lab.expectAllAlive();
  });

  it('so does the whole table', async () => {
    await lab.open('client', db, capacity / 2);
    const before = await lab.firewall.drops('table-full');
    expect(await lab.curl(webSecond)).not.toBe(0);
    const metrics = await lab.firewall.metrics();
    expect(dropped(metrics, 'table-full')).toBeGreaterThan(before);
    expect(metrics.get('tunwall_flows{protocol="tcp",state="established"}')).toBe(capacity);
    expect(evicted(metrics, 'established')).toBe(0);
    await lab.expectAllAlive();
  });
});
