/** The banner on every page while something is wrong with what leads packets to the firewall. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { web } from '../netns/support/firewall.ts';
import { PanelLab, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('the banner about the gateway', () => {
  let panel: PanelLab;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: { web: { inbound: [{ protocol: 'tcp', ports: [80] }] } },
      servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
    });
  });
  afterAll(async () => {
    await panel.close();
  });

  it('names a rule that is gone, and goes when it is back', async () => {
    const { firewall } = panel;
    const page = await panel.openAs('member', '/firewalls');
    await page.getByRole('link', { name: 'web', exact: true }).waitFor();
    const banner = page.getByRole('alert').filter({ hasText: 'gateway' });
    expect(await banner.count()).toBe(0);

    await firewall.lab.ip('gateway', 'rule', 'del', 'priority', '20');
    await banner.getByText('The gateway is degraded').waitFor({ timeout: 30_000 });
    await banner.getByText('Nothing repairs it: "tunwall gateway up" does.').waitFor();
    expect(await banner.getByRole('listitem').allInnerTexts()).toEqual([
      expect.stringMatching(/^rule 20 is missing, not /),
    ]);
    // On every page.
    await page.getByRole('link', { name: 'Live', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'Live' }).waitFor();
    expect(await banner.count()).toBe(1);

    await firewall.gateway('up');
    await banner.waitFor({ state: 'detached', timeout: 30_000 });
    await page.context().close();
    expect(panel.complaints).toEqual([]);
  });
});
