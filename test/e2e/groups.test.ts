/** Groups in the panel: a rule for a label, found by suggestion; a firewall that applies to a label; and a server that gets it. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { db, web } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import { PanelLab, logIn, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('groups', () => {
  let panel: PanelLab;
  let page: Page;
  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: { out: { outbound: [{ protocol: 'all' }] } },
      servers: [
        { name: 'web', addresses: [web], templates: ['out'], labels: { role: 'web' } },
        { name: 'db', addresses: [db], templates: [] },
      ],
    });
    await panel.firewall.serve('db', 'tcp:80');
    page = await panel.open('/');
    await logIn(page, 'owner');
  });
  afterAll(async () => {
    await panel.close();
  });

  const passes = async (): Promise<number> =>
    (await whatPasses(panel.firewall, [tcp('web', db, 80)])).length;

  it('a rule takes a label that is suggested, an exception and an end', async () => {
    await page.getByRole('link', { name: 'Firewalls' }).first().click();
    await page.getByRole('link', { name: 'Create Firewall' }).first().click();
    await page.getByLabel('Name', { exact: true }).fill('data');
    await page.getByRole('button', { name: 'Add New Inbound Rule' }).click();
    const rule = page.getByRole('group', { name: 'Inbound rule 1' });
    await rule.getByLabel('Ports').fill('80');
    await rule.getByLabel('Sources').fill('rol');
    const suggested = rule.locator('datalist option');
    await suggested.first().waitFor({ state: 'attached' });
    expect(await suggested.first().getAttribute('value')).toBe('label:role=web');
    await rule.getByLabel('Sources').fill('label:role=web');
    await rule.getByRole('button', { name: 'Options of inbound rule 1' }).click();
    const options = page.getByRole('dialog', { name: 'Options of inbound rule 1' });
    await options.getByLabel('Except').fill('192.0.2.7');
    await options.getByRole('button', { name: '1 day' }).click();
    await page.keyboard.press('Escape');
    await rule.getByText(/^except 192\.0\.2\.7; until 20\d\d-/).waitFor();
  });

  it('applies to a label, and the server that gets it is reachable', async () => {
    await page.getByRole('combobox', { name: 'Applies to' }).fill('role=db');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    const review = page.getByRole('dialog', { name: 'Review before save' });
    await review.getByRole('button', { name: 'Save and apply' }).click();
    await page.getByRole('heading', { level: 1, name: 'data' }).waitFor();
    expect(await passes()).toBe(0);

    await page.goto('/servers/db');
    await page.getByRole('button', { name: 'Edit' }).click();
    const form = page.getByRole('dialog', { name: 'Edit db' });
    await form.getByRole('combobox', { name: 'Labels' }).fill('role=db');
    await page.keyboard.press('Enter');
    await form.getByRole('button', { name: 'Save' }).click();
    await page.getByText('by role=db').first().waitFor();
    expect(await passes()).toBe(1);
    expect(panel.complaints).toEqual([]);
  });
});
