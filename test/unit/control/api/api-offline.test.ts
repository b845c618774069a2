/** The API where no firewall runs, as the command line serves itself with it: everything but what is live. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Api } from '../../../../src/control/api/api.ts';
import { offlineControlPlane } from '../../../../src/control/api/offline.ts';
import { buildApi } from '../../../../src/control/api/server.ts';
import { TestDirectory, serversText, webText } from '../../../support/stores.ts';

let directory: TestDirectory;
let api: Api;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
  });
  const store = await directory.store();
  const controlPlane = offlineControlPlane(store, {
    version: '1.2.3',
    configDirectory: directory.path,
  });
  const context = { store, controlPlane, hosts: [], onWarning: () => undefined };
  api = await buildApi(context, { listener: 'in-process' });
});
afterEach(async () => {
  await api.close();
  await directory.remove();
});

it('needs no user, and records changes under the name of the caller', async () => {
  const made = await api.inject({
    method: 'POST',
    url: '/v1/templates',
    headers: { 'tunwall-actor': 'carol' },
    payload: { name: 'ping', preset: 'ping' },
  });
  expect(made.statusCode).toBe(201);
  const { applied } = made.json<{ applied: object }>();
  expect(applied).toMatchObject({ applied: false, epoch: 0 });
  expect(applied).toHaveProperty('pending', expect.stringContaining('no firewall runs'));
  expect(await directory.text('templates/ping.yaml')).toContain('icmp');
  const audit = await api.inject('/v1/audit?action=template');
  const [newest] = audit.json<{ records: object[] }>().records;
  const actor = { name: 'carol', via: 'cli' };
  expect(newest).toMatchObject({ actor, action: 'template.create', result: 'ok' });
  // What was stored is seen at once: there is no older state to be held.
  expect((await api.inject('/v1/templates/ping')).statusCode).toBe(200);
});

it('explains by the directory, and says what is in it', async () => {
  const explained = await api.inject({
    method: 'POST',
    url: '/v1/explain',
    payload: { src: '198.51.100.7', dst: '10.0.0.2', protocol: 'tcp', dstPort: 443 },
  });
  expect(explained.json()).toMatchObject({ verdict: 'pass', epoch: 0 });
  expect((await api.inject('/v1/status')).json()).toMatchObject({
    ...{ version: '1.2.3', running: false, configDirectory: directory.path, epoch: 0 },
    policy: { templates: 1, servers: 2, sets: 0, rules: 2 },
  });
});

it('says that it is no firewall, where one is needed', async () => {
  for (const url of ['/v1/flows', '/v1/drops', '/v1/stats', '/v1/capture', '/metrics']) {
    const { statusCode, body } = await api.inject(url);
    expect([url, statusCode, body]).toEqual([url, 503, expect.stringContaining(':no-firewall"')]);
  }
  expect((await api.inject('/healthz')).json()).toMatchObject({ status: 'failed', epoch: 0 });
});
