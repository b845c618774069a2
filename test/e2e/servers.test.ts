/** A thousand servers in the panel: found, sorted, and given firewalls in bulk; no page is wider than a telephone. */
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { db, web } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import { PanelLab, obstacle } from './support/panel-lab.ts';

const crowd = Array.from({ length: 998 }, (_, index) => ({
  name: `app-${index + 1}`,
  addresses: [`10.1.${index >> 8}.${index & 255}`],
  templates: index % 2 === 0 ? ['closed'] : [],
  region: index % 10 === 0 ? 'hkg' : 'sgp',
  labels: { role: 'app', 'a-label-that-is-rather-long': 'with-a-value-that-is-long-as-well' },
}));

describe.skipIf(obstacle !== undefined)('a thousand servers', () => {
  let panel: PanelLab;
  let page: Page;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: {
        open: { inbound: [{ protocol: 'tcp', ports: [80] }], outbound: [{ protocol: 'all' }] },
        closed: {},
      },
      servers: [
        { name: 'web', addresses: [web], templates: ['open'], labels: { role: 'web' } },
        { name: 'db', addresses: [db], templates: [] },
        ...crowd,
      ],
    });
    await panel.firewall.serve('db', 'tcp:80');
    page = await panel.openAs('owner', '/servers');
  });
  afterAll(async () => {
    await panel.close();
  });

  const rows = (): Locator => page.getByRole('table', { name: 'Servers' }).getByRole('row');

  /** What is chosen already is chosen no more. */
  async function choose(label: string, option: string): Promise<void> {
    await page.getByRole('combobox', { name: label }).click();
    await page.getByRole('option', { name: option, exact: true }).click();
  }

  it('shows a page of them, narrowed by region, label, firewall, and whether there is any', async () => {
    await page.getByText('1,000 servers', { exact: true }).waitFor();
    expect(await rows().count()).toBe(51);
    await page.getByRole('button', { name: 'Next page' }).click();
    await page.getByText('Page 2 of 20').waitFor();
    await choose('Region', 'hkg');
    await page.getByText('100 of 1,000 servers').waitFor();
    await page.getByText('Page 1 of 2').waitFor();
    await page.getByRole('checkbox', { name: 'Without firewall' }).check();
    await page.getByText('No server is like that').waitFor();
    await choose('Region', 'hkg');
    await page.getByText('500 of 1,000 servers').waitFor();
    await page.getByRole('checkbox', { name: 'Without firewall' }).uncheck();
    await choose('Label', 'role=web');
    await page.getByText('1 of 1,000 servers').waitFor();
    await page.getByText('Open: TCP, port 80').waitFor();
    await choose('Label', 'role=web');
    await page.getByText('1,000 servers', { exact: true }).waitFor();
  });

  it('gives firewalls to those that are checked, in one change', async () => {
    const probe = tcp('web', db, 80);
    expect(await whatPasses(panel.firewall, [probe])).toEqual([]);
    await page.getByRole('textbox', { name: 'Search servers' }).fill('app-99');
    await page.getByRole('button', { name: 'Select all found (10)' }).click();
    await page.getByRole('textbox', { name: 'Search servers' }).fill(db);
    await page.getByRole('checkbox', { name: 'Select db' }).check();
    await page.getByText('11 servers selected').waitFor();
    await page.getByRole('button', { name: 'Assign firewalls' }).click();
    const dialog = page.getByRole('dialog', { name: 'Firewalls of 11 servers' });
    await dialog.getByRole('combobox', { name: 'Firewalls' }).click();
    await page.getByRole('option', { name: 'open' }).click();
    // What may be chosen lies over the buttons.
    await page.keyboard.press('Tab');
    await dialog.getByRole('button', { name: 'Assign', exact: true }).click();
    const review = page.getByRole('dialog', { name: 'Review before save' });
    await review.getByText('11 servers affected').waitFor();
    await review
      .getByLabel('What becomes possible')
      .getByText('TCP, port 80, from the whole Internet', { exact: false })
      .first()
      .waitFor();
    await review.getByRole('button', { name: 'Save and apply' }).click();
    await dialog.waitFor({ state: 'hidden' });
    expect(await whatPasses(panel.firewall, [probe])).toHaveLength(1);
    expect(await panel.ask('GET', '/v1/servers/app-990')).toMatchObject({
      templates: ['open'],
    });
  });

  it('is no wider than a telephone', async () => {
    await page.getByRole('textbox', { name: 'Search servers' }).fill('');
    await page.setViewportSize({ width: 390, height: 844 });
    await page.getByText('Page 1 of 20').waitFor();
    await expect
      .poll(() => page.evaluate('document.documentElement.scrollWidth'), { timeout: 30_000 })
      .toBeLessThanOrEqual(390);
    expect(panel.complaints).toEqual([]);
  });
});
