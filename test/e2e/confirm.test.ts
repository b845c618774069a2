/** Changes that go back by themselves, unless somebody confirms them: who is asked, and when; what others see; one at a time. */
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { client, db, web } from '../netns/support/firewall.ts';
import { PanelLab, editRule, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('a change that waits for confirmation', () => {
  let panel: PanelLab;
  let page: Page;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: { site: { inbound: [{ protocol: 'tcp', ports: [22] }] }, other: {} },
      servers: [
        { name: 'web', addresses: [web], templates: ['site'] },
        { name: 'db', addresses: [db], templates: [] },
      ],
      gateway: { api: { trustedProxies: ['127.0.0.1'] } },
    });
    const { firewall } = panel;
    // The person at the browser has a session through the firewall, and a proxy on the gateway says whose address that is.
    firewall.lab.spawn('web', ['nc', '-lk', '22']);
    firewall.lab.spawn('client', [
      'sh',
      '-c',
      `while ! sleep 600 | nc ${web} 22; do sleep 0.2; done`,
    ]);
    await firewall.until('there is a session', async () => {
      const { flows } = (await panel.ask('GET', '/v1/flows?state=established')) as {
        flows: unknown[];
      };
      return flows.length === 1;
    });
    page = await panel.openAs('owner', '/firewalls/site', {
      extraHTTPHeaders: { 'x-forwarded-for': client },
    });
  });
  afterAll(async () => {
    await panel.close();
  });

  const review = (): Locator => page.getByRole('dialog', { name: 'Review before save' });
  const question = (): Locator => page.getByRole('dialog', { name: 'Keep these rules?' });
  const answer = (): Locator => review().getByLabel('Keep these rules?');
  const ports = async (): Promise<unknown> => {
    const { inbound } = (await panel.ask('GET', '/v1/templates/site')) as {
      inbound: { ports: number[] }[];
    };
    return inbound[0]!.ports;
  };

  async function edit(port: string): Promise<void> {
    await (await editRule(page, 1)).getByLabel('Ports').fill(port);
    await page.getByRole('button', { name: 'Save', exact: true }).click();
  }

  it('is asked for, where it may cut off who makes it: with the flows that end', async () => {
    await edit('2222');
    await review().getByText('1 live flow would be cut').waitFor();
    await review().getByText('One of them is yours').waitFor();
    const ends = review().getByLabel('Live flows that end');
    await ends.getByText(new RegExp(`^TCP ${client}:\\d+ → ${web}:22 \\(web\\), `)).waitFor();
    expect(await answer().inputValue()).toBe('60');
    await answer().selectOption({ label: 'Ask: without an answer they go back after 30 min' });
    await review().getByRole('button', { name: 'Save and apply' }).click();
    await question()
      .getByText(/undoes it in (30 min 0|29 min \d+) s/)
      .waitFor();
    expect(await ports()).toEqual([2222]);
  });

  it('is asked for again when the page is loaded anew, may be laid aside, and stays when it is kept', async () => {
    await page.reload();
    await question().getByText('replace template site').waitFor();
    await question().getByRole('button', { name: 'Look around first' }).last().click();
    await page.getByText('A change of owner waits for confirmation').waitFor();
    await page.getByRole('link', { name: 'Servers' }).first().click();
    await page.getByRole('heading', { level: 1, name: 'Servers' }).waitFor();
    await page.getByRole('button', { name: 'Keep', exact: true }).click();
    await page.getByText('The change stays').waitFor();
    await page.getByText('waits for confirmation').waitFor({ state: 'hidden' });
    expect(await panel.ask('GET', '/v1/status')).not.toHaveProperty('unconfirmed');
    expect(await ports()).toEqual([2222]);
  });

  it('is not asked for where nothing of the own is cut, and may be; it is undone when one says so', async () => {
    await page.goto('/firewalls/site');
    await edit('2223');
    await review().getByText('No live flow is cut').waitFor();
    expect(await answer().inputValue()).toBe('0');
    await answer().selectOption('300');
    await review().getByRole('button', { name: 'Save and apply' }).click();
    await question().getByRole('button', { name: 'Undo now' }).click();
    await page.getByText('The change was undone').waitFor();
    expect(await ports()).toEqual([2222]);
    await page.getByRole('group', { name: 'Inbound rule 1' }).getByText('2222').first().waitFor();
  });

  it('of another one is shown, stops all others, and is undone when nobody confirms it', async () => {
    const body = { operations: [{ kind: 'assign', servers: ['db'], templates: ['site'] }] };
    await panel.ask('POST', '/v1/changes', body, 'tunwall-confirm: 12s');
    await page.getByText('A change of carol waits for confirmation').first().waitFor();
    await page.getByText('assign site to db').first().waitFor();
    await edit('2224');
    await review().getByText('One at a time').waitFor();
    expect(await review().getByRole('button', { name: 'Save and apply' }).isDisabled()).toBe(true);
    await page.getByText('The change was undone').waitFor();
    await review().getByText('One at a time').waitFor({ state: 'hidden' });
    await review().getByRole('button', { name: 'Save and apply' }).click();
    await review().waitFor({ state: 'hidden' });
    expect(await ports()).toEqual([2224]);
    expect(await panel.ask('GET', '/v1/servers/db')).toMatchObject({ templates: [] });
    expect(panel.complaints).toEqual([]);
  });
});
