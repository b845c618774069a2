/** Rules that name servers by label, and rules with an end, while packets pass. The firewall's clock can be set. */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, client, db, obstacle, program, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { tcp, whatPasses } from '../support/probes.ts';
import type { Probe } from '../support/probes.ts';

const fromWeb = tcp('web', db, 5432);
const toWeb = tcp('client', web, 80);
const transferPort = 5400;
const hourMs = 3_600_000;
const expired = 'rule has expired';
const revived = 'rule counts again: the clock was set back';

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

/** web takes transfers on a port until then. */
const until = (expires: string): Config => ({
  templates: { web: { inbound: [{ protocol: 'tcp', ports: [80, transferPort], expires }] } },
  servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
});

describe.skipIf(obstacle !== undefined)('groups', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    const clock = '/mnt/tunwall/test/netns/support/settable-clock.js';
    firewall = await FirewallLab.create(config(undefined), {}, ['--import', clock]);
    await firewall.serve('db', 'tcp:5432');
    await firewall.serve('web', 'tcp:80');
    // The audit log's place, for the firewall's user.
    const state = join(firewall.configDirectory, '.state');
    await mkdir(state);
    await chown(state, 65_534, 65_534);
    await firewall.start();
  });
  afterAll(async () => {
    await firewall.close();
  });

  const setClock = (aheadMs: number): Promise<void> =>
    writeFile(join(firewall.configDirectory, '../clock'), String(aheadMs));
  const logged = async (message: string): Promise<number> =>
    (await firewall.log()).filter(({ msg }) => msg === message).length;
  const audited = async (message: string): Promise<number> => {
    const audit = [process.execPath, program, 'audit', '--config', firewall.configDirectory];
    const { stdout } = await firewall.lab.exec('gateway', audit);
    return stdout.split('\n').filter((line) => line.includes(message)).length;
  };
  const passes = async (...probes: Probe[]): Promise<number> =>
    (await whatPasses(firewall, probes)).length;
  it('a server has access with its label, and not without', async () => {
    expect(await passes(fromWeb)).toBe(0);
    await firewall.apply(config({ role: 'web' }));
    expect(await passes(fromWeb)).toBe(1);
    await firewall.apply(config({ role: 'mail' }));
    expect(await passes(fromWeb)).toBe(0);
  });

  it('a set admits what is added to it, and cuts what is taken out', async () => {
    const say = (address: string): Promise<void> =>
      writeFile(join(firewall.configDirectory, 'sets/partners.yaml'), `addresses: ${address}\n`);
    const flowsCut = async (): Promise<number> =>
      (await firewall.metrics()).get('tunwall_flows_cut_total')!;
    await firewall.apply({
      sets: { partners: { addresses: '192.0.2.1' } },
      templates: {
        web: { inbound: [{ protocol: 'tcp', ports: [80], sources: ['set:partners'] }] },
      },
      servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
    });
    expect(await passes(toWeb)).toBe(0);
    await say(client);
    await firewall.until('the client is in the set', async () => (await passes(toWeb)) === 1);
    const cutBefore = await flowsCut();
    await say('192.0.2.1');
    await firewall.until('its flow is cut', async () => (await flowsCut()) > cutBefore);
    expect(await passes(toWeb)).toBe(0);
  });

  it('a rule that expires cuts its flows, also while the files have errors', async () => {
    const end = new Date(Date.now() + hourMs).toISOString();
    await firewall.apply(until(end));
    firewall.lab.spawn('web', ['iperf3', '-s', '-p', String(transferPort)]);
    const connect = `iperf3 -c ${web} -p ${transferPort} -b 20M -t 600`;
    firewall.lab.spawn('client', ['sh', '-c', `until ${connect}; do sleep 0.1; done`]);
    const arrivals = await firewall.countArrivals('web');
    await firewall.until('the transfer runs', async () => (await arrivals()) > 100);
    const cutBefore = (await firewall.metrics()).get('tunwall_flows_cut_total')!;
    await writeFile(join(firewall.configDirectory, 'servers.yaml'), 'servers: [{ name: web }]\n');
    await firewall.until(
      'the errors are seen',
      async () => (await firewall.status())['reloadError'] !== null,
    );

    await setClock(hourMs);
    await firewall.until('the rule has expired', async () => (await logged(expired)) === 1);
    await firewall.until(
      'its flows were cut',
      async () => (await firewall.metrics()).get('tunwall_flows_cut_total')! >= cutBefore + 2,
    );
    expect(await passes(toWeb)).toBe(0);
    await setClock(0);
    await firewall.until('it counts again', async () => (await logged(revived)) === 1);
    expect(await passes(toWeb)).toBe(1);
    await firewall.apply(until(end));
    expect([await audited(expired), await audited(revived)]).toEqual([1, 1]);
  });

  it('a server that observes lets pass what no rule allows, lists it, and cuts it when that is over', async () => {
    const end = new Date(Date.now() + hourMs).toISOString();
    const { templates } = config(undefined);
    await firewall.apply({
      templates,
      servers: [
        { name: 'web', addresses: [web], templates: ['open'] },
        { name: 'db', addresses: [db], templates: [], mode: 'observe', until: end },
      ],
    });
    const toDb = tcp('client', db, 5432);
    const count = async (name: string): Promise<number> => (await firewall.metrics()).get(name)!;
    const [seen, cut] = [
      await count('tunwall_would_drop_total'),
      await count('tunwall_flows_cut_total'),
    ];
    expect(await passes(toDb)).toBe(1);
    expect(await count('tunwall_would_drop_total')).toBe(seen + 1);
    expect((await firewall.status())['observing']).toEqual([{ server: 'db', until: end }]);
    await firewall.until('it is in the log', async () =>
      (await firewall.log()).some(({ reason }) => reason === 'would-drop'),
    );
    await setClock(hourMs);
    await firewall.until(
      'its flow is cut',
      async () => (await count('tunwall_flows_cut_total')) > cut,
    );
    expect(await passes(toDb)).toBe(0);
    expect(await audited('observing has ended')).toBe(1);
    await setClock(0);
    await firewall.apply(until(end));
  });

  it('an end that came while no firewall ran counts at the next start, and is reported once', async () => {
    await firewall.stop();
    await setClock(hourMs);
    for (let start = 0; start < 2; start++) {
      await firewall.start();
      expect(await logged(expired)).toBe(2);
      expect(await passes(toWeb)).toBe(0);
      await firewall.stop();
    }
    expect(await audited(expired)).toBe(2);
    await setClock(0);
    await firewall.start();
    expect(await logged(revived)).toBe(2);
  });
});
