/**
 * Everything that there is to see in the panel: pages, dialogs, what roles see, what is wrong. For those who look at all of
 * it, with an axe or with their eyes.
 *
 * The firewall has a history of changes, and traffic passes and is dropped meanwhile.
 */
import type { BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { Role } from '../../../src/policy/users.ts';
import { momentText } from '../../../src/text/moment.ts';
import { client, db, web, webSecond } from '../../netns/support/firewall.ts';
import { PanelLab, editRule } from './panel-lab.ts';

export interface View {
  readonly name: string;
  readonly path: string;
  /** The role of the session. Default: owner. `nobody`: before the login. */
  readonly as?: Role | 'nobody';
  /** Brings the page into the state that is shown. */
  readonly prepare?: (page: Page) => Promise<void>;
}

/** The server that observes. */
const observed = 'db-1';
const dayMs = 86_400_000;

const forbidden = `/explain?src=${client}&dst=${web}&protocol=tcp&dstPort=22`;
const allowed = `/explain?src=${client}&dst=${web}&protocol=tcp&dstPort=80`;

const tab =
  (name: string) =>
  async (page: Page): Promise<void> => {
    await page.getByRole('tab', { name }).click();
    await page.getByRole('tabpanel').getByRole('row').nth(2).waitFor();
  };

const dialog =
  (button: string | RegExp) =>
  async (page: Page): Promise<void> => {
    await page.getByRole('button', { name: button }).first().click();
    await page.getByRole('dialog').waitFor();
  };

async function editRules(page: Page): Promise<void> {
  await (await editRule(page, 1)).getByLabel('Ports').fill('80, 443, 8080');
  await (await editRule(page, 2)).getByLabel('Ports').fill('5353');
  await page.getByText('Unsaved changes').first().waitFor();
}

async function review(page: Page): Promise<void> {
  await editRules(page);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').getByLabel('Difference in the configuration').waitFor();
}

async function editLabels(page: Page): Promise<Locator> {
  await page.getByRole('button', { name: 'Change region and labels' }).click();
  const form = page.getByRole('form', { name: 'Region and labels' });
  await form.waitFor();
  return form;
}

/** A label that rules of others mean. */
async function relabel(page: Page): Promise<void> {
  const form = await editLabels(page);
  await form.getByRole('combobox', { name: 'Labels' }).fill('role=web');
  await page.keyboard.press('Enter');
  await form.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').getByLabel('Rules that mean other addresses').waitFor();
}

async function chooseServers(page: Page): Promise<void> {
  for (const name of ['web-1', 'web-2']) await page.getByLabel(`Select ${name}`).check();
  await dialog('Assign firewalls')(page);
}

async function group(page: Page): Promise<void> {
  await page.getByText('Grouped').click();
  await page.getByRole('table', { name: 'Dropped packets by group' }).waitFor();
}

/** A change that waits for confirmation, which no other view shows. @param actor whose it is */
const unconfirmed =
  (actor: string) =>
  async (page: Page): Promise<void> => {
    const nowMs = Date.now();
    const status = await page.evaluate<object>(`fetch('/v1/status').then((got) => got.json())`);
    const waiting = {
      ...{ revision: 9, back: 8, actor, secondsLeft: 43, why: 'only the office needs it' },
      summary: 'replace template web: 2 inbound, 0 outbound rules',
      at: new Date(nowMs - 17_000).toISOString(),
      until: new Date(nowMs + 43_000).toISOString(),
    };
    await page.route('**/v1/status', (route) =>
      route.fulfill({ json: { ...status, unconfirmed: waiting } }),
    );
    await page.getByRole('timer', { name: 'Time left' }).waitFor();
  };

/** Servers that come with a new firewall: typed, and about to be pasted. */
async function addServers(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Add a server' }).click();
  const row = page.getByRole('group', { name: 'New server 1' });
  await row.getByLabel('Name').fill('web-1');
  await row.getByLabel('Addresses').fill('10.0.0.9');
  await page.keyboard.press('Enter');
  await page.getByText('there is a server "web-1" already').waitFor();
  await page.getByRole('button', { name: 'Paste a list' }).click();
  await page.getByLabel('List of servers').fill('app-1 10.0.2.11 hkg role=app');
}

export const views: readonly View[] = [
  { name: 'login', path: '/', as: 'nobody' },
  { name: 'not-available', path: '/', as: 'billing-admin' },
  { name: 'overview', path: '/' },
  { name: 'confirm', path: '/firewalls/web', prepare: unconfirmed('owner') },
  { name: 'confirm-other', path: '/', prepare: unconfirmed('carol') },
  { name: 'firewalls', path: '/firewalls' },
  { name: 'firewalls-member', path: '/firewalls', as: 'member' },
  { name: 'firewall-new', path: '/firewalls/~new' },
  { name: 'firewall-new-servers', path: '/firewalls/~new', prepare: addServers },
  { name: 'firewall', path: '/firewalls/web' },
  { name: 'firewall-member', path: '/firewalls/web', as: 'member' },
  { name: 'firewall-edited', path: '/firewalls/web', prepare: editRules },
  {
    name: 'firewall-errors',
    path: '/firewalls/web',
    async prepare(page) {
      await (await editRule(page, 1)).getByLabel('Ports').fill('80, 99999');
      await page.getByText('needs a correction').waitFor();
    },
  },
  { name: 'firewall-review', path: '/firewalls/web', prepare: review },
  { name: 'firewall-destroy', path: '/firewalls/web', prepare: dialog('Destroy') },
  { name: 'firewall-history', path: '/firewalls/web/history' },
  {
    name: 'firewall-options',
    path: '/firewalls/web',
    async prepare(page) {
      const rule = await editRule(page, 2);
      await rule.getByRole('button', { name: 'Any IPv4' }).click();
      await rule.getByRole('button', { name: /^Options/ }).click();
      await page.getByRole('dialog').waitFor();
    },
  },
  { name: 'firewall-prune', path: '/firewalls', prepare: dialog(/^Prune/) },
  { name: 'sets', path: '/sets' },
  { name: 'changes', path: '/changes' },
  {
    name: 'change-rollback',
    path: '/changes',
    async prepare(page) {
      await dialog(/^Roll back to revision/)(page);
      await page.getByRole('dialog').getByLabel('Difference in the configuration').waitFor();
    },
  },
  { name: 'gateways', path: '/gateways' },
  { name: 'set-new', path: '/sets/~new' },
  {
    name: 'set',
    path: '/sets/office',
    async prepare(page) {
      await page.getByRole('button', { name: 'set:vpn' }).focus();
      await page.getByRole('tooltip').getByText('203.0.113.0/26').waitFor();
    },
  },
  { name: 'set-member', path: '/sets/office', as: 'member' },
  { name: 'set-edit', path: '/sets/office', prepare: dialog('Edit') },
  { name: 'set-addresses', path: '/sets/office', prepare: dialog('Add or remove addresses') },
  { name: 'set-destroy', path: '/sets/office', prepare: dialog('Destroy') },
  { name: 'set-history', path: '/sets/office/history' },
  { name: 'servers', path: '/servers' },
  { name: 'servers-assign', path: '/servers', prepare: chooseServers },
  { name: 'server-edit', path: '/servers/web-1', prepare: dialog('Edit') },
  {
    name: 'server-labels',
    path: '/servers/web-1',
    async prepare(page) {
      await editLabels(page);
    },
  },
  { name: 'server-review', path: '/servers/web-1', prepare: relabel },
  { name: 'server-rename', path: '/servers/web-1', prepare: dialog('Rename') },
  {
    name: 'server-observing',
    path: `/servers/${observed}`,
    async prepare(page) {
      await page.getByText(/^Observes until/).waitFor();
    },
  },
  {
    name: 'server-observe',
    path: `/servers/${observed}`,
    async prepare(page) {
      await dialog('Observe')(page);
      await page.getByLabel('For how long').selectOption('Until a date');
    },
  },
  {
    name: 'server-suggest',
    path: `/servers/${observed}`,
    async prepare(page) {
      await dialog('Suggest rules')(page);
      await page.getByRole('dialog').getByRole('checkbox').first().waitFor();
    },
  },
  { name: 'server-destroy', path: '/servers/web-1', prepare: dialog('Destroy') },
  { name: 'server', path: '/servers/web-1' },
  { name: 'server-reach', path: '/servers/web-1', prepare: tab('Reach') },
  { name: 'server-flows', path: '/servers/web-1', prepare: tab('Live flows') },
  { name: 'server-drops', path: '/servers/web-1', prepare: tab('Recent drops') },
  {
    name: 'server-allow',
    path: '/servers/web-1',
    async prepare(page) {
      await tab('Recent drops')(page);
      // What is to be clicked would move away with every drop.
      await page.getByRole('button', { name: 'Pause' }).click();
      await dialog(/^Allow this/)(page);
    },
  },
  { name: 'live', path: '/live' },
  { name: 'live-drop-groups', path: '/live', prepare: group },
  {
    name: 'drop-groups',
    path: '/servers/web-1',
    async prepare(page) {
      await tab('Recent drops')(page);
      await group(page);
    },
  },
  { name: 'flows', path: '/flows' },
  { name: 'explain', path: '/explain' },
  { name: 'explain-dropped', path: forbidden },
  { name: 'explain-allowed', path: allowed },
  { name: 'audit', path: '/audit' },
  { name: 'users', path: '/users' },
  { name: 'user-new', path: '/users', prepare: dialog('Add User') },
  { name: 'account', path: '/account' },
  { name: 'not-found', path: '/nowhere' },
];

/**
 * A firewall with a history of changes, and traffic that is allowed and that is not.
 *
 * @param options observing: whether a server observes, which every page says
 */
export async function createBusyPanel({ observing = true } = {}): Promise<PanelLab> {
  const panel = await PanelLab.create({
    templates: {
      web: {
        inbound: [
          { protocol: 'tcp', ports: [80] },
          { protocol: 'udp', ports: [53], sources: ['198.51.100.0/24', '10.0.0.0/8'] },
        ],
        outbound: [{ protocol: 'tcp', ports: [5432], destinations: [db] }],
      },
      ping: { inbound: [{ protocol: 'icmp' }] },
      database: {
        inbound: [
          { protocol: 'tcp', ports: [5432], sources: [`${web}-${webSecond}`] },
          { protocol: 'tcp', ports: [6432], sources: ['label:role=web', 'set:office'] },
          { protocol: 'tcp', ports: [22], expires: '2026-01-31T18:00:00Z' },
        ],
      },
    },
    sets: {
      office: { description: 'Where we sit', addresses: ['192.0.2.0/24'], include: ['set:vpn'] },
      vpn: { addresses: ['203.0.113.0/26'] },
    },
    servers: [
      { name: 'web-1', addresses: [web], templates: ['web', 'ping'] },
      { name: 'web-2', addresses: [webSecond], templates: ['web'] },
      {
        ...{ name: observed, addresses: [db], templates: ['database'] },
        ...(observing && { mode: 'observe' as const, until: momentText(Date.now() + dayMs) }),
      },
      { name: 'spare', addresses: ['10.0.1.3'], templates: [] },
    ],
  });
  try {
    await work(panel);
    await startTraffic(panel);
    if (observing) await untilSuggested(panel);
    return panel;
  } catch (error) {
    await panel.close();
    throw error;
  }
}

/** So that there is a history, and something in the audit log. */
async function work(panel: PanelLab): Promise<void> {
  const http = { protocol: 'tcp', ports: [80, 443], comment: 'HTTP and HTTPS' };
  await panel.ask('PUT', '/v1/templates/web/rules/inbound/0', http);
  await panel.ask('POST', '/v1/templates', { name: 'office', preset: 'ssh', assignTo: ['web-2'] });
  await panel.ask('PUT', '/v1/servers/db-1/templates', { templates: ['database', 'ping'] });
  const refused = panel.ask('DELETE', '/v1/templates/web');
  await refused.catch(() => undefined);
}

/** Until something was seen for which a rule can be suggested. */
function untilSuggested(panel: PanelLab): Promise<void> {
  return panel.firewall.until('a rule is suggested', async () => {
    const path = `/v1/servers/${observed}/suggestion`;
    const { rules } = (await panel.ask('GET', path)) as { rules: unknown[] };
    return rules.length > 0;
  });
}

async function startTraffic({ firewall }: PanelLab): Promise<void> {
  await firewall.serve('web', 'tcp:80', 'udp:53');
  await firewall.serve('db', 'tcp:5432');
  const get = (url: string): string => `curl -s -m 1 ${url}`;
  const knock = (address: string, port: string): string => `nc -z -w 1 ${address} ${port}`;
  const loops = [
    [
      'client',
      `while sleep 0.5; do ${get(`http://${web}/`)}; ${get(`http://${webSecond}/`)}; done`,
    ],
    ['client', `(while sleep 0.2; do echo hello; done) | nc -u ${web} 53`],
    ['client', `ping -i 0.5 ${web}`],
    ['client', `while sleep 5; do for port in 22 23 3389; do ${knock(web, '$port')}; done; done`],
    ['client', `while sleep 3; do ping -c 1 -W 1 ${webSecond}; ${knock(db, '5432')}; done`],
    ['web', `while sleep 0.5; do ${get(`http://${db}:5432/`)}; done`],
  ] as const;
  for (const [host, loop] of loops) {
    firewall.lab.spawn(host, ['sh', '-c', `(${loop}) >/dev/null 2>&1`]);
  }
}

/** A window with the session of the view, and the view in its state. */
export async function openView(
  panel: PanelLab,
  { path, as = 'owner', prepare }: View,
  options: BrowserContextOptions,
): Promise<Page> {
  const page = await (as === 'nobody'
    ? panel.open(path, options)
    : panel.openAs(as, path, options));
  await page.getByRole('heading', { level: 1 }).first().waitFor();
  await page.getByText('Loading').first().waitFor({ state: 'detached' });
  await prepare?.(page);
  return page;
}
