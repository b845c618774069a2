/**
 * Floods of ten times what the firewall can remember, on allowed ports and from random sources: who was there before stays,
 * other servers stay reachable, memory stays bounded, and the metrics tell.
 */
import { readFile } from 'node:fs/promises';
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

/** Young generations that stay small, one a thread: with 16 MiB each, as usual, they would hide what is looked for. */
const youngFlags = ['--max-semi-space-size=1'];

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

  static async create(gateway: Record<string, unknown>): Promise<FloodLab> {
    const firewall = await FirewallLab.started({ ...openConfig, gateway }, {}, youngFlags);
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
    const json = JSON.stringify({ ...options, to: web, seed });
    const reported = await runScript(this.firewall, 'client', 'flood', 'inj0', json).result();
    expect(JSON.parse(reported)).toMatchObject({ sent: options.count });
  }

  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.firewall.process!.pid!}/status`, 'utf8');
    return Number(/VmRSS:\s*(\d+) kB/.exec(status)![1]) * 1024;
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
  /**
   * How much the process may grow by all floods together, some 90,000 packets: the first one touches the tables (4,096 flows
   * and 1 MiB of fragments here) and every thread's buffers for the first time, and the code for it is compiled, 16 to 27 MiB
   * with two queues. Behind it, nothing that is kept grows: half a kilobyte for each packet of the other two, a drop record or
   * a log line, would be 25 MiB.
   */
  const allowedGrowthBytes = 40 << 20;
  const allowedGrowthWarmBytes = 10 << 20;
  let residentBefore: number;
  let residentWarm: number | undefined;
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
    residentBefore = await lab.residentBytes();
  });
  afterAll(async () => {
    await lab.firewall.close();
  });

  async function expectBoundedMemory(): Promise<void> {
    const resident = await lab.residentBytes();
    expect(resident - residentBefore).toBeLessThan(allowedGrowthBytes);
    residentWarm ??= resident;
    expect(resident - residentWarm).toBeLessThan(allowedGrowthWarmBytes);
  }

  /** Floods while an iperf3 runs, with new connections to another server; returns the metrics before and after. */
  async function floodUnderLoad(
    options: Omit<FloodOptions, 'seed' | 'to'>,
    meanwhile: () => Promise<void>,
  ): Promise<[Metrics, Metrics]> {
    const { firewall } = lab;
    const before = await firewall.metrics();
    firewall.lab.spawn('web', ['iperf3', '-s', '-1', '-p', '5400']);
    const arrivals = await firewall.countArrivals('web', `{ ${client} }`);
    const iperf = ['iperf3', '-c', web, '-p', '5400', '-t', '10', '-b', '100M', '-J'];
    await firewall.until('iperf3 listens', async () => {
      const { stdout } = await firewall.lab.exec('web', ['ss', '-Htln', 'sport = :5400']);
      return stdout !== '';
    });
    let transferring = true;
    const transfer = firewall.lab.mustExec('client', iperf).finally(() => (transferring = false));
    await firewall.until('iperf3 runs', async () => (await arrivals()) > 100);
    const over = lab.flood(options).then(() => true);
    do await meanwhile();
    while (!(await Promise.race([over, sleep(0, false)])));
    expect(transferring).toBe(true);
    const report = JSON.parse(await transfer) as { end: { sum_received: { bytes: number } } };
    expect(report.end.sum_received.bytes).toBeGreaterThan(1_000_000);
    await lab.expectAllAlive();
    await expectBoundedMemory();
    return [before, await firewall.metrics()];
  }

  it.each([
    { what: 'SYNs', kind: 'syn', port: 80 },
    { what: 'UDP', kind: 'udp', port: 53 },
  ] as const)('$what of ten times the table', async ({ kind, port }) => {
    const count = 10 * capacity;
    const [before, after] = await floodUnderLoad(
      { kind, port, count, perSecond: 20_000 },
      async () => expect(await lab.curl(db)).toBe(0),
    );
    const grown = (name: string): number => after.get(name)! - before.get(name)!;
    const opened = grown('tunwall_flows_opened_total');
    // What the device's ring could not take is missing; far more than the table holds has arrived.
    expect(opened).toBeGreaterThan(3 * capacity);
    const given = (each: string): number => evicted(after, each) - evicted(before, each);
    expect(given('unanswered') + given('closing') + given('expired')).toBeGreaterThanOrEqual(
      opened - capacity,
    );
    expect(evicted(after, 'established')).toBe(0);
    expect(flowsInTable(after)).toBeLessThanOrEqual(capacity);
    // The flooded server is there again.
    expect(await lab.curl(web)).toBe(0);
  });

  it('fragments of datagrams that never come whole', async () => {
    const count = 10_000;
    // Datagrams that do come whole still get through; one of three may be lost in a full ring.
    const ping = ['ping', '-c', '3', '-i', '0.2', '-W', '5', '-s', '4000', web];
    const [before, after] = await floodUnderLoad(
      { kind: 'fragment', port: 53, count, perSecond: 5_000 },
      async () => expect((await lab.firewall.lab.exec('client', ping)).code).toBe(0),
    );
    const given = dropped(after, 'fragment-memory') - dropped(before, 'fragment-memory');
    // Each lies in a chunk of 2 KiB.
    expect(given).toBeGreaterThan(3 * (fragmentMemory / 2048));
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
    expect(dropped(after, 'server-share') - dropped(before, 'server-share')).toBeGreaterThan(1000);
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
