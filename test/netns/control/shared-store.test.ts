/**
 * A gateway whose policy lies in etcd: without it packets go on as before, and changes are refused; what was changed elsewhere
 * arrives when it is back.
 *
 *     client ── gateway (tunwall, as nobody; three members of etcd) ── web
 *
 * The second gateway is a configuration directory of its own, with the command line.
 */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finished } from '../../../src/lab/types.ts';
import { EtcdCluster, etcdObstacle } from '../../support/etcd.ts';
import { FirewallLab, client, obstacle, program, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';

const nobody = 65_534;
const config: Config = {
  templates: { site: { inbound: [{ protocol: 'tcp', ports: [80] }, { protocol: 'icmp' }] } },
  servers: [{ name: 'web', addresses: [web], templates: ['site'] }],
};

describe.skipIf((obstacle ?? etcdObstacle) !== undefined)('a policy in etcd', () => {
  let firewall: FirewallLab;
  let cluster: EtcdCluster;
  let second: string;

  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    cluster = await EtcdCluster.start({ namespace: firewall.lab.namespace('gateway') });
    const store = { etcd: { endpoints: cluster.endpoints } };
    firewall.write({ ...config, gateway: { store, name: 'gw-1', region: 'hkg' } });
    await chown(firewall.configDirectory, nobody, nobody);
    second = join(firewall.lab.directory, 'second');
    await mkdir(second);
    await writeFile(join(second, 'gateway.yaml'), JSON.stringify({ store, name: 'gw-2' }));
    await firewall.serve('web', 'tcp:80', 'tcp:443');
  });
  afterAll(async () => {
    await cluster.stop();
    await firewall.close();
  });

  const tunwall = (...args: string[]): Promise<Finished> =>
    firewall.lab.exec('gateway', [process.execPath, program, ...args]);
  const reached = async (): Promise<number[]> => {
    const probes = [80, 443].map((port) => tcp('client', web, port));
    const passed = await whatPasses(firewall, probes);
    return [80, 443].filter((port) => passed.some((text) => text.includes(String(port))));
  };
  const connected = async (wanted: boolean): Promise<void> => {
    await firewall.until(`the store is ${wanted ? '' : 'not '}connected`, async () => {
      const value = (await firewall.metrics()).get('tunwall_store_connected');
      return value === (wanted ? 1 : 0);
    });
  };
  const addRule = (port: number, ...where: string[]): Promise<Finished> =>
    tunwall('template', 'add-rule', 'site', 'inbound', `TCP: ${port}`, ...where);

  it('that nobody has made yet forwards nothing, and says so', async () => {
    await firewall.start();
    expect(await reached()).toEqual([]);
    expect(await firewall.healthz()).toMatchObject({ status: 'ok', store: { connected: false } });
    const { stdout, stderr } = await tunwall('status', '--socket', firewall.socket);
    expect(stdout).toContain('gw-1, region hkg');
    expect(stderr).toContain('nothing is forwarded: this gateway has never seen the policy');
  });

  it('that is made from a directory is in force', async () => {
    expect(await tunwall('store', 'init', '--config', second)).toMatchObject({ code: 0 });
    const push = ['store', 'push', firewall.configDirectory, '--config', second];
    expect(await tunwall(...push, '--dry-run')).toMatchObject({ code: 2 });
    expect(await tunwall(...push)).toMatchObject({ code: 1 });
    const { code, stdout } = await tunwall(...push, '--yes');
    expect([code, stdout.includes('+++ templates/site.yaml')]).toEqual([0, true]);
    await firewall.until('the policy is in force', async () => (await reached()).length > 0);
    expect(await reached()).toEqual([80]);
    expect(await tunwall(...push, '--dry-run')).toMatchObject({ code: 0 });
  });

  it('that is changed at another gateway is in force at this one', async () => {
    expect(await addRule(443, '--config', second)).toMatchObject({ code: 0 });
    await firewall.until('both pass', async () => (await reached()).length === 2);
    const { stdout } = await tunwall('audit', '--socket', firewall.socket);
    expect(stdout).toContain('template.add-rule');
  });

  it('stays in force without etcd, also over a restart, and changes are refused', async () => {
    const arrivals = await firewall.countArrivals('web', `${client}/32`);
    const pings = firewall.lab.exec('client', ['ping', '-i', '0.1', '-c', '60', web]);
    await firewall.until('ping runs', async () => (await arrivals()) > 5);
    await cluster.kill(0, 1, 2);
    await connected(false);
    expect((await pings).stdout).toContain(' 0% packet loss');
    expect(await reached()).toEqual([80, 443]);
    const refused = await addRule(8080, '--socket', firewall.socket);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/etcd|does not answer/);

    await firewall.stop();
    await firewall.start();
    expect(await reached()).toEqual([80, 443]);
    expect(await firewall.healthz()).toMatchObject({ status: 'ok', store: { connected: false } });
  });

  it('that was changed while a gateway was away arrives', async () => {
    cluster.restart(0, 1, 2);
    await cluster.ready();
    await connected(true);
    const destroy = ['template', 'remove-rule', 'site', 'inbound', '0', '--config', second];
    expect(await tunwall(...destroy)).toMatchObject({ code: 0 });
    await firewall.until('only one passes', async () => (await reached()).length === 1);
    expect(await reached()).toEqual([443]);
    const metrics = await firewall.metrics();
    expect(metrics.get('tunwall_store_revision')).toBeGreaterThan(3);
    expect(metrics.get('tunwall_store_confirmed_age_seconds')).toBeLessThan(60);
  });
});
