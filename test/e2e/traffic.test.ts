/** What the firewall does, and what users did: drops and how to allow them, flows, explanations, the audit log, users. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { client, web } from '../netns/support/firewall.ts';
import { describeProbe, tcp, whatPasses } from '../netns/support/probes.ts';
import { udpPacket } from '../../src/testing/packets.ts';
import { PanelLab, obstacle } from './support/panel-lab.ts';

describe.skipIf(obstacle !== undefined)('traffic and people', () => {
  let panel: PanelLab;

  beforeAll(async () => {
    panel = await PanelLab.create({
      templates: {
        web: {
          inbound: [
            { protocol: 'tcp', ports: [80] },
            { protocol: 'udp', ports: [53] },
          ],
        },
      },
      servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
    });
    await panel.firewall.serve('web', 'tcp:80', 'tcp:8080', 'udp:53');
  });
  afterAll(async () => {
    await panel.close();
  });

  it('a real drop is allowed by the smallest rule, after a review', async () => {
    const page = await panel.openAs('owner', '/servers/web');
    const probes = [tcp('client', web, 80), tcp('client', web, 8080)];
    expect(await whatPasses(panel.firewall, probes)).toEqual([describeProbe(probes[0]!)]);
    await page.getByRole('tab', { name: 'Recent drops' }).click();
    await page
      .getByRole('button', { name: /^Allow this: .*8080/ })
      .first()
      .click();
    await page.getByRole('dialog', { name: 'Allow this' }).getByText(client).first().waitFor();
    await page
      .getByRole('dialog', { name: 'Allow this' })
      .getByRole('button', { name: 'Review' })
      .click();
    const review = page.getByRole('dialog', { name: 'Review: allow this' });
    expect(await review.getByLabel('Difference in the configuration').innerText()).toMatch(
      new RegExp(`\\+ .*8080.*${client.replaceAll('.', '\\.')}`),
    );
    await review.getByRole('button', { name: /Save/ }).click();
    await page.getByText('The rule was added').waitFor();
    expect(await whatPasses(panel.firewall, probes)).toEqual(probes.map(describeProbe));
    await page.context().close();
  });

  it('the first page says what is open, without firewall, changed and dropped', async () => {
    await whatPasses(panel.firewall, [tcp('client', web, 8081)]);
    const page = await panel.openAs('member', '/');
    await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    const tile = (label: string) =>
      page.getByRole('main').getByText(label, { exact: true }).locator('..');
    await tile('Gateway').getByText('ok', { exact: true }).waitFor();
    await tile('Device').getByText('fw0', { exact: true }).waitFor();
    await tile('Flow table')
      .getByText(/ flows?, room for /)
      .waitFor();
    const section = (name: string) => page.getByRole('region', { name });
    await section('Open to the world')
      .getByText(/Open: .*80/)
      .waitFor();
    await section('Servers without firewall').getByText('Every server has a firewall.').waitFor();
    await section('Last changes').getByText(/^1\./).waitFor();
    await section('Dropped last')
      .getByText(/TCP 8081/)
      .waitFor();
    await page.context().close();
  });

  it('a live flow is killed: what it carries begins another one', async () => {
    const { lab } = panel.firewall;
    const flowId = async (): Promise<string | undefined> => {
      const page = (await panel.ask('GET', '/v1/flows?protocol=udp')) as {
        flows: { id: string }[];
      };
      return page.flows[0]?.id;
    };
    const script = `(while sleep 0.2; do echo x; done) | nc -u ${web} 53`;
    const talk = lab.spawn('client', ['sh', '-c', script]);
    const page = await panel.openAs('owner', '/flows?protocol=udp&port=53');
    const kill = page.getByRole('button', { name: /^Kill the flow from .*:53$/ });
    await kill.waitFor();
    const before = await flowId();
    await kill.click();
    await page.getByRole('dialog').getByRole('button', { name: 'Kill the flow' }).click();
    await page.getByText('The flow was killed').waitFor();
    await vi.waitUntil(async () => ![before, undefined].includes(await flowId()), {
      timeout: 10_000,
      interval: 200,
    });
    talk.kill();
    await page.context().close();
  });

  it('explains a packet: the rule that allows it, and what of the nearest one does not fit', async () => {
    const page = await panel.openAs('member', '/explain');
    await page.getByLabel('Source address').fill(client);
    await page.getByLabel('Destination address').fill(web);
    await page.getByLabel('Destination port').fill('80');
    await page.getByRole('button', { name: 'Explain' }).click();
    const answer = page.getByRole('region', { name: 'Answer' });
    await answer.getByText('TCP: 80', { exact: false }).first().waitFor();
    await answer.locator('[data-verdict=pass]').waitFor();
    await page.getByLabel('Destination port').fill('81');
    await page.getByRole('button', { name: 'Explain' }).click();
    await answer.locator('[data-verdict=drop]').waitFor();
    await answer.getByRole('table', { name: 'What does not fit' }).getByText('81').waitFor();
    await page.getByLabel('Source address').fill('nowhere');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page
      .getByText(/nowhere/)
      .first()
      .waitFor();
    await page.context().close();
  });

  it('explains a packet that is given as bytes, and says what is wrong with them', async () => {
    const page = await panel.openAs('member', '/explain');
    await page.getByText('As bytes').click();
    const bytes = page.getByLabel('Packet, in hexadecimal digits');
    const answer = page.getByRole('region', { name: 'Answer' });
    await bytes.fill('45 00 00 xx');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.locator('textarea[aria-invalid=true]').waitFor();
    await bytes.fill(Buffer.from(udpPacket(client, web, 4000, 53)).toString('hex'));
    await page.getByRole('button', { name: 'Explain' }).click();
    await answer.locator('[data-verdict=pass]').waitFor();
    await answer.getByText('UDP: 53', { exact: false }).first().waitFor();
    await page.context().close();
  });

  it('the live page goes on by itself after the gateway was restarted', async () => {
    const page = await panel.openAs('owner', '/live');
    await page.getByRole('heading', { level: 1, name: 'Live' }).waitFor();
    await page.evaluate('globalThis.isSame = true');
    await panel.firewall.stop();
    await panel.firewall.start();
    // Sessions are in memory.
    await page.getByLabel('Password', { exact: true }).waitFor({ timeout: 40_000 });
    await page.getByLabel('Name', { exact: true }).fill('owner');
    await page.getByLabel('Password', { exact: true }).fill('a password for tests');
    await page.getByRole('button', { name: 'Log in' }).click();
    await whatPasses(panel.firewall, [tcp('client', web, 81)]);
    await page.getByText(/:81\b/).first().waitFor({ timeout: 20_000 });
    await page.getByText('no inbound rule of the destination server allows it').waitFor();
    expect(await page.evaluate('globalThis.isSame')).toBe(true);
    await page.context().close();
  });

  it('a user is made with a token that is shown once and is good for the API, and goes again', async () => {
    const page = await panel.openAs('owner', '/users');
    await page.getByRole('button', { name: 'Add User' }).click();
    const dialog = page.getByRole('dialog', { name: 'Add User' });
    await dialog.getByLabel('Name', { exact: true }).fill('not a name');
    await dialog.getByLabel('Password', { exact: true }).fill('short');
    await dialog.getByRole('button', { name: 'Add User' }).click();
    await dialog.locator('[aria-invalid=true]').first().waitFor();
    await dialog.getByLabel('Name', { exact: true }).fill('dora');
    await dialog.getByLabel('Password', { exact: true }).fill('a horse and a battery');
    await dialog.getByRole('button', { name: 'Add User' }).click();
    const row = page.getByRole('row', { name: /^dora/ });
    await row.getByText('a password').waitFor();
    await row.getByRole('button', { name: 'Tokens' }).click();
    const tokens = page.getByRole('dialog', { name: 'Tokens of dora' });
    await tokens.getByLabel('Name of a new token').fill('deploy');
    await tokens.getByRole('button', { name: 'Make Token' }).click();
    const token = await tokens.getByLabel('The token').innerText();
    const { lab } = panel.firewall;
    const asDora = ['curl', '-s', '-H', `authorization: Bearer ${token.trim()}`];
    const asked = [...asDora, 'http://127.0.0.1:8740/v1/session'];
    expect(await lab.mustExec('gateway', asked)).toContain('"name":"dora"');
    await tokens.getByRole('button', { name: 'Revoke deploy' }).click();
    await tokens.getByText('No tokens').waitFor();
    expect(await lab.mustExec('gateway', asked)).toContain('unauthenticated');
    await tokens.getByRole('button', { name: 'Close' }).click();
    await row.getByRole('button', { name: 'Destroy' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Destroy' }).click();
    await row.waitFor({ state: 'detached' });
    await page.context().close();
  });

  it('the audit log has it, and can be searched by actor and time', async () => {
    const page = await panel.openAs('owner', '/audit');
    const log = page.getByRole('table', { name: 'Audit log' });
    await log.getByText('user.destroy').waitFor();
    await log.getByRole('link', { name: 'web', exact: true }).first().waitFor();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download CSV' }).click();
    expect(await readFile(await (await download).path(), 'utf8')).toMatch(/^time,who,.*\r\n/);
    await page.getByLabel('Who').fill('nobody-of-that-name');
    await page.getByText('Nothing like that was done').waitFor();
    await page.getByLabel('Who').fill('owner');
    await log.getByText('user.destroy').waitFor();
    expect(page.url()).toContain('actor=owner');
    const target = page.getByRole('textbox', { name: 'On', exact: true });
    await target.fill('web');
    await log.getByText('user.destroy').waitFor({ state: 'hidden' });
    await log.getByRole('link', { name: 'web', exact: true }).first().waitFor();
    await target.fill('');
    await log.getByText('user.destroy').waitFor();
    await page.getByLabel('From').fill('2099-01-01T00:00');
    await page.getByText('Nothing like that was done').waitFor();
    await page.reload();
    expect(await page.getByLabel('From').inputValue()).toBe('2099-01-01T00:00');
    await page.getByLabel('From').fill('');
    await log.getByText('user.destroy').waitFor();
    await page.getByLabel('Until').fill('2001-01-01T00:00');
    await page.getByText('Nothing like that was done').waitFor();
    await page.context().close();
  });

  it('the audit log goes back page by page', async () => {
    const { lab } = panel.firewall;
    const create = [
      ...['curl', '-s', '-o', '/dev/null', '--max-time', '10', '-H', 'tunwall-actor: dave'],
      ...['-H', 'content-type:application/json', '-d', '{"name":"web"}'],
      ...[
        '--unix-socket',
        join(lab.directory, 'run/control.sock'),
        'http://localhost/v1/templates',
      ],
    ];
    const quoted = create.map((word) => `'${word}'`).join(' ');
    await lab.mustExec('gateway', ['sh', '-ec', `for i in $(seq 52); do ${quoted}; done`]);
    const page = await panel.openAs('owner', '/audit?actor=dave&result=refused');
    const records = page.getByRole('table', { name: 'Audit log' }).locator('tbody tr');
    const isShown = (count: number): Promise<void> =>
      vi.waitFor(async () => expect(await records.count()).toBe(count), { timeout: 10_000 });
    await isShown(50);
    await page.getByRole('button', { name: 'Older' }).click();
    await isShown(2);
    expect(await page.getByRole('button', { name: 'Older' }).count()).toBe(0);
    await page.getByRole('button', { name: 'Newer' }).click();
    await isShown(50);
    await page.context().close();
  });

  it('every user can change their own password, with the old one', async () => {
    const page = await panel.openAs('billing-admin', '/');
    await page.getByRole('button', { name: /Billing Admin/ }).click();
    await page.getByRole('menuitem', { name: 'Password and tokens' }).click();
    await page.getByLabel('Current password').fill('wrong');
    await page.getByLabel('New password').fill('another horse, another battery');
    await page.getByRole('button', { name: 'Set Password' }).click();
    await page
      .getByText(/wrong|not the password/i)
      .first()
      .waitFor();
    await page.getByLabel('Current password').fill('a password for tests');
    await page.getByRole('button', { name: 'Set Password' }).click();
    await page.getByText('The password was changed').waitFor();
    await page.context().close();
  });

  it('a new password ends the tokens as well, for who asks for it', async () => {
    const page = await panel.openAs('billing-member', '/');
    await page.getByRole('button', { name: /Billing Member/ }).click();
    await page.getByRole('menuitem', { name: 'Password and tokens' }).click();
    await page.getByLabel('Name of a new token').fill('deploy');
    await page.getByRole('button', { name: 'Make Token' }).click();
    const token = await page.getByLabel('The token').innerText();
    const answer = (): Promise<string> =>
      panel.firewall.lab.mustExec('gateway', [
        ...['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '10'],
        ...['-H', `Authorization: Bearer ${token}`, 'http://127.0.0.1:8740/v1/session'],
      ]);
    expect(await answer()).toBe('200');
    const ends = page.getByLabel('End the API tokens as well');
    const change = async (current: string, next: string): Promise<void> => {
      await page.getByLabel('Current password').fill(current);
      await page.getByLabel('New password').fill(next);
      await page.getByRole('button', { name: 'Set Password' }).click();
      await expect
        .poll(() => page.getByLabel('New password').inputValue(), { timeout: 10_000 })
        .toBe('');
    };
    await change('a password for tests', 'the next password');
    expect(await answer()).toBe('200');
    await ends.check();
    await change('the next password', 'the one after that');
    await page.getByText('No tokens. Scripts use one instead').waitFor();
    expect(await answer()).toBe('401');
    await page.context().close();
  });

  it('no page has complained', () => {
    expect(panel.complaints).toEqual([]);
  });
});
