/** Rules that name servers by label, and rules with an end, while packets pass. */
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, db, obstacle, program, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';

const fromWeb = tcp('web', db, 5432);

/** db takes connections from servers with role=web, the client may talk to web. */
function config(labels: Record<string, string> | undefined): Config {
  return {
    templates: {
      db: {
        appliesTo: ['role=db'],
        inbound: [{ protocol: 'tcp', ports: [5432], sources: ['label:role=web'] }],
      },
      open: { inbound: [{ protocol: 'tcp', ports: [80] }], outbound: [{ protocol: 'all' }] },
    },
    servers: [
      { name: 'web', addresses: [web], templates: ['open'], ...(labels && { labels }) },
      { name: 'db', addresses: [db], templates: [], labels: { role: 'db' } },
    ],
  };
}

describe.skipIf(obstacle !== undefined)('groups', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(config(undefined));
  });
  afterAll(async () => {
    await firewall.close();
  });

  it('a server has access with its label, and not without', async () => {
    const passes = async (): Promise<number> => (await whatPasses(firewall, [fromWeb])).length;
    expect(await passes()).toBe(0);
    await firewall.apply(config({ role: 'web' }));
    expect(await passes()).toBe(1);
    await firewall.apply(config({ role: 'mail' }));
    expect(await passes()).toBe(0);
  });

  it('a rule that expires cuts its flows, and the log and the audit log say so', async () => {
    const until = (expires: Date): Config => ({
      templates: {
        web: {
          inbound: [{ protocol: 'tcp', ports: [5400], expires: expires.toISOString() }],
        },
      },
      servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
    });
    // The audit log's place, for the firewall's user.
    const state = join(firewall.configDirectory, '.state');
    await mkdir(state);
    await chown(state, 65_534, 65_534);
    await firewall.apply(until(new Date(Date.now() + 3_600_000)));
    firewall.lab.spawn('web', ['iperf3', '-s', '-p', '5400']);
    const connect = ['iperf3', '-c', web, '-p', '5400', '-b', '20M', '-t', '600'];
    firewall.lab.spawn('client', ['sh', '-c', `until ${connect.join(' ')}; do sleep 0.1; done`]);
    const arrivals = await firewall.countArrivals('web');
    await firewall.until('the transfer runs', async () => (await arrivals()) > 100);
    const cutBefore = (await firewall.metrics()).get('tunwall_flows_cut_total')!;

    await firewall.write(until(new Date(Date.now() + 1500)));
    await firewall.until('the rule has expired', async () =>
      (await firewall.log()).some(({ msg }) => msg === 'rule has expired'),
    );
    await firewall.until(
      'its flows were cut',
      async () => (await firewall.metrics()).get('tunwall_flows_cut_total')! >= cutBefore + 2,
    );
    expect(await whatPasses(firewall, [tcp('client', web, 5400)])).toEqual([]);
    const { stdout } = await firewall.lab.exec('gateway', [
      process.execPath,
      program,
      'audit',
      '--json',
      '--config',
      firewall.configDirectory,
    ]);
    expect(stdout).toContain('rule.expire');
    expect(stdout).toMatch(/inbound\[0\] TCP: 5400 from any .*: rule has expired/);
  });
});
