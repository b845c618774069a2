/** The policy changes while traffic runs: what is forbidden stops, what is allowed does not notice. */
import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, obstacle, openConfig, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';

const webWith = (...ports: number[]): Config => ({
  templates: { web: { inbound: [{ protocol: 'tcp', ports }, { protocol: 'icmp' }] } },
  servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
});

describe.skipIf(obstacle !== undefined)('reload', () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.started(openConfig);
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** A slow transfer from the client to the web server that lasts until the lab is closed. */
  async function startTransfer(port: number): Promise<() => Promise<number>> {
    await firewall.serveIperf('web', port, '-1');
    const transfer = ['iperf3', '-c', web, '-t', '600', '-b', '20M', '-p', String(port)];
    firewall.lab.spawn('client', transfer);
    const arrivals = await firewall.countArrivals('web');
    await firewall.until('the transfer runs', async () => (await arrivals()) > 100);
    return arrivals;
  }

  /** What the client sends on is dropped, and nothing of it arrives. */
  async function expectCut(arrivals: () => Promise<number>): Promise<void> {
    const atCut = await arrivals();
    const dropped = await firewall.dropsInAll();
    await firewall.until(
      'the client has tried again, several times',
      async () => (await firewall.dropsInAll()) >= dropped + 3,
    );
    expect(await arrivals()).toBe(atCut);
  }

  it('allow to forbid cuts a running transfer', async () => {
    await firewall.apply(webWith(80, 5201));
    const arrivals = await startTransfer(5201);
    await firewall.apply(webWith(80));
    await expectCut(arrivals);
    // iperf3 has a connection for control and one for data; the sweep or their next packet cuts them.
    await firewall.until('the sweep is through', async () =>
      (await firewall.log()).some(
        ({ msg, flowsCut }) => msg === 'flows judged again' && Number(flowsCut) > 0,
      ),
    );
    const metrics = await firewall.metrics();
    expect(metrics.get('tunwall_flows_cut_total')).toBeGreaterThanOrEqual(2);
    expect(metrics.get('tunwall_policy_sweep_remaining')).toBe(0);
  });

  const flowsCut = async (): Promise<number> =>
    (await firewall.metrics()).get('tunwall_flows_cut_total')!;

  it('with "keep", a running transfer goes on and only a new one is refused', async () => {
    const gateway = { reload: 'keep' } as const;
    await firewall.apply({ ...webWith(80, 5202), gateway });
    const arrivals = await startTransfer(5202);
    const before = await flowsCut();
    await firewall.apply({ ...webWith(80), gateway });
    const atReload = await arrivals();
    await firewall.until(
      'the sweep has visited every flow',
      async () => (await firewall.metrics()).get('tunwall_policy_sweep_remaining') === 0,
    );
    await firewall.until('the transfer goes on', async () => (await arrivals()) > atReload + 20);
    expect(await flowsCut()).toBe(before);
    const refused = await firewall.drops('no-inbound-rule');
    await firewall.lab.exec('client', ['nc', '-z', '-w', '1', web, '5202']);
    expect(await firewall.drops('no-inbound-rule')).toBeGreaterThan(refused);
    // The next change by the default judges what was kept as well.
    const { templates, servers } = webWith(80);
    await firewall.apply({ servers, templates: { ...templates, unused: {} } });
    await firewall.until('it was cut after all', async () => (await flowsCut()) >= before + 2);
  });

  it('with "drain", a running transfer goes on until the deadline', async () => {
    const gateway = { reload: { drain: 3 } };
    await firewall.apply({ ...webWith(80, 5203), gateway });
    const arrivals = await startTransfer(5203);
    const before = await flowsCut();
    await firewall.apply({ ...webWith(80), gateway });
    const atReload = await arrivals();
    expect(await flowsCut()).toBe(before);
    await firewall.until('it was cut', async () => (await flowsCut()) >= before + 2);
    expect(await arrivals()).toBeGreaterThan(atReload);
    await expectCut(arrivals);
    await firewall.apply(webWith(80));
  });

  it('forbid to allow lets in at once', async () => {
    await firewall.apply(webWith(443));
    expect(await whatPasses(firewall, [tcp('client', web, 80)])).toEqual([]);
    await firewall.apply(webWith(80, 443));
    expect(await whatPasses(firewall, [tcp('client', web, 80)])).toHaveLength(1);
  });

  it('an unrelated change does not disturb a running transfer', async () => {
    await firewall.apply(openConfig);
    const arrivals = await startTransfer(5300);
    const [epoch, cutBefore] = [await firewall.epoch(), await flowsCut()];
    const changes = 5;
    for (let change = 0; change < changes; change++) {
      const templates = { ...openConfig.templates, [`unused-${change}`]: {} };
      await firewall.apply({ ...openConfig, templates });
      const seen = await arrivals();
      await firewall.until('the transfer goes on', async () => (await arrivals()) > seen + 100);
    }
    expect(await firewall.epoch()).toBeGreaterThanOrEqual(epoch + changes);
    expect(await flowsCut()).toBe(cutBefore);
  });

  it('a broken file changes nothing, is reported with its place, and counted', async () => {
    await firewall.apply(webWith(80));
    const epoch = await firewall.epoch();
    const failures = 'tunwall_policy_reload_failures_total';
    const before = (await firewall.metrics()).get(failures)!;
    const file = join(firewall.configDirectory, 'templates/web.yaml');
    // In one step: a file that is written in place is empty for a moment, which is a template without rules.
    const aside = join(firewall.lab.directory, 'web.yaml');
    await writeFile(
      aside,
      'inbound:\n  - { protocol: tcp, ports: [80, 99999] }\n  - { protocol: igmp }\n',
    );
    await rename(aside, file);
    await firewall.until(
      'it was refused',
      async () => (await firewall.metrics()).get(failures)! > before,
    );
    const reported = (await firewall.log()).filter((entry) => entry['field'] !== undefined);
    expect(reported.at(-2)).toMatchObject({
      file,
      line: 2,
      column: 34,
      field: 'inbound[0].ports[1]',
    });
    expect(reported.at(-1)).toMatchObject({
      file,
      line: 3,
      column: 17,
      field: 'inbound[1].protocol',
    });
    expect(await firewall.epoch()).toBe(epoch);
    expect((await firewall.healthz())?.['reloadError']).toContain('99999');
    expect(
      await whatPasses(firewall, [tcp('client', web, 80), tcp('client', web, 443)]),
    ).toHaveLength(1);
    await firewall.apply(webWith(80));
    expect((await firewall.healthz())?.['reloadError']).toBeNull();
  });

  it('sees every way to save a file', async () => {
    await firewall.apply(webWith(80));
    const templates = join(firewall.configDirectory, 'templates');
    const web8080 = 'inbound:\n  - { protocol: tcp, ports: [8080] }\n';

    await writeFile(join(templates, 'web.yaml'), web8080);
    await firewall.untilInForce();
    expect(
      await whatPasses(firewall, [tcp('client', web, 8080), ping('client', web)]),
    ).toHaveLength(1);

    await writeFile(join(templates, '.web.yaml.swp'), 'not YAML: [');
    await writeFile(join(templates, 'web.yaml~'), 'not YAML: [');
    await writeFile(join(templates, 'new.tmp'), `${web8080}  - { protocol: icmp }\n`);
    await rename(join(templates, 'new.tmp'), join(templates, 'web.yaml'));
    await firewall.untilInForce();
    expect(
      await whatPasses(firewall, [tcp('client', web, 8080), ping('client', web)]),
    ).toHaveLength(2);

    await writeFile(join(templates, 'extra.yaml'), 'inbound: [{ protocol: tcp, ports: [443] }]\n');
    await writeFile(
      join(firewall.configDirectory, 'servers.yaml'),
      `servers: [{ name: web, addresses: [${web}], templates: [web, extra] }]\n`,
    );
    await firewall.untilInForce();
    expect(await whatPasses(firewall, [tcp('client', web, 443)])).toHaveLength(1);

    await rename(join(templates, 'extra.yaml'), join(templates, 'https.yaml'));
    await writeFile(
      join(firewall.configDirectory, 'servers.yaml'),
      `servers: [{ name: web, addresses: [${web}], templates: [https] }]\n`,
    );
    await firewall.untilInForce();
    expect(
      await whatPasses(firewall, [tcp('client', web, 443), tcp('client', web, 8080)]),
    ).toHaveLength(1);

    await writeFile(
      join(firewall.configDirectory, 'servers.yaml'),
      `servers: [{ name: web, addresses: [${web}] }]\n`,
    );
    await rm(join(templates, 'https.yaml'));
    await firewall.untilInForce();
    expect(await whatPasses(firewall, [tcp('client', web, 443)])).toEqual([]);

    await rm(templates, { recursive: true });
    await mkdir(templates);
    await firewall.untilInForce();
    await writeFile(join(templates, 'again.yaml'), web8080);
    await firewall.untilInForce();
  });

  it('with tests.onReload, a change under which a test fails waits until the test is corrected', async () => {
    await firewall.apply({ ...webWith(80), gateway: { tests: { onReload: true } } });
    const tests = join(firewall.configDirectory, 'tests');
    await mkdir(tests);
    const testOf = (port: number): Promise<void> =>
      writeFile(
        join(tests, 'web.yaml'),
        `- { from: 203.0.113.9, to: "server:web", tcp: ${port}, expect: pass }\n`,
      );
    await testOf(80);
    const epoch = await firewall.epoch();
    const template = join(firewall.configDirectory, 'templates/web.yaml');
    await writeFile(template, 'inbound:\n  - { protocol: tcp, ports: [443] }\n');
    await firewall.until('it was refused', async () =>
      String((await firewall.healthz())?.['reloadError']).includes(`${tests}/web.yaml:1:3`),
    );
    expect(await firewall.epoch()).toBe(epoch);
    await testOf(443);
    await firewall.until(
      'it is in force',
      async () => (await firewall.healthz())?.['reloadError'] === null,
    );
    expect(await firewall.epoch()).toBe(epoch + 1);
    await rm(tests, { recursive: true });
  });

  it('SIGHUP reads the directory again', async () => {
    const debug = async (): Promise<number> =>
      (await firewall.log()).filter(({ msg }) => String(msg).startsWith('configuration read'))
        .length;
    await firewall.stop();
    firewall.write({ ...webWith(80), gateway: { log: { level: 'debug' } } });
    await firewall.start();
    const before = await debug();
    // The firewall is what `ip netns exec` has become.
    firewall.process!.kill('SIGHUP');
    await firewall.until('it was read again', async () => (await debug()) > before);
    await appendFile(join(firewall.configDirectory, 'servers.yaml'), '# a comment\n');
    await firewall.until('a comment was seen', async () => (await debug()) > before + 1);
    expect(await firewall.epoch()).toBe(1);
  });
});
