/**
 * Groups in the panel: a set is made, a rule names it and a label, a firewall applies to a label, servers get and lose labels; and
 * each time curl tells whether it is so.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { client, db, web } from '../netns/support/firewall.ts';
import { tcp, whatPasses } from '../netns/support/probes.ts';
import type { Probe } from '../netns/support/probes.ts';
import { PanelLab, editRule, logIn, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('groups', () => {
  let panel: PanelLab;
  let page: Page;
  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: {
        out: { outbound: [{ protocol: 'all' }] },
        new: {},
        old: { inbound: [{ protocol: 'tcp', ports: [22], expires: '2026-01-31T18:00:00Z' }] },
      },
      sets: { vpn: { addresses: ['203.0.113.0/26'] } },
      servers: [
        { name: 'web', addresses: [web], templates: ['out'], labels: { role: 'web' } },
        { name: 'db', addresses: [db], templates: [] },
      ],
    });
    await panel.firewall.serve('db', 'tcp:80');
    page = await panel.open('/');
    await logIn(page, 'owner');
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  });
  afterAll(async () => {
    await panel.close();
  });

  const fromWeb = tcp('web', db, 80);
  const fromClient = tcp('client', db, 80);
  const passing = (probes: readonly Probe[]): Promise<readonly string[]> =>
    whatPasses(panel.firewall, probes);
  const review = (): Locator => page.getByRole('dialog', { name: 'Review before save' });

  async function apply(): Promise<void> {
    await review().getByRole('button', { name: 'Save and apply' }).click();
    await review().waitFor({ state: 'hidden' });
  }

  it('makes a set of what is pasted', async () => {
    await page.getByRole('link', { name: 'Sets' }).click();
    await page.getByRole('link', { name: 'Create Set' }).click();
    await page.getByLabel('Name').fill('office');
    await page.getByLabel('Description').fill('Where we sit');
    await page.getByLabel('Addresses').fill('192.0.2.0/24 # ground floor\n192.0.2.999 ; roof');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('"192.0.2.999" is not an IPv4', { exact: false }).waitFor();
    await page.getByLabel('Addresses').fill('192.0.2.0/24 # ground floor\n192.0.3.1 - 192.0.3.4');
    await page.getByLabel('Except').fill('192.0.2.66');
    await page.getByRole('combobox', { name: 'Includes' }).click();
    await page.getByRole('option', { name: 'vpn' }).click();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Save' }).click();
    await apply();
    await page.getByRole('heading', { level: 1, name: 'office' }).waitFor();
    await page.getByText('323 addresses in 4 ranges', { exact: false }).waitFor();
    expect(await panel.ask('GET', '/v1/sets/office')).toMatchObject({
      description: 'Where we sit',
      addresses: ['192.0.2.0/24', '192.0.3.1-192.0.3.4'],
      except: ['192.0.2.66'],
      include: ['set:vpn'],
    });
  });

  it('a rule takes what is suggested, an exception and an end; nothing is open by itself', async () => {
    await page.getByRole('link', { name: 'Firewalls' }).first().click();
    await page.getByRole('link', { name: 'Create Firewall' }).first().click();
    await page.getByLabel('Name', { exact: true }).fill('data');
    await page.getByRole('button', { name: 'Add New Inbound Rule' }).click();
    const rule = page.getByRole('group', { name: 'Inbound rule 1' });
    const sources = rule.getByLabel('Sources');
    const suggested = rule.locator('datalist option').first();
    for (const [typed, expected] of [
      ['rol', 'label:role=web'],
      ['set:of', 'set:office'],
      ['server:d', 'server:db'],
      ['template:o', 'template:old'],
    ] as const) {
      await sources.fill(typed);
      await rule.locator(`datalist option[value="${expected}"]`).waitFor({ state: 'attached' });
      expect(await suggested.getAttribute('value')).toBe(expected);
    }
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await rule.getByText('choose ports: 443, 8000-8100, or ALL').waitFor();
    await rule.getByLabel('Ports').fill('80');
    await sources.fill('label:role=web, set:office');
    await rule.getByRole('button', { name: 'Options of inbound rule 1' }).click();
    const options = page.getByRole('dialog', { name: 'Options of inbound rule 1' });
    await options.getByLabel('Except').fill('192.0.2.7');
    await options.getByRole('button', { name: '1 day' }).click();
    await page.keyboard.press('Escape');
    await rule.getByText(/^except 192\.0\.2\.7; until 20\d\d-/).waitFor();
  });

  it('a chip tells which servers and addresses it means now, before anything is saved', async () => {
    const rule = page.getByRole('group', { name: 'Inbound rule 1' });
    await rule.getByRole('button', { name: 'Done with inbound rule 1' }).click();
    await rule.getByRole('button', { name: 'label:role=web' }).focus();
    const told = page.getByRole('tooltip');
    await told.getByText('1 server, 1 address').waitFor();
    await told.getByText(`web: ${web}`).waitFor();
    await rule.getByRole('button', { name: 'set:office' }).hover();
    await told.getByText('203.0.113.0/26').waitFor();
    await page.mouse.move(0, 0);
  });

  it('applies to a label: what matches is told while one types', async () => {
    const field = page.getByRole('combobox', { name: 'Applies to' });
    const matched = page.getByRole('status', { name: 'Servers that match' });
    await field.fill('role=we');
    await matched.getByText('Matches no server now').waitFor();
    await field.fill('role=web');
    await matched.getByText('Matches 1 server: web').waitFor();
    await field.fill('role in web');
    await matched.getByText('expected', { exact: false }).waitFor();
    await field.fill('role=db');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await apply();
    await page.getByRole('heading', { level: 1, name: 'data' }).waitFor();
    expect(await passing([fromWeb, fromClient])).toEqual([]);
  });

  /** Edits the labels of a server, up to the review. */
  async function relabel(
    server: string,
    change: (labels: Locator) => Promise<void>,
  ): Promise<void> {
    await page.goto(`/servers/${server}`);
    await page.getByRole('button', { name: 'Change region and labels' }).click();
    const form = page.getByRole('form', { name: 'Region and labels' });
    await change(form.getByRole('combobox', { name: 'Labels' }));
    await form.getByRole('button', { name: 'Save' }).click();
  }

  it('the server that gets the label has the firewall, and is reachable', async () => {
    await relabel('db', async (labels) => {
      await labels.fill('role=db');
      await page.keyboard.press('Enter');
    });
    await review().getByText('db: it changes; it gets template data (role=db)').waitFor();
    await apply();
    await page.getByText('by role=db').first().waitFor();
    expect(await passing([fromWeb, fromClient])).toEqual(await passing([fromWeb]));
    expect(await passing([fromWeb])).toHaveLength(1);
  });

  it('addresses that are added to the set are let in, and those that are removed are not', async () => {
    await page.goto('/sets/office');
    const change = async (button: RegExp, remove: boolean): Promise<void> => {
      await page.getByRole('button', { name: 'Add or remove addresses' }).click();
      const dialog = page.getByRole('dialog', { name: 'Addresses of office' });
      if (remove) await dialog.getByText('Remove', { exact: true }).click();
      await dialog.getByLabel('Addresses', { exact: true }).fill(`# now and then\n${client}\n`);
      await dialog.getByRole('button', { name: button }).click();
      await review().getByText('db: set:office in template data').waitFor();
      const shifted = review().getByLabel('Rules that mean other addresses');
      await shifted.getByText(`would ${remove ? 'close' : 'open'} to ${client}`).waitFor();
      await apply();
      await dialog.waitFor({ state: 'hidden' });
    };
    await change(/^Add 1 address$/, false);
    expect(await passing([fromClient])).toHaveLength(1);
    await change(/^Remove 1 address$/, true);
    expect(await passing([fromClient])).toEqual([]);
  });

  it('goes back to a version of the set', async () => {
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('button', { name: 'Roll back to version 2', exact: true }).click();
    const dialog = page.getByRole('dialog', { name: 'Back to a former version of office' });
    await dialog.getByRole('button', { name: 'Roll back' }).click();
    await page.getByRole('heading', { level: 1, name: 'office', exact: true }).waitFor();
    expect(await passing([fromClient])).toHaveLength(1);
  });

  it('review tells what a label opens and closes before it is taken away', async () => {
    await relabel('web', async (labels) => {
      await labels.click();
      await page.keyboard.press('Backspace');
    });
    const shifted = review().getByLabel('Rules that mean other addresses');
    await shifted.getByText('data, inbound rule 1', { exact: false }).waitFor();
    await shifted.getByText(`would close to ${web}`).waitFor();
    await review().getByText('no server matches "role=web"', { exact: false }).waitFor();
    await review().getByText('db: label:role=web in template data').waitFor();
    await apply();
    expect(await passing([fromWeb])).toEqual([]);
  });

  it('a set with a list shows its file, and the first lines that are wrong', async () => {
    const directory = join(panel.firewall.configDirectory, 'sets');
    await writeFile(join(directory, 'block.txt'), '198.18.0.0/15 ; test\n198.51.100.300\n');
    await writeFile(join(directory, 'block.yaml'), 'file: block.txt\n');
    await page.getByText('block.txt:2:1', { exact: false }).first().waitFor();
    await writeFile(join(directory, 'block.txt'), '198.18.0.0/15 ; test\n198.51.100.3\n');
    await page.getByRole('link', { name: 'Sets' }).click();
    await page.getByRole('row', { name: /^block 131,073 2 nobody none/ }).waitFor();
    await page.getByRole('link', { name: 'block' }).click();
    await page.getByText('sets/block.txt').waitFor();
    await page.getByText('2 entries', { exact: false }).waitFor();
    await writeFile(join(directory, 'block.txt'), '198.18.0.0/15\n1.2.3\n1.2.3.4/99\n');
    const main = page.getByRole('alert').filter({ hasText: 'the last good state holds' });
    await main.getByText('sets/block.txt:3', { exact: false }).waitFor();
    await writeFile(join(directory, 'block.txt'), '198.18.0.0/15\n');
    await main.waitFor({ state: 'hidden' });
  });

  it('a set that is named is destroyed only with the places that name it', async () => {
    await page.goto('/sets/office');
    await page.getByRole('button', { name: 'Destroy' }).click();
    const dialog = page.getByRole('dialog', { name: 'Destroy office' });
    await dialog.getByText('data: inbound rule 1, sources').waitFor();
    await dialog.getByText('It is in use').waitFor();
    expect(await dialog.getByRole('button', { name: 'Destroy' }).isDisabled()).toBe(true);
    await dialog.getByRole('checkbox', { name: 'Remove it from this place, too' }).check();
    await dialog.getByRole('button', { name: 'Destroy' }).click();
    await page.getByRole('heading', { level: 1, name: 'Sets' }).waitFor();
    expect(await panel.ask('GET', '/v1/templates/data')).toMatchObject({
      inbound: [{ sources: ['label:role=web'] }],
    });
    expect(await passing([fromClient])).toEqual([]);
  });

  it('a server that rules name is destroyed only with its place in them', async () => {
    const rule = (...sources: string[]): object => ({ protocol: 'tcp', ports: [22], sources });
    const inbound = [rule('server:jump'), rule('server:jump', '192.0.2.1')];
    await panel.ask('POST', '/v1/servers', { name: 'jump', addresses: ['203.0.113.9'] });
    await panel.ask('POST', '/v1/templates', { name: 'ssh', inbound, assignTo: ['web'] });
    await page.goto('/servers/jump');
    await page.getByRole('button', { name: 'Destroy' }).click();
    const dialog = page.getByRole('dialog', { name: 'Destroy jump' });
    await dialog.getByText('ssh: inbound rule 2, sources').waitFor();
    expect(await dialog.getByRole('button', { name: 'Destroy' }).isDisabled()).toBe(true);
    await dialog.getByRole('checkbox', { name: 'Remove it from these places, too' }).check();
    await dialog.getByRole('button', { name: 'Destroy' }).click();
    await page.getByRole('heading', { level: 1, name: 'Servers' }).waitFor();
    expect(await panel.ask('GET', '/v1/templates/ssh')).toMatchObject({
      inbound: [{ sources: ['192.0.2.1'] }],
    });
  });

  it('the page of a server tells who can open what, by the rules of both sides', async () => {
    await page.goto('/servers/web');
    await page.getByRole('tab', { name: 'Reach' }).click();
    const here = page.getByRole('table', { name: 'Who can open what here' });
    await here.getByRole('row', { name: /^192\.0\.2\.1 TCP: 22 ssh ?: TCP: 22 from/ }).waitFor();
    const out = page.getByRole('table', { name: 'What it can open' });
    await out.getByRole('link', { name: 'out', exact: true }).first().waitFor();
  });

  it('tells which servers lose a firewall that applies to them by their labels', async () => {
    await page.goto('/firewalls/data');
    await page.getByRole('button', { name: 'Destroy' }).click();
    const dialog = page.getByRole('dialog', { name: 'Destroy data' });
    await dialog.getByText('1 server has it, and would lose its rules', { exact: false }).waitFor();
    await dialog.getByText('1 server would drop everything').waitFor();
    await dialog.getByText(`db (${db})`).waitFor();
    await dialog.getByRole('button', { name: 'Back' }).click();
  });

  it('a firewall may have any name', async () => {
    await page.goto('/firewalls/new');
    await page.getByRole('heading', { level: 1, name: 'new', exact: true }).waitFor();
    await page.getByRole('button', { name: 'Rename' }).waitFor();
  });

  it('rules that have expired are pruned', async () => {
    await page.goto('/firewalls/old');
    await (await editRule(page, 1)).getByText('expired 2026-01-31T18:00:00Z').waitFor();
    await page.getByRole('link', { name: 'Firewalls', exact: true }).first().click();
    await page.getByRole('button', { name: 'Prune 1 expired rule' }).click();
    const dialog = page.getByRole('dialog', { name: 'Remove the expired rule?' });
    await dialog.getByText('old, inbound rule 1: TCP: 22 from any', { exact: false }).waitFor();
    await dialog.getByRole('button', { name: 'Remove it' }).click();
    await page.getByText('1 expired rule was removed').waitFor();
    await page.getByRole('button', { name: /^Prune/ }).waitFor({ state: 'hidden' });
    expect(await panel.ask('GET', '/v1/templates/old')).toMatchObject({ inbound: [] });
  });

  it('tells what the gateway rejects, and how to change it', async () => {
    await page.goto('/servers');
    const note = page.getByRole('note', { name: 'Reject of the gateway' });
    await note.getByText('reject: { inbound: true, outbound: true }').waitFor();
    expect(panel.complaints).toEqual([]);
  });

  it('a server is renamed, and all of it is undone, with the reason', async () => {
    const before = await panel.ask('GET', '/v1/servers');
    await page.getByRole('link', { name: 'Servers' }).first().click();
    await page.getByRole('link', { name: 'web', exact: true }).click();
    await page.getByRole('button', { name: 'Rename' }).click();
    const dialog = page.getByRole('dialog', { name: 'Rename web' });
    await dialog.getByLabel('New name').fill('www');
    await dialog.getByRole('button', { name: 'Rename' }).click();
    const review = page.getByRole('dialog', { name: 'Review before save' });
    await review.getByRole('button', { name: 'Save and apply' }).click();
    await page.getByRole('heading', { level: 1, name: 'www' }).waitFor();

    await page.getByRole('link', { name: 'Changes' }).click();
    const changes = page.getByRole('listitem');
    await changes.first().getByText('rename server web to www').waitFor();
    await changes.nth(1).getByRole('button', { name: 'Roll back to revision' }).click();
    const back = page.getByRole('dialog', { name: 'Back to revision' });
    await back.getByText('-  - name: www').or(back.getByText('name: www')).first().waitFor();
    await back.getByLabel('Reason').fill('the old name was better');
    await back.getByRole('button', { name: 'Roll back' }).click();
    await back.waitFor({ state: 'hidden' });
    await changes.first().getByText('the old name was better').waitFor();
    expect(await panel.ask('GET', '/v1/servers')).toEqual(before);
  });

  it('a server observes, gets the rules for what was seen, and enforces them again', async () => {
    const probe = tcp('client', web, 8081);
    await panel.firewall.serve('web', 'tcp:8081');
    expect(await passing([probe])).toEqual([]);
    const observe = async (): Promise<Locator> => {
      await page.getByRole('button', { name: 'Observe', exact: true }).click();
      return page.getByRole('dialog', { name: 'Observe web' });
    };
    const banner = page.getByText('Observed, not enforced: what no rule allows passes');
    const badge = page.getByText(/^Observes until /);
    await page.goto('/servers/web');
    const begun = await observe();
    await begun.getByLabel('For how long').selectOption('An hour');
    await begun.getByRole('button', { name: 'Review' }).click();
    await review().getByText('all that no rule allows passes', { exact: false }).waitFor();
    await apply();
    await banner.waitFor();
    await badge.waitFor();
    // What its own form says of other things does not end it.
    await page.getByRole('button', { name: 'Edit', exact: true }).click();
    const form = page.getByRole('dialog', { name: 'Edit web' });
    await form.getByLabel('What lacks a rule').selectOption('Reject inbound');
    await form.getByRole('button', { name: 'Save' }).click();
    await apply();
    await form.waitFor({ state: 'hidden' });
    expect(await passing([probe])).toHaveLength(1);
    await panel.firewall.until('it is recorded', async () => {
      const { rules } = (await panel.ask('GET', '/v1/servers/web/suggestion')) as {
        rules: unknown[];
      };
      return rules.length > 0;
    });

    await page.getByRole('button', { name: 'Suggest rules' }).click();
    const proposal = page.getByRole('dialog', { name: 'Rules for web' });
    await proposal.getByLabel(`inbound TCP: 8081 from ${client}`).waitFor();
    await proposal.getByRole('button', { name: 'Review 1 rule' }).click();
    await review().getByText('TCP, port 8081', { exact: false }).first().waitFor();
    await apply();
    await (await observe()).getByRole('button', { name: 'Enforce the rules now' }).click();
    await apply();
    await badge.waitFor({ state: 'hidden' });
    await banner.waitFor({ state: 'hidden' });
    expect(await passing([probe])).toHaveLength(1);
    expect(await panel.ask('GET', '/v1/servers/web')).toMatchObject({ observing: false });
    expect(panel.complaints).toEqual([]);
  });
});
