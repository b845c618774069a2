/** Roles and their rights, and sessions that end while a user is typing. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { db, web } from '../netns/support/firewall.ts';
import { PanelLab, editRule, logIn, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('roles and sessions', () => {
  let panel: PanelLab;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: { web: { inbound: [{ protocol: 'tcp', ports: [80], sources: ['10.0.0.0/8'] }] } },
      servers: [
        { name: 'web', addresses: [web], templates: ['web'] },
        { name: 'db', addresses: [db], templates: [] },
      ],
    });
  });
  afterAll(async () => {
    await panel.close();
  });

  const controls = (page: Page): Promise<number> =>
    page
      .getByRole('button', { name: /Create|Save|Destroy|Rename|Add New|Clone|Roll back/ })
      .count();

  it('tells that a password is wrong, and nothing more', async () => {
    const page = await panel.open('/firewalls');
    await page.getByLabel('Name', { exact: true }).fill('owner');
    await page.getByLabel('Password', { exact: true }).fill('not the password');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('the name or the password is wrong').waitFor();
    expect(await page.getByRole('navigation').count()).toBe(0);
    await page.context().close();
  });

  it.each(['member', 'billing-member'] as const)('%s sees rules, and no controls', async (role) => {
    const page = await panel.openAs(role, '/firewalls');
    await page.getByRole('link', { name: 'web', exact: true }).click();
    await page.getByRole('cell', { name: 'TCP: 80' }).waitFor();
    await page.getByRole('cell', { name: '10.0.0.0/8' }).waitFor();
    expect(await controls(page)).toBe(0);
    expect(await page.getByRole('textbox').count()).toBe(0);
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByText('1. Created').waitFor();
    expect(await controls(page)).toBe(0);
    const menu = page.getByRole('navigation', { name: 'Sections' });
    expect(await menu.getByRole('link').allInnerTexts()).toEqual([
      ...['Overview', 'Firewalls', 'Servers', 'Sets', 'Changes', 'Gateways'],
      ...['Live', 'Flows', 'Explain'],
    ]);
    await page.goto('/firewalls/~new');
    await page.getByText('Only an owner can do this').waitFor();
    await page.context().close();
  });

  it('billing admin sees that the section is not available', async () => {
    const page = await panel.open('/firewalls/web');
    await logIn(page, 'billing-admin');
    await page.getByRole('heading', { level: 1, name: 'Not available' }).waitFor();
    for (const path of ['/firewalls/web', '/servers', '/users']) {
      await page.goto(path);
      await page.getByText('This section is not available to your role').waitFor();
      expect(await page.getByRole('table').count()).toBe(0);
      expect(await controls(page)).toBe(0);
    }
    await page.context().close();
  });

  it('logs out', async () => {
    const page = await panel.openAs('owner', '/firewalls');
    await page.getByRole('button', { name: /^owner/ }).click();
    await page.getByRole('menuitem', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    await page.context().close();
  });

  it('keeps what was typed when the session ends, and goes on after the login', async () => {
    const page = await panel.openAs('owner', '/firewalls/web');
    const rule = await editRule(page, 1);
    await rule.getByLabel('Ports').fill('80, 443');
    await page.getByText('Unsaved changes').waitFor();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    const review = page.getByRole('dialog', { name: 'Review before save' });
    await review.getByRole('button', { name: 'Save and apply' }).waitFor();
    // As it is when a session has ended: the cookie means nothing any more.
    await page.context().clearCookies();
    const login = page.getByRole('dialog', { name: 'Log in again' });
    await login.getByText('What you have typed is still there').waitFor();
    // That would close the review under the login.
    await page.keyboard.press('Escape');
    await login.getByLabel('Password', { exact: true }).fill('wrong password');
    await login.getByRole('button', { name: 'Log in' }).click();
    await login.getByText('the name or the password is wrong').waitFor();
    await logIn(page, 'owner');
    await login.waitFor({ state: 'hidden' });
    await review.getByRole('button', { name: 'Save and apply' }).click();
    await page.getByText(/Applied: epoch \d+ is in force/).waitFor();
    await rule.getByText('80, 443', { exact: true }).waitFor();
    expect(await panel.ask('GET', '/v1/templates/web')).toMatchObject({
      inbound: [{ ports: [80, 443] }],
    });
    await page.context().close();
  });

  it('survives a restart of the gateway without a reload', async () => {
    const page = await panel.openAs('owner', '/firewalls/web');
    await page.evaluate(() => Object.assign(globalThis, { sameDocument: true }));
    const description = page.getByLabel('Description');
    await description.fill('typed before the restart');
    await panel.firewall.stop();
    await page.getByText('The gateway does not answer').waitFor({ timeout: 20_000 });
    await panel.firewall.start();
    const login = page.getByRole('dialog', { name: 'Log in again' });
    await login.waitFor({ timeout: 20_000 });
    await logIn(page, 'owner');
    await login.waitFor({ state: 'hidden' });
    await page.getByText('The gateway does not answer').waitFor({ state: 'hidden' });
    expect(await description.inputValue()).toBe('typed before the restart');
    expect(await page.evaluate(() => 'sameDocument' in globalThis)).toBe(true);
    await page.context().close();
    expect(panel.complaints).toEqual([]);
  });
});
