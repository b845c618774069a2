/** Templates, servers and assignments over HTTP: what is changed, what is in force, what is refused and where. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiLab } from '../../../support/api.ts';
import type { Answer, Json, Sent } from '../../../support/api.ts';

let lab: ApiLab;
beforeEach(async () => {
  lab = await ApiLab.create();
});
afterEach(async () => {
  await lab.close();
});

const send = (request: string, sent?: Sent): Promise<Answer> => lab.send('owner', request, sent);
const web = '/v1/templates/web';
const tagOf = ({ headers }: Answer): string => headers['etag'] as string;
const ifMatch = (answer: Answer): Sent => ({ headers: { 'if-match': tagOf(answer) } });
const listOf = ({ json }: Answer, key: string): Json[] => json![key] as unknown as Json[];

describe('a template', () => {
  it('is created, and in force before the answer', async () => {
    const inbound = [{ protocol: 'tcp', ports: [25, '8000-8100'], sources: ['10.0.0.0/8'] }];
    const made = await send('POST /v1/templates', {
      body: { name: 'mail', description: 'Mail', inbound, assignTo: ['db-1'] },
    });
    expect(made.status).toBe(201);
    expect(made.headers['location']).toBe('/v1/templates/mail');
    expect(made.json).toMatchObject({
      ...{ name: 'mail', description: 'Mail', outbound: [], servers: ['db-1'] },
      applied: { applied: true, epoch: 2 },
    });
    expect(listOf(made, 'inbound')).toMatchObject([{ ...inbound[0], hits: 0 }]);
    const shown = await send('GET /v1/templates/mail');
    expect(tagOf(shown)).toBe(tagOf(made));
    expect(shown.json!['changed']).toMatchObject({ actor: 'owner', via: 'api', action: 'create' });
    expect(await lab.directory.text('templates/mail.yaml')).toContain('"8000-8100"');
  });

  it('begins with a pre-defined rule set, or with a copy', async () => {
    const preset = await send('POST /v1/templates', {
      body: { name: 'office', preset: 'ssh', description: 'Ours' },
    });
    expect(preset.json).toMatchObject({
      description: 'Ours',
      inbound: [{ protocol: 'tcp', ports: [22] }],
    });
    const clone = await send('POST /v1/templates', { body: { name: 'web-2', clone: 'web' } });
    expect(listOf(clone, 'inbound')).toHaveLength(2);
    expect(await lab.directory.text('templates/web-2.yaml')).toContain('# from the office');
  });

  it('that was read can be sent back, and nothing has changed', async () => {
    const before = await lab.directory.contents();
    const read = await send(`GET ${web}`);
    const put = await send(`PUT ${web}`, { body: read.json, ...ifMatch(read) });
    expect([put.status, tagOf(put)]).toEqual([200, tagOf(read)]);
    expect(await lab.directory.contents()).toEqual(before);
    const again = await send(`GET ${web}`, { headers: { 'if-none-match': tagOf(read) } });
    expect([again.status, again.body, tagOf(again)]).toEqual([304, '', tagOf(read)]);
    const weak = { headers: { 'if-none-match': `"other", W/${tagOf(read)}` } };
    expect((await send(`GET ${web}`, weak)).status).toBe(304);
  });

  it('of two writers, the second one hears of the first', async () => {
    const read = await send(`GET ${web}`);
    const put = (description: string): Promise<Answer> =>
      send(`PUT ${web}`, { body: { ...read.json, description }, ...ifMatch(read) });
    const answers = await Promise.all([put('one'), put('two')]);
    const [late] = answers.filter(({ status }) => status !== 200);
    const [first] = answers.filter(({ status }) => status === 200);
    expect(late!.problem).toBe('precondition-failed');
    expect(`"${late!.json!['revision'] as unknown as string}"`).toBe(tagOf(first!));
    // With what it has heard it can go on; a weak tag is no tag for a change.
    expect((await send(`PUT ${web}`, { body: {}, ...ifMatch(first!) })).status).toBe(200);
    const weak = { headers: { 'if-match': `W/${tagOf(first!)}` } };
    expect((await send(`PUT ${web}`, { body: {}, ...weak })).problem).toBe('precondition-failed');
  });

  it('is created by PUT once, if that is what is asked for', async () => {
    const once = { body: { inbound: [] }, headers: { 'if-none-match': '*' } };
    expect((await send('PUT /v1/templates/new', once)).status).toBe(201);
    expect((await send('PUT /v1/templates/new', once)).problem).toBe('precondition-failed');
    const mustExist = { body: {}, headers: { 'if-match': '*' } };
    expect((await send('PUT /v1/templates/new', mustExist)).status).toBe(200);
  });

  it('is changed rule by rule, comments and all', async () => {
    const list = `${web}/rules/inbound`;
    const rule = { protocol: 'udp', ports: [53] };
    await send(`POST ${list}?index=0`, { body: rule });
    await send(`PUT ${list}/1`, { body: { protocol: 'tcp', ports: [80], comment: 'plain' } });
    await send(`POST ${list}/0/move`, { body: { to: 2 } });
    const after = await send(`POST ${web}/rules/outbound`, { body: { protocol: 'all' } });
    expect(listOf(after, 'inbound').map(({ protocol, ports }) => [protocol, ports])).toEqual([
      ['tcp', [80]],
      ['tcp', [22]],
      ['udp', [53]],
    ]);
    expect(listOf(after, 'outbound')).toHaveLength(1);
    const removed = await send(`DELETE ${list}/2`, ifMatch(after));
    expect(listOf(removed, 'inbound')).toHaveLength(2);
    expect(await lab.directory.text('templates/web.yaml')).toContain('# from the office');
  });

  it('in use is not destroyed by mistake', async () => {
    const refused = await send(`DELETE ${web}`);
    expect([refused.problem, refused.json!['servers']]).toEqual(['in-use', ['web-1']]);
    const done = await send(`DELETE ${web}?force=true`);
    expect(done.json).toMatchObject({
      changed: [
        { kind: 'template', name: 'web' },
        { kind: 'server', name: 'web-1' },
      ],
      applied: { applied: true },
    });
    expect((await send(`DELETE ${web}`)).problem).toBe('not-found');
  });

  it('has a history, and goes back to any of it', async () => {
    const text = await lab.directory.text('templates/web.yaml');
    await send(`PUT ${web}`, { body: { description: 'Other', inbound: [] } });
    await send(`POST ${web}/rename`, { body: { to: 'site' } });
    const site = '/v1/templates/site';
    const versions = listOf(await send(`GET ${site}/history`), 'versions');
    expect(versions.map(({ action, actor }) => [action, actor])).toEqual([['rename', 'owner']]);
    const diff = await send(`GET ${web}/history/diff?from=1&to=2`);
    expect(diff.headers['content-type']).toMatch(/^text\/x-diff/);
    expect(diff.body).toContain('-description: Public web server\n+description: Other\n');
    // Without numbers: what the newest one has changed.
    expect((await send(`GET ${site}/history/diff`)).body).toContain('+description: Other');
    const old = await send(`GET ${web}/history/1`);
    expect([old.body, old.headers['content-type']]).toEqual([
      text,
      'application/yaml; charset=utf-8',
    ]);
    const back = await send(`POST ${web}/rollback`, { body: { version: 1 } });
    expect(back.json).toMatchObject({ description: 'Public web server', servers: [] });
    expect(await lab.directory.text('templates/web.yaml')).toBe(text);
  });
});

describe('servers and templates', () => {
  const assigned = async (): Promise<Record<string, unknown>> => {
    const servers = listOf(await send('GET /v1/servers'), 'servers');
    const pairs = servers.map(({ name, templates }): [string, unknown] => [
      name as unknown as string,
      templates,
    ]);
    return Object.fromEntries(pairs);
  };

  it('come together in both directions, and in bulk', async () => {
    await send('PUT /v1/templates/spare/servers', { body: { servers: ['db-1', 'web-1'] } });
    expect(await assigned()).toEqual({ 'web-1': ['web', 'spare'], 'db-1': ['spare'] });
    await send('PUT /v1/templates/spare/servers', { body: { servers: ['db-1'] } });
    await send('PUT /v1/servers/db-1/templates', { body: { templates: ['web'] } });
    expect(await assigned()).toEqual({ 'web-1': ['web'], 'db-1': ['web'] });
    const both = { servers: ['web-1', 'db-1'], templates: ['web', 'spare'] };
    expect(listOf(await send('POST /v1/assignments', { body: both }), 'changed')).toHaveLength(2);
    // Again: nothing is to be done, and it is in force.
    const again = await send('POST /v1/assignments', { body: both });
    expect(again.json).toMatchObject({ changed: [], applied: { applied: true } });
    await send('POST /v1/assignments/remove', { body: both });
    expect(await assigned()).toEqual({ 'web-1': [], 'db-1': [] });
    expect((await send('GET /v1/templates/web/servers')).json).toEqual({
      servers: [],
      appliedServers: [],
    });
  });

  it('of a server, the rules are the union of those of its templates, with their hits', async () => {
    await send('PUT /v1/servers/web-1/templates', { body: { templates: ['web', 'spare'] } });
    const { json } = await send('GET /v1/servers/web-1/rules');
    expect(json!['inbound']).toMatchObject([
      { template: 'spare', index: 0, protocol: 'icmp', hits: 0 },
      { template: 'web', index: 0, protocol: 'tcp', hits: 5 },
      { template: 'web', index: 1, hits: 5 },
    ]);
    expect(json!['outbound']).toEqual([]);
  });

  it('can be asked for by template', async () => {
    const names = async (query: string): Promise<unknown[]> =>
      listOf(await send(`GET /v1/servers?${query}`), 'servers').map(({ name }) => name);
    expect(await names('template=web')).toEqual(['web-1']);
    expect(await names('region=nowhere')).toEqual([]);
    expect(await names('selector=!role')).toEqual(['web-1', 'db-1']);
    expect(await names('selector=role')).toEqual([]);
  });

  it('a server is changed in what the body names, and has templates by its labels', async () => {
    await send('PUT /v1/templates/spare', {
      body: { appliesTo: ['role=db', 'region=hkg'], inbound: [{ protocol: 'icmp' }] },
    });
    const made = await send('PATCH /v1/servers/db-1', {
      body: { region: 'hkg', labels: { role: 'db', env: 'prod' } },
    });
    const spare = { template: 'spare', selector: 'role=db' };
    expect(made.json).toMatchObject({
      addresses: ['10.0.0.3', '10.0.1.3'],
      templates: [],
      appliedTemplates: [spare],
      labels: { role: 'db', env: 'prod' },
    });
    const stale = await send('PATCH /v1/servers/db-1', {
      body: { region: null },
      headers: { 'if-match': '"stale"' },
    });
    expect(stale.problem).toBe('precondition-failed');
    const { json } = await send('PATCH /v1/servers/db-1', { body: { labels: { role: null } } });
    expect(json).toMatchObject({
      region: 'hkg',
      labels: { env: 'prod' },
      appliedTemplates: [{ template: 'spare', selector: 'region=hkg' }],
      applied: {
        warnings: ['spare.yaml: no server matches "role=db": it means nobody until one does'],
      },
    });
    expect((await send('GET /v1/servers/db-1/templates')).json).toEqual({
      templates: [],
      appliedTemplates: [{ template: 'spare', selector: 'region=hkg' }],
    });
    expect((await send('GET /v1/templates/spare')).json).toMatchObject({
      servers: [],
      appliedServers: [{ server: 'db-1', selector: 'region=hkg' }],
    });
    expect((await send('GET /v1/servers/db-1/rules')).json).toMatchObject({
      inbound: [{ template: 'spare', selector: 'region=hkg', index: 0 }],
    });
    // What was read can be sent back.
    const read = await send('GET /v1/servers/db-1');
    const put = await send('PUT /v1/servers/db-1', { body: read.json });
    expect(tagOf(put)).toBe(tagOf(read));
    const bare = await send('PATCH /v1/servers/db-1', {
      body: { region: null, labels: { env: null } },
    });
    expect(Object.keys(bare.json!)).not.toContain('labels');
    expect(await lab.directory.text('servers.yaml')).not.toContain('labels');
  });

  it('a server rejects by its own setting, for each direction, and by the gateway’s for the other', async () => {
    await lab.directory.write({ 'gateway.yaml': 'reject: { inbound: true }\n' });
    await lab.controlPlane.apply();
    const patch = async (reject: unknown): Promise<Record<string, unknown>> =>
      (await send('PATCH /v1/servers/db-1', { body: { reject } })).json!;
    const gateways = { inbound: true, outbound: false };
    expect((await send('GET /v1/servers/db-1')).json!['effectiveReject']).toEqual(gateways);
    expect(await patch({ outbound: true })).toMatchObject({
      reject: { outbound: true },
      effectiveReject: { inbound: true, outbound: true },
    });
    expect(await patch({ inbound: false })).toMatchObject({
      reject: { inbound: false, outbound: true },
      effectiveReject: { inbound: false, outbound: true },
    });
    // What was read can be sent back.
    const read = await send('GET /v1/servers/db-1');
    const put = await send('PUT /v1/servers/db-1', { body: read.json });
    expect(tagOf(put)).toBe(tagOf(read));
    const wrong = await send('PATCH /v1/servers/db-1', { body: { reject: { inbound: 'yes' } } });
    expect(wrong.problem).toBe('invalid');
    expect(await patch({ inbound: null, outbound: null })).toMatchObject({
      effectiveReject: gateways,
    });
    expect(await lab.directory.text('servers.yaml')).not.toContain('reject');
    expect((await send('GET /v1/status')).json).toMatchObject({
      reject: { inbound: true, outbound: false, perSecond: 1000, perSourcePerSecond: 20 },
    });
  });

  it('are assigned by selector, in one change', async () => {
    await send('PATCH /v1/servers/web-1', { body: { labels: { role: 'web' } } });
    await send('PATCH /v1/servers/db-1', { body: { labels: { role: 'db' } } });
    const body = { selector: 'role in (web,db)', templates: ['spare'] };
    expect((await send('POST /v1/assignments', { body })).json).toMatchObject({
      servers: ['web-1', 'db-1'],
      changed: [{ name: 'web-1' }, { name: 'db-1' }],
    });
    expect(await assigned()).toEqual({ 'web-1': ['web', 'spare'], 'db-1': ['spare'] });
    const { json } = await send('POST /v1/assignments/remove', {
      body: { selector: 'role=db', templates: ['spare', 'web'] },
    });
    expect(json).toMatchObject({ servers: ['db-1'] });
    expect(await assigned()).toEqual({ 'web-1': ['web', 'spare'], 'db-1': [] });
    const nobody = { selector: 'role=mail', templates: ['spare'] };
    expect((await send('POST /v1/assignments', { body: nobody })).json).toMatchObject({
      ...{ servers: [], changed: [] },
      applied: { warnings: ['no server matches "role=mail": nothing was done'] },
    });
  });

  it('a server that was read can be sent back, by one of two writers', async () => {
    const read = await send('GET /v1/servers/web-1');
    const body = { ...read.json, region: 'north', labels: { tier: 'front' } };
    const put = await send('PUT /v1/servers/web-1', { body, ...ifMatch(read) });
    expect(put.json).toMatchObject({ region: 'north', labels: { tier: 'front' } });
    expect((await send('PUT /v1/servers/web-1', { body, ...ifMatch(read) })).problem).toBe(
      'precondition-failed',
    );
    expect((await send('DELETE /v1/servers/web-1', ifMatch(put))).status).toBe(200);
    expect(await lab.directory.text('servers.yaml')).toContain('# Protected servers.');
  });
});

describe('a change before it is made', () => {
  it('shows what it does to the files, to whom, and what it cuts', async () => {
    const before = await lab.directory.contents();
    const { json } = await send('POST /v1/review', {
      body: {
        operations: [
          { kind: 'remove-rule', template: 'web', direction: 'inbound', index: 1 },
          { kind: 'destroy-template', name: 'spare' },
        ],
      },
    });
    expect(json).toMatchObject({
      changed: [{ name: 'spare' }, { name: 'web' }],
      ...{ servers: ['web-1'], flowsCut: 3, cutsClient: false },
      largestFlowsCut: [{ destinationServer: 'web-1', destinationPort: 443 }],
    });
    const diff = json!['diff'] as unknown as string;
    expect(diff).toContain('--- templates/web.yaml\n+++ templates/web.yaml\n');
    expect(diff).toContain('-    ports: [22]\n');
    expect(diff).toContain('+++ /dev/null\n');
    const check = await send('POST /v1/review?flows=false', {
      body: { operations: [{ kind: 'destroy-template', name: 'spare' }] },
    });
    expect(check.json).toMatchObject({ changed: [{ name: 'spare' }] });
    expect(check.json).not.toHaveProperty('flowsCut');
    const same = await send('POST /v1/review', {
      body: { server: (await send('GET /v1/servers/web-1')).json },
    });
    expect(same.json).toMatchObject({ changed: [], diff: '', servers: [] });
    expect(await lab.directory.contents()).toEqual(before);
    expect(lab.controlPlane.applies).toBe(0);
  });

  it('names whom it concerns through a label, and what that opens and closes', async () => {
    const rule = { protocol: 'tcp', ports: [5432], sources: ['label:role=web', '10.0.0.2'] };
    await lab.directory.write({
      'servers.yaml': `servers:
  - { name: web-1, addresses: [10.0.0.2], labels: { role: web } }
  - { name: web-2, addresses: [10.0.0.4], labels: { role: mail } }
  - { name: db-1, addresses: [10.0.0.3], templates: [db] }
`,
    });
    await send('POST /v1/templates', { body: { name: 'db', inbound: [rule] } });
    await send('PUT /v1/templates/spare', {
      body: {
        appliesTo: ['role=web'],
        outbound: [{ protocol: 'all', destinations: ['template:db'] }],
      },
    });
    const reviewed = async (name: string, role: string): Promise<Answer> => {
      const read = await send(`GET /v1/servers/${name}`);
      return send('POST /v1/review', { body: { server: { ...read.json, labels: { role } } } });
    };
    const db = { template: 'db', direction: 'inbound', index: 0, through: ['label:role=web'] };
    expect((await reviewed('web-2', 'web')).json).toMatchObject({
      servers: ['db-1', 'web-2'],
      affected: [
        { server: 'db-1', reasons: ['label:role=web in template db'] },
        { server: 'web-2', reasons: ['it changes', 'it gets template spare (role=web)'] },
      ],
      rules: [{ ...db, opened: ['10.0.0.4'], closed: [] }],
      ...{ warnings: [], flowsCut: 3 },
    });
    // Its address is named beside: the rule goes on to mean it.
    expect((await reviewed('web-1', 'mail')).json).toMatchObject({
      affected: [
        { server: 'web-1', reasons: ['it changes', 'it loses template spare (role=web)'] },
      ],
      rules: [],
      warnings: [
        'db.yaml: no server matches "role=web": it means nobody until one does',
        'spare.yaml: no server matches "role=web": it means nobody until one does',
      ],
    });
    const unassigned = await send('POST /v1/review', {
      body: { operations: [{ kind: 'unassign', servers: ['db-1'], templates: ['db'] }] },
    });
    expect(unassigned.json).toMatchObject({
      affected: [
        { server: 'db-1', reasons: ['it changes', 'it loses template db'] },
        { server: 'web-1', reasons: ['template:db in template spare'] },
      ],
      rules: [{ template: 'spare', through: ['template:db'], opened: [], closed: ['10.0.0.3'] }],
    });
  });

  it('of several operations, all are made or none', async () => {
    const before = await lab.directory.contents();
    const create = { kind: 'create-template', name: 'mail', body: {} };
    const refused = await send('POST /v1/changes', {
      body: { operations: [create, { kind: 'destroy-server', name: 'nope' }] },
    });
    expect(refused.problem).toBe('not-found');
    expect(await lab.directory.contents()).toEqual(before);
  });
});

describe('by hand, beside it,', () => {
  it('files with errors stop changes, and are reported with file and line', async () => {
    await lab.directory.write({ 'templates/spare.yaml': 'inbound:\n  - { protocol: tpc }\n' });
    const refused = await send(`POST ${web}/rules/outbound`, { body: { protocol: 'all' } });
    expect(refused.problem).toBe('broken');
    const [error] = listOf(refused, 'errors');
    expect(error).toMatchObject({ path: 'inbound[0].protocol', line: 2 });
    expect(error!['file']).toMatch(/spare\.yaml$/);
    // The policy in force can still be read, and a change that mends the error is accepted.
    expect(listOf(await send('GET /v1/templates/spare'), 'inbound')).toHaveLength(1);
    const mended = await send('PUT /v1/templates/spare', { body: { inbound: [] } });
    expect(mended.json).toMatchObject({ applied: { applied: true } });
  });

  it('a change that is stored but not in force says so', async () => {
    const apply = lab.controlPlane.apply.bind(lab.controlPlane);
    lab.controlPlane.apply = async () => {
      await writeFile(join(lab.directory.path, 'servers.yaml'), 'servers: 7\n');
      return await apply();
    };
    const made = await send(`POST ${web}/rules/outbound`, { body: { protocol: 'all' } });
    expect(made.status).toBe(201);
    expect(made.json!['applied']).toMatchObject({ applied: false, epoch: 1 });
    expect(made.json!['applied']!['pending']).toContain('expected a list of servers, found 7');
  });

  it('reading does not look at the directory', async () => {
    await rename(lab.directory.path, `${lab.directory.path}-away`);
    try {
      // Each request reads only its user.
      await lab.api.close();
      lab.api = await lab.build('socket');
      expect((await lab.send('nobody', 'GET /v1/templates')).status).toBe(200);
      expect((await lab.send('nobody', 'GET /v1/servers/web-1/rules')).status).toBe(200);
    } finally {
      await rename(`${lab.directory.path}-away`, lab.directory.path);
    }
  });
});

describe('what comes in the body of a rule', () => {
  const bomb = '&a ["x", "x"]\nb: &b [*a, *a]\nc: [*b, *b]';
  it.each([
    { protocol: 'tcp', comment: '"}, { protocol: all }' },
    { protocol: 'tcp', comment: '# }' },
    { protocol: 'tcp', comment: '*a' },
  ])('is a value, not YAML: %j', async (rule) => {
    const made = await send(`POST ${web}/rules/inbound`, { body: rule });
    expect(listOf(made, 'inbound').at(-1)).toMatchObject({
      ...rule,
      hits: 5,
      hitsSince: '2030-01-01T00:00:00.000Z',
      lastHit: '2030-01-02T00:00:00.000Z',
    });
    expect(listOf(made, 'inbound')).toHaveLength(3);
  });

  it.each([bomb, '"}\ninbound: [{ protocol: all }]', '|\n  x\ninbound: [{ protocol: all }]'])(
    'nor is a description of many lines: %j',
    async (description) => {
      const made = await send(`PUT ${web}`, {
        body: { description },
        headers: { 'if-match': '*' },
      });
      expect(made.json).toMatchObject({ description, inbound: [] });
    },
  );

  it.each([
    { protocol: '&a tcp' },
    { protocol: 'tcp', ports: ['*a'] },
    { protocol: 'tcp', sources: ['!!js/function x'] },
    { protocol: 'tcp', ports: Array.from({ length: 10 }, () => [[[[[1]]]]]) },
    { protocol: 'tcp', ports: { length: 1e9 } },
  ])('is refused where it is no rule: %j', async (rule) => {
    expect((await send(`POST ${web}/rules/inbound`, { body: rule })).problem).toBe('invalid');
  });
});
