/**
 * The quick-start guide of the service's page, step by step, on a panel without any state; afterwards the firewall
 * does what was clicked. And what all of it weighs.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { db, repository, web, webSecond } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import { PanelLab, logIn, obstacle, password } from './support/panel-lab.ts';

/**
 * What a person does, counted, and how long that takes by the keystroke-level model (Card, Moran and Newell 1980): 0.28 s for a key, 1.1 s
 * to point, 0.2 s to press the mouse button, 0.4 s from the mouse to the keys and back. The 1.35 s of thought are for each field and each
 * button. No clock is asked.
 */
class Person {
  readonly #page: Page;
  clicks = 0;
  keys = 0;
  seconds = 0;

  constructor(page: Page) {
    this.#page = page;
  }

  async click(what: Locator): Promise<void> {
    await what.click();
    this.clicks++;
    this.seconds += 1.35 + 1.1 + 0.2;
  }

  /** Into a field that has the focus already, or gets it by a click. */
  async type(field: Locator, text: string): Promise<void> {
    const hasFocus = (await field.and(this.#page.locator(':focus')).count()) > 0;
    if (!hasFocus) await this.click(field);
    else this.seconds += 1.35;
    await this.#page.keyboard.type(text);
    this.#count(text.length);
  }

  async paste(field: Locator, text: string): Promise<void> {
    await field.fill(text);
    this.seconds += 1.35;
    this.#count(2);
  }

  /** Types a text and a key that goes on from there. */
  async press(key: string, field: Locator, text: string): Promise<void> {
    await this.type(field, text);
    await this.#page.keyboard.press(key);
    this.#count(1);
  }

  #count(keys: number): void {
    this.keys += keys;
    this.seconds += 2 * 0.4 + keys * 0.28;
  }
}

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
    await row.getByTitle(/^Last hit .*\. Counted since /).waitFor();
    await page.getByRole('link', { name: 'Firewalls' }).first().click();
    await page.getByRole('row', { name: /site 2 2 [1-9]/ }).waitFor();
  });

  it('takes a person under a minute, with servers that are added on the way', async () => {
    const other = await panel.open('/');
    const person = new Person(other);
    await person.type(other.getByLabel('Name', { exact: true }), 'owner');
    await person.press('Enter', other.getByLabel('Password', { exact: true }), password);
    await person.click(
      other.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Firewalls' }),
    );
    await person.click(other.getByRole('link', { name: 'Create Firewall' }).first());
    await person.type(other.getByLabel('Name', { exact: true }).first(), 'shop');
    await person.click(other.getByText('Rule set', { exact: true }));
    await person.click(other.getByRole('combobox', { name: 'Pre-defined rule set' }));
    await person.click(other.getByRole('option', { name: 'Web server' }));
    // One by one, and a list from the clipboard.
    await person.click(other.getByRole('button', { name: 'Add a server' }));
    await person.press(
      'Tab',
      other.getByRole('group', { name: 'New server 1' }).getByLabel('Name'),
      'www',
    );
    await person.press('Enter', other.locator(':focus'), webSecond);
    await other.getByRole('group', { name: 'New server 2' }).waitFor();
    await person.click(other.getByRole('button', { name: 'Paste a list' }));
    await person.paste(
      other.getByLabel('List of servers'),
      'app-1 10.0.2.11 hkg role=app\napp-2, 10.0.2.12, 10.0.2.13\n',
    );
    await person.click(other.getByRole('button', { name: 'Add these servers' }));
    await other.getByRole('group', { name: 'New server 3' }).waitFor();
    await person.click(other.getByRole('button', { name: 'Save', exact: true }));
    await person.click(other.getByRole('button', { name: 'Save and apply' }));
    await other.getByRole('heading', { level: 1, name: 'shop' }).waitFor();
    await other.getByText('3 servers selected').or(other.getByText('app-2')).first().waitFor();

    const { changes } = (await panel.ask('GET', '/v1/history?limit=1')) as { changes: object[] };
    expect(changes).toMatchObject([
      {
        changed: ['shop', 'www', 'app-1', 'app-2'].map((name) => ({ name })),
      },
    ]);
    expect(await panel.ask('GET', '/v1/servers/app-2')).toMatchObject({
      addresses: ['10.0.2.12', '10.0.2.13'],
      templates: ['shop'],
    });
    const { clicks, keys, seconds } = person;
    console.log(
      `quick start: ${clicks} clicks, ${keys} keys, ${Math.round(seconds)} s by the model`,
    );
    expect(seconds).toBeLessThan(60);
    await other.context().close();
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
