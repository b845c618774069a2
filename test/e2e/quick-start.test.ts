/**
 * The quick-start guide of the service's page, step by step, on a panel without any state; afterwards the firewall
 * does what was clicked. And what all of it weighs.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { db, repository, web } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import { PanelLab, logIn, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('the quick-start guide', () => {
  let panel: PanelLab;
  let page: Page;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: {},
      servers: [
        { name: 'web', addresses: [web], templates: [] },
        { name: 'db', addresses: [db], templates: [] },
      ],
    });
    await panel.firewall.serve('web', 'tcp:80', 'tcp:443');
    await panel.firewall.serve('db', 'tcp:80');
    page = await panel.open('/');
  });
  afterAll(async () => {
    await panel.close();
  });

  const probes = [
    tcp('client', web, 80),
    tcp('client', web, 443),
    tcp('client', db, 80),
    tcp('web', db, 80),
  ];

  it('1. Log in. Go to the Services section and click Firewalls', async () => {
    expect(await whatPasses(panel.firewall, probes)).toEqual([]);
    await logIn(page, 'owner');
    const menu = page.getByRole('navigation', { name: 'Sections' });
    await menu.getByText('Services').waitFor();
    await menu.getByRole('link', { name: 'Firewalls' }).click();
    await page.getByRole('heading', { level: 1, name: 'Firewalls' }).waitFor();
    expect(await page.title()).toBe('Firewalls · tunwall');
    await page.getByText('No firewalls yet').waitFor();
  });

  it('2. Click + Create Firewall', async () => {
    await page.getByRole('link', { name: 'Create Firewall' }).first().click();
    await page.getByRole('heading', { level: 1, name: 'Create Firewall' }).waitFor();
  });

  it('3. Enter the name, add inbound and outbound rules', async () => {
    await page.getByLabel('Name', { exact: true }).fill('site');
    await page.getByRole('button', { name: 'Add New Inbound Rule' }).click();
    const inbound = page.getByRole('group', { name: 'Inbound rule 1' });
    await inbound.getByLabel('Protocol').selectOption('TCP');
    await inbound.getByLabel('Ports').fill('80');
    await inbound.getByLabel('Sources').fill('198.51.100.0/24');
    await page.getByRole('button', { name: 'Add New Outbound Rule' }).click();
    const outbound = page.getByRole('group', { name: 'Outbound rule 1' });
    await outbound.getByLabel('Protocol').selectOption('ALL');
    await outbound.getByRole('button', { name: 'Any IPv4' }).click();
  });

  it('4. Select the servers', async () => {
    await page.getByRole('checkbox', { name: 'web' }).check();
    await page.getByRole('checkbox', { name: 'db' }).check();
    await page.getByText('2 servers selected').waitFor();
  });

  it('5. Click Save: what it does is shown first, then it is in force', async () => {
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    const review = page.getByRole('dialog', { name: 'Review before save' });
    const possible = review.getByLabel('What becomes possible');
    await possible.getByText('db, web: TCP, port 80, from 198.51.100.0/24').waitFor();
    await possible
      .getByText('db, web: every protocol, every port, to the whole Internet')
      .waitFor();
    await review.getByText('2 servers affected').waitFor();
    await review.getByText('No live flow is cut').waitFor();
    expect(await review.getByLabel('Difference in the configuration').innerText()).toContain(
      '+  - { protocol: tcp, ports: [80], sources: [198.51.100.0/24] }',
    );
    // Nothing was saved so far.
    expect(await panel.ask('GET', '/v1/templates')).toEqual({ templates: [] });
    await review.getByRole('button', { name: 'Save and apply' }).click();
    await page.getByText(/Applied: epoch \d+ is in force/).waitFor();
    await page.getByRole('heading', { level: 1, name: 'site' }).waitFor();
    const passing = await whatPasses(panel.firewall, probes);
    expect(passing).toEqual(await whatPasses(panel.firewall, [probes[0]!, probes[2]!]));
    expect(passing).toHaveLength(2);
  });

  it('counts what the rules have let through', async () => {
    const row = page.getByRole('group', { name: 'Inbound rule 1' });
    await row.getByText(/^[1-9]\d* hits$/).waitFor();
    await page.getByRole('link', { name: 'Firewalls' }).first().click();
    await page.getByRole('row', { name: /site 2 2 [1-9]/ }).waitFor();
  });

  it('has broken no rule of its own policy, and made no mistake', () => {
    expect(panel.complaints).toEqual([]);
  });

  it('is less than 400 KB, all pages together', () => {
    const assets = join(repository, 'dist/panel/assets');
    const names = readdirSync(assets);
    const originals = names.filter((name) => !/\.(br|gz)$/.test(name));
    expect(originals.length).toBeGreaterThan(5);
    for (const ending of ['.br', '.gz']) {
      const sizes = originals.map((name) => readFileSync(join(assets, name + ending)).length);
      const sum = sizes.reduce((all, size) => all + size, 0);
      console.log(`the panel: ${sum} bytes as ${ending}`);
      expect(sum).toBeLessThan(400_000);
    }
  });
});
