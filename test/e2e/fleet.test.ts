/** The panels of two gateways that share a policy: two people edit one firewall, and a gateway stops. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import type { Locator, Page } from 'playwright-core';
import type { EtcdStore } from '../../src/control/store/etcd/etcd-store.ts';
import { web } from '../netns/support/firewall.ts';
import { EtcdCluster, etcdObstacle } from '../support/etcd.ts';
import { EtcdRelay } from '../support/etcd-relay.ts';
import { EtcdSubject } from '../support/etcd-subject.ts';
import { alice } from '../support/stores.ts';
import { PanelLab, editRule, obstacle, password } from './support/panel-lab.ts';

const regions = { 'gw-1': 'hkg', 'gw-2': 'sgp' };
/** What is waited for goes through etcd, and is looked for every two seconds. */
const patience = { timeout: 60_000 };

describe.skipIf((obstacle ?? etcdObstacle) !== undefined)('the panels of two gateways', () => {
  let cluster: EtcdCluster;
  let subject: EtcdSubject;
  let store: EtcdStore;
  const panels: PanelLab[] = [];
  const relays: EtcdRelay[] = [];
  let first: Page;
  let second: Page;

  const begin = async (name: keyof typeof regions): Promise<PanelLab> => {
    const etcd = { endpoints: cluster.endpoints, prefix: subject.prefix };
    const gateway = { name, region: regions[name], store: { etcd } };
    return await PanelLab.create({ templates: {}, servers: [], gateway }, async ({ lab }) => {
      relays.push(await EtcdRelay.open(lab, 'gateway', cluster.endpoints));
    });
  };

  beforeAll(async () => {
    cluster = await EtcdCluster.start({ size: 1 });
    const site = { inbound: [{ protocol: 'tcp', ports: [80] }, { protocol: 'icmp' }] };
    const servers = [{ name: 'web', addresses: [web], templates: ['site'], region: 'sgp' }];
    subject = await EtcdSubject.create(cluster, {
      'templates/site.yaml': stringify(site),
      'servers.yaml': stringify({ servers }),
    });
    store = await subject.store();
    await store.users.create(alice, { name: 'owner', role: 'owner', password });
    panels.push(await begin('gw-1'), await begin('gw-2'));
    [first, second] = await Promise.all([
      panels[0]!.openAs('owner', '/firewalls/site'),
      panels[1]!.openAs('owner', '/firewalls/site'),
    ]);
  });
  afterAll(async () => {
    for (const relay of relays) relay.close();
    for (const panel of panels) await panel.close();
    await cluster.stop();
    await subject.remove();
  });

  const review = (page: Page): Locator => page.getByRole('dialog', { name: 'Review before save' });
  const inbound = (page: Page, number: number): Locator =>
    page.getByRole('group', { name: `Inbound rule ${number}` });
  const rules = async (): Promise<unknown> => {
    const { templates } = await store.read();
    return templates.find(({ name }) => name === 'site')!.inbound;
  };

  it('tell the second of two who edit one firewall, and lose nothing', async () => {
    await editRule(second, 1);
    await inbound(second, 1).getByLabel('Comment').fill('from the second');
    await editRule(first, 1);
    await inbound(first, 1).getByLabel('Ports').fill('80, 443');
    await first.getByRole('button', { name: 'Save' }).click();
    await review(first).getByRole('button', { name: 'Save and apply' }).click();
    await review(first).waitFor({ state: 'hidden', ...patience });

    await second.getByText('site was changed meanwhile').waitFor(patience);
    await second.getByText('owner has changed it').waitFor();
    await second.getByText('inbound TCP: 80,443 from any', { exact: true }).waitFor();
    expect(await inbound(second, 1).getByLabel('Comment').inputValue()).toBe('from the second');
    expect(await rules()).toMatchObject([{ ports: [{ from: 80 }, { from: 443 }] }, {}]);
    await second.getByRole('button', { name: 'Keep mine and review again' }).click();
    await review(second).getByRole('button', { name: 'Save and apply' }).click();
    await review(second).waitFor({ state: 'hidden', ...patience });
    await inbound(first, 1).getByText('from the second').waitFor(patience);
    // What the first has written is a version, from where it can be brought back.
    expect(await store.history.list('site')).toHaveLength(3);
  });

  it('say which gateway this is, and where those of a server are', async () => {
    await first.goto('/servers/web');
    const here = first.getByTitle('This gateway');
    await here.waitFor(patience);
    expect(await here.textContent()).toBe('gw-1, region hkg');
    await first.getByText('sgp: gw-2', { exact: true }).waitFor(patience);
  });

  it('show which one was stopped', async () => {
    await first.goto('/gateways');
    const row = first.getByRole('row', { name: /^gw-2/ });
    await row.getByText('ok', { exact: true }).waitFor(patience);
    await panels[1]!.firewall.stop();
    await row.getByText('stopped', { exact: true }).waitFor(patience);
    await row.getByText(/^last seen/).waitFor();
    await vi.waitFor(async () => {
      const { gateways } = await store.gateways();
      expect(gateways.map(({ name, runs }) => [name, runs])).toEqual([
        ['gw-1', true],
        ['gw-2', false],
      ]);
    }, patience);
    expect(panels.flatMap(({ complaints }) => complaints)).toEqual([]);
  });
});
