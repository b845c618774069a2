/** Every page, by axe-core: nothing serious or critical, light and dark, wide and narrow. */
import axe from 'axe-core';
import type { AxeResults } from 'axe-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { web } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import { PanelLab, obstacle } from './support/panel-lab.ts';

const pages = [
  '/firewalls',
  '/firewalls/new',
  '/firewalls/web',
  '/firewalls/web/history',
  '/servers',
  '/servers/web',
  '/live',
  `/explain?src=192.0.2.1&dst=${web}&protocol=tcp&dstPort=81`,
  '/audit',
  '/users',
  '/account',
  '/nowhere',
];

describe.skipIf(obstacle !== undefined)('accessibility', () => {
  let panel: PanelLab;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: { web: { inbound: [{ protocol: 'tcp', ports: [80] }] } },
      servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
    });
    await panel.firewall.serve('web', 'tcp:80');
    await whatPasses(panel.firewall, [tcp('client', web, 80), tcp('client', web, 81)]);
  });
  afterAll(async () => {
    await panel.close();
  });

  it.each([
    ['light, 1280 px', { colorScheme: 'light' }],
    ['dark, 390 px', { colorScheme: 'dark', viewport: { width: 390, height: 844 } }],
  ] as const)('%s', async (_, options) => {
    const page = await panel.openAs('owner', '/', options);
    for (const path of pages) {
      await page.goto(path);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.getByText('Loading').first().waitFor({ state: 'detached' });
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate<AxeResults>('axe.run()');
      const serious = violations.filter(
        ({ impact }) => impact === 'serious' || impact === 'critical',
      );
      const told = serious.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`,
      );
      expect(told, path).toEqual([]);
      // Nothing is wider than the window.
      expect(
        await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'),
        path,
      ).toBe(true);
    }
    await page.context().close();
  });
});
