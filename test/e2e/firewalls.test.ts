/** Firewalls in the panel: edit, rule sets, clone, assign in bulk, destroy, history; errors at their fields; two at once. */
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { db, web } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import { PanelLab, editRule, obstacle } from './support/panel-lab.ts';

/** Servers that are there to be many. */
const crowd = Array.from({ length: 30 }, (_, index) => ({
  name: `app-${index + 1}`,
  addresses: [`10.0.2.${index + 10}`],
  templates: [],
}));

interface Stored {
  readonly inbound: readonly object[];
  readonly servers: readonly string[];
}

describe.skipIf(obstacle !== undefined)('firewalls in the panel', () => {
  let panel: PanelLab;
  let page: Page;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: {
        site: {
          inbound: [
            { protocol: 'tcp', ports: [80] },
            { protocol: 'tcp', ports: [443], sources: ['198.51.100.0/24'] },
            { protocol: 'icmp' },
          ],
        },
        shared: { inbound: [{ protocol: 'tcp', ports: [5432] }] },
      },
      servers: [
        { name: 'web', addresses: [web], templates: ['site'] },
        { name: 'db', addresses: [db], templates: ['site', 'shared'] },
        ...crowd,
      ],
    });
    await panel.firewall.serve('web', 'tcp:80', 'tcp:443');
    page = await panel.openAs('owner', '/firewalls');
  });
  afterAll(async () => {
    await panel.close();
  });

  const inbound = (number: number, of = page): Locator =>
    of.getByRole('group', { name: `Inbound rule ${number}` });
  const stored = (name: string): Promise<Stored> =>
    panel.ask('GET', `/v1/templates/${name}`) as Promise<Stored>;
  const review = (of = page): Locator => of.getByRole('dialog', { name: 'Review before save' });

  async function save(of = page): Promise<void> {
    await of.getByRole('button', { name: 'Save', exact: true }).click();
    await review(of).getByRole('button', { name: 'Save and apply' }).click();
    await review(of).waitFor({ state: 'hidden' });
  }

  /** Moves the focus by keyboard, from one element to the next. */
  async function tabTo(wanted: Locator): Promise<void> {
    await wanted.waitFor();
    for (let presses = 0; presses < 100; presses++) {
      if ((await wanted.and(page.locator(':focus')).count()) > 0) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`the Tab key does not get to ${wanted.toString()}`);
  }

  async function press(wanted: Locator): Promise<void> {
    await tabTo(wanted);
    await page.keyboard.press('Enter');
  }

  async function goTo(path: string): Promise<void> {
    await page.goto(path);
    await page.getByRole('heading', { level: 1 }).waitFor();
  }

  it('tells errors in the words of the API, at the very field, and keeps them there', async () => {
    await goTo('/firewalls/site');
    await editRule(page, 2);
    await inbound(2).getByLabel('Ports').fill('443, 99999');
    await inbound(2).getByLabel('Sources').fill('198.51.100.0/33');
    await inbound(2).getByText('expected a port from 1 to 65535', { exact: false }).waitFor();
    await inbound(2).getByText('the length behind the slash is 0 to 32').waitFor();
    await page.getByText('2 fields need a correction').waitFor();
    expect(await inbound(2).getByLabel('Ports').getAttribute('aria-invalid')).toBe('true');
    expect(await inbound(1).getByLabel('Ports').count()).toBe(0);
    // The rule moves, and its errors with it.
    await page.getByRole('button', { name: 'Move inbound rule 2 up' }).click();
    await inbound(1).getByText('expected a port from 1 to 65535', { exact: false }).waitFor();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await inbound(1).getByLabel('Ports').and(page.locator(':focus')).waitFor();
    await page.getByRole('button', { name: 'Discard' }).click();
    await inbound(1).getByText('80', { exact: true }).waitFor();
  });

  it('moves a rule by the keyboard, and the focus with it', async () => {
    await editRule(page, 1);
    await inbound(1).getByLabel('Comment').fill('the web');
    await page.keyboard.press('Alt+ArrowDown');
    await page.getByText('Rule moved to place 2 of 3').waitFor({ state: 'attached' });
    await page.keyboard.type(' site');
    expect(await inbound(2).getByLabel('Comment').inputValue()).toBe('the web site');
    // It is read again, and the focus is at the button that had opened it.
    await page.keyboard.press('Enter');
    await inbound(2)
      .getByRole('button', { name: 'Edit inbound rule 2' })
      .and(page.locator(':focus'))
      .waitFor();
    await inbound(2).getByText('the web site').waitFor();
    await save();
    const { inbound: rules } = await stored('site');
    expect(rules).toMatchObject([
      { ports: [443] },
      { ports: [80], comment: 'the web site' },
      { protocol: 'icmp' },
    ]);
  });

  it('tells how many live flows a change cuts, and cuts them', async () => {
    // Two connections that stay open, through a rule that is about to go.
    const connections = [1, 2].map(() =>
      panel.firewall.lab.spawn('client', ['sh', '-c', `sleep 60 | nc ${web} 80`], 'ignore'),
    );
    await panel.firewall.until('both are tracked', async () => {
      const { total } = (await panel.ask('GET', '/v1/flows?port=80')) as { total: number };
      return total === 2;
    });
    const probes = [tcp('client', web, 80), tcp('client', web, 443)];
    expect(await whatPasses(panel.firewall, probes)).toHaveLength(2);
    // The probe's own flow is closing, and goes by itself.
    await page.getByRole('button', { name: 'Remove inbound rule 2' }).click();
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await review().getByText('2 servers affected').waitFor();
    await review()
      .getByText(/[23] live flows would be cut/)
      .waitFor();
    const diff = review().getByLabel('Difference in the configuration');
    expect(await diff.innerText()).toMatch(/^- .*80/m);
    await review().getByRole('button', { name: 'Save and apply' }).click();
    await review().waitFor({ state: 'hidden' });
    expect(await whatPasses(panel.firewall, probes)).toEqual(
      await whatPasses(panel.firewall, [probes[1]!]),
    );
    const { total } = (await panel.ask('GET', '/v1/flows?port=80')) as { total: number };
    expect(total).toBe(0);
    for (const connection of connections) connection.kill();
  });

  it('assigns and removes servers in bulk, found by a search', async () => {
    await page.getByLabel('Search servers').fill('app-1');
    await page.getByRole('button', { name: 'Select all found (11)' }).click();
    await page.getByText('13 servers selected, 11 servers found').waitFor();
    await page.getByLabel('Search servers').fill('app-19');
    await page.getByRole('button', { name: 'Remove all found' }).click();
    await page.getByLabel('Search servers').fill('10.0.0.2');
    await page.getByRole('checkbox', { name: 'web' }).uncheck();
    await page.getByText('to be removed').waitFor();
    await save();
    const { servers } = await stored('site');
    expect(servers).toHaveLength(11);
    expect(servers).not.toContain('web');
    expect(servers).not.toContain('app-19');
    expect(servers).toContain('app-10');
  });

  it('creates from a pre-defined rule set, and as a clone', async () => {
    await goTo('/firewalls/~new');
    await page.getByText('Rule set', { exact: true }).click();
    await page.getByRole('combobox', { name: 'Pre-defined rule set' }).fill('web server');
    await page
      .getByRole('option', { name: /^Web server/i })
      .first()
      .click();
    await inbound(1).waitFor();
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('web-server');
    await save();
    await page.getByRole('heading', { level: 1, name: 'web-server' }).waitFor();
    expect((await stored('web-server')).inbound.length).toBeGreaterThan(0);

    await page.getByRole('link', { name: 'Clone' }).click();
    await page.getByRole('heading', { level: 1, name: 'Create Firewall' }).waitFor();
    await inbound(1).waitFor();
    await page.getByLabel('Name', { exact: true }).fill('shared');
    await page.getByText('there is a template "shared" already').waitFor();
    await page.getByLabel('Name', { exact: true }).fill('web-copy');
    await page.getByText('there is a template "shared" already').waitFor({ state: 'hidden' });
    await save();
    await page.getByRole('heading', { level: 1, name: 'web-copy' }).waitFor();
    // What it says, not since when its hits count.
    const written = async (name: string): Promise<object[]> =>
      (await stored(name)).inbound.map((rule) => ({ ...rule, hitsSince: undefined }));
    expect(await written('web-copy')).toEqual(await written('web-server'));
  });

  it('creates one with the keyboard alone', async () => {
    await goTo('/firewalls');
    await press(page.getByRole('link', { name: 'Create Firewall' }).first());
    await page.getByRole('heading', { level: 1, name: 'Create Firewall' }).waitFor();
    await tabTo(page.getByLabel('Name', { exact: true }));
    await page.keyboard.type('typed');
    await press(page.getByRole('button', { name: 'Add New Inbound Rule' }));
    await tabTo(inbound(1).getByLabel('Ports'));
    await page.keyboard.type('8443');
    // Nothing is open because a field was left empty.
    await press(page.getByRole('button', { name: 'Save', exact: true }));
    await inbound(1).getByText('choose addresses or groups, or any').waitFor();
    await inbound(1).getByLabel('Sources').and(page.locator(':focus')).waitFor();
    await press(inbound(1).getByRole('button', { name: 'Any IPv4' }));
    await inbound(1).getByText('From the whole Internet').waitFor();
    await tabTo(page.getByRole('checkbox', { name: 'db' }));
    await page.keyboard.press('Space');
    await press(page.getByRole('button', { name: 'Save', exact: true }));
    await review().getByText('1 server affected').waitFor();
    await press(review().getByRole('button', { name: 'Save and apply' }));
    await page.getByRole('heading', { level: 1, name: 'typed' }).waitFor();
    await page.getByText('Open: TCP, port 8443').waitFor();
    expect(await stored('typed')).toMatchObject({ inbound: [{ ports: [8443] }], servers: ['db'] });
  });

  it('tells who would be left without any firewall before it destroys one', async () => {
    await goTo('/firewalls/shared');
    await page.getByRole('button', { name: 'Destroy' }).click();
    const dialog = page.getByRole('dialog', { name: 'Destroy shared' });
    await dialog.getByText('1 server has it, and would lose its rules', { exact: false }).waitFor();
    expect(await dialog.getByText('would drop everything').count()).toBe(0);
    await dialog.getByRole('button', { name: 'Back' }).click();
    await goTo('/firewalls');
    await page.getByRole('button', { name: 'Actions of site' }).click();
    await page.getByRole('menuitem', { name: 'Destroy' }).click();
    const other = page.getByRole('dialog', { name: 'Destroy site' });
    // All of its servers but db, which has another one.
    await other.getByText('10 servers would drop everything').waitFor();
    await other.getByRole('button', { name: 'Destroy' }).click();
    await other.waitFor({ state: 'hidden' });
    await page.getByRole('link', { name: 'site', exact: true }).waitFor({ state: 'hidden' });
  });

  it('brings a destroyed one back from its history', async () => {
    await goTo('/firewalls/site/history');
    await page.getByText('It was destroyed. Any version can bring it back').waitFor();
    await page.getByRole('button', { name: 'Roll back to version 1', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Back to a former version of site' });
    await dialog.getByRole('button', { name: 'Roll back' }).click();
    await page.getByRole('heading', { level: 1, name: 'site', exact: true }).waitFor();
    expect((await stored('site')).inbound).toMatchObject([
      { ports: [80] },
      { ports: [443] },
      { protocol: 'icmp' },
    ]);
  });

  it('renames', async () => {
    await page.getByRole('button', { name: 'Rename' }).click();
    const dialog = page.getByRole('dialog', { name: 'Rename site' });
    await dialog.getByLabel('New name').fill('shared');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    await dialog.getByText('there is a template "shared" already').first().waitFor();
    await dialog.getByLabel('New name').fill('front');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    await review().getByText('No server is affected').waitFor();
    await review().getByRole('button', { name: 'Save and apply' }).click();
    await page.getByRole('heading', { level: 1, name: 'front' }).waitFor();
  });

  it('tells the second of two who edit the same, and loses nothing of either', async () => {
    await goTo('/firewalls/shared');
    const second = await panel.openAs('owner', '/firewalls/shared');
    await editRule(second, 1);
    await inbound(1, second).getByLabel('Comment').fill('from the second');
    await editRule(page, 1);
    await inbound(1).getByLabel('Ports').fill('5432, 5433');
    await save();
    // It is reported at the next look, or at the latest by what saving is answered.
    await second.getByText('shared was changed meanwhile').waitFor();
    await second.getByText('owner has changed it').waitFor();
    await second.getByText('inbound TCP: 5432,5433 from any', { exact: true }).waitFor();
    await second.getByText('inbound TCP: 5432 from any (from the second)').waitFor();
    expect(await inbound(1, second).getByLabel('Comment').inputValue()).toBe('from the second');
    expect((await stored('shared')).inbound).toMatchObject([{ ports: [5432, 5433] }]);
    await second.getByRole('button', { name: 'Keep mine and review again' }).click();
    await review(second).getByRole('button', { name: 'Save and apply' }).click();
    await review(second).waitFor({ state: 'hidden' });
    expect((await stored('shared')).inbound).toMatchObject([
      { ports: [5432], comment: 'from the second' },
    ]);
    // The first has nothing unsaved, and follows.
    await inbound(1).getByText('from the second').waitFor();
    await second.context().close();
  });

  it('keeps what is unsaved while one looks at another page', async () => {
    await editRule(page, 1);
    await inbound(1).getByLabel('Comment').fill('not saved yet');
    await page.getByRole('navigation', { name: 'Sections' }).getByText('Servers').click();
    await page.getByRole('heading', { level: 1, name: 'Servers' }).waitFor();
    await page.goBack();
    await page.getByText('Unsaved changes').waitFor();
    await inbound(1).getByText('not saved yet').waitFor();
    await page.getByRole('button', { name: 'Discard' }).click();
    expect(panel.complaints).toEqual([]);
  });
});
