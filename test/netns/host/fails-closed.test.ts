/** Whatever happens to the firewall, no packet gets past it; and it comes back. Counted on the server's side. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FirewallLab, leaseMs, obstacle, openConfig, web } from '../support/firewall.ts';
import { ping, tcp, udp, whatPasses } from '../support/probes.ts';

const probes = [ping('client', web), tcp('client', web, 80), udp('client', web, 53)];

describe.skipIf(obstacle !== undefined)('fails closed', () => {
  let firewall: FirewallLab;
  beforeEach(async () => {
    firewall = await FirewallLab.started(openConfig);
  });
  afterEach(async () => {
    await firewall.close();
  });

  /** Traffic of all kinds that does not end. */
  async function startTraffic(): Promise<() => Promise<number>> {
    const { lab } = firewall;
    await firewall.serveIperf('web', 5201);
    lab.spawn('client', ['iperf3', '-c', web, '-t', '120', '-b', '50M']);
    lab.spawn('client', ['ping', '-i', '0.01', '-q', web]);
    const arrivals = await firewall.countArrivals('web');
    await firewall.until('traffic runs', async () => (await arrivals()) > 1000);
    return arrivals;
  }

  async function expectSilence(arrivals: () => Promise<number>): Promise<void> {
    const before = await arrivals();
    const sent = await firewall.countArrivals('gateway');
    expect(await whatPasses(firewall, probes)).toEqual([]);
    await firewall.until(
      'the probes have come as far as the gateway',
      async () => (await sent()) >= probes.length,
    );
    expect(await arrivals()).toBe(before);
  }

  it('killed in the middle of traffic', async () => {
    const arrivals = await startTraffic();
    expect(await firewall.stop('SIGKILL')).toBe('SIGKILL');
    await sleep(leaseMs);
    await expectSilence(arrivals);
    await firewall.start();
    expect(await whatPasses(firewall, probes)).toHaveLength(3);
  });

  it('stopped in the middle of traffic', async () => {
    const arrivals = await startTraffic();
    expect(await firewall.stop('SIGTERM')).toBe(0);
    await expectSilence(arrivals);
  });

  it('device deleted underneath', async () => {
    const arrivals = await startTraffic();
    const ended = new Promise<number | null>((resolve) => firewall.process!.once('exit', resolve));
    await firewall.lab.ip('gateway', 'link', 'delete', 'fw0');
    expect(await ended).toBe(1);
    await expectSilence(arrivals);
    const reported = (await firewall.log()).find(({ level }) => level === 60);
    expect(reported?.['msg']).toContain('nothing is forwarded');
    await firewall.gateway('up', '--user', 'nobody');
    await firewall.start();
    expect(await whatPasses(firewall, probes)).toHaveLength(3);
  });

  it('not started at all, or started with a broken configuration', async () => {
    await firewall.stop();
    const arrivals = await firewall.countArrivals('web');
    await expectSilence(arrivals);
    const file = join(firewall.configDirectory, 'templates/open.yaml');
    await writeFile(file, 'inbound: [{ protocol: tcp, ports: [0] }]\n');
    const { code, stderr } = await firewall.lab.exec(
      'gateway',
      firewall.runCommand('--config', firewall.configDirectory),
    );
    expect(code).toBe(1);
    expect(stderr).toContain(`${file}:1:36: inbound[0].ports[0]: expected a port from 1 to 65535`);
    await expectSilence(arrivals);
  });
});
