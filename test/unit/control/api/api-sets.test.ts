/** Sets through the API: what they say, how single addresses and whole lists change, who names them, and what went before. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiLab } from '../../../support/api.ts';
import type { Answer, Json, Sent } from '../../../support/api.ts';
import { serversText } from '../../../support/stores.ts';

let lab: ApiLab;

beforeEach(async () => {
  lab = await ApiLab.create({
    files: {
      'templates/web.yaml':
        '# Who may\ninbound:\n  - { protocol: tcp, ports: [22], sources: ["set:office", "server:db-1"] } # admins\n  - { protocol: icmp, sources: ["set:office"], except: ["template:web"] }\n',
      'servers.yaml': serversText,
      'sets/office.yaml':
        '# Ours\ndescription: Office\naddresses:\n  - 192.0.2.0/24 # ground floor\nfile: office.txt\n',
      'sets/office.txt': '# roof\n203.0.113.7\n203.0.113.8-203.0.113.9 ; antenna\n',
      'sets/all.yaml': 'include: ["set:office"]\nexcept: [192.0.2.128/25]\n',
    },
  });
});
afterEach(() => lab.close());

const send = (request: string, sent: Sent = {}): Promise<Answer> =>
  lab.send('owner', request, sent);
const file = async (name: string): Promise<string> => (await lab.directory.contents())[name]!;

describe('a set', () => {
  it('is shown with its size, its users and its list', async () => {
    const { json } = await send('GET /v1/sets/office');
    expect(json).toMatchObject({
      name: 'office',
      addresses: ['192.0.2.0/24'],
      except: [],
      include: [],
      file: 'office.txt',
      listEntries: 2,
      addressCount: 259,
      rangeCount: 2,
      usedBy: [
        { kind: 'template', name: 'web', path: 'inbound[0].sources[0]' },
        { kind: 'template', name: 'web', path: 'inbound[1].sources[0]' },
        { kind: 'set', name: 'all', path: 'include[0]' },
      ],
      changed: { action: 'create', via: 'file' },
    });
    const list = await send('GET /v1/sets');
    expect(
      (list.json!['sets'] as unknown as Json[]).map(({ name, addressCount }) => [
        name,
        addressCount,
      ]),
    ).toEqual([
      ['all', 131],
      ['office', 259],
    ]);
    expect((await send('GET /v1/sets/office/list')).body).toBe(await file('sets/office.txt'));
  });

  it('can be sent back as it was answered, with its ETag', async () => {
    const { json, headers } = await send('GET /v1/sets/office');
    const before = await file('sets/office.yaml');
    const same = await send('PUT /v1/sets/office', {
      body: json,
      headers: { 'if-match': String(headers['etag']) },
    });
    expect([same.status, await file('sets/office.yaml')]).toEqual([200, before]);
    const known = await send('GET /v1/sets/office', {
      headers: { 'if-none-match': String(headers['etag']) },
    });
    expect(known.status).toBe(304);
  });

  it('takes and gives single addresses, in its file and in its list, and keeps the comments', async () => {
    const body = {
      add: ['192.0.2.0/24', '10.0.0.9', '203.0.113.8-203.0.113.9'],
      remove: ['203.0.113.7'],
    };
    const { json } = await send('PATCH /v1/sets/office', { body });
    expect(json).toMatchObject({ addresses: ['192.0.2.0/24', '10.0.0.9'], listEntries: 1 });
    expect(await file('sets/office.yaml')).toBe(
      '# Ours\ndescription: Office\naddresses:\n  - 192.0.2.0/24 # ground floor\n  - 10.0.0.9\nfile: office.txt\n',
    );
    expect(await file('sets/office.txt')).toBe('# roof\n203.0.113.8-203.0.113.9 ; antenna\n');
    await send('PATCH /v1/sets/office', { body: { remove: ['192.0.2.0/24'], description: 'HQ' } });
    expect(await file('sets/office.yaml')).toBe(
      '# Ours\ndescription: HQ\naddresses:\n  - 10.0.0.9\nfile: office.txt\n',
    );
  });

  it('goes back to a version with its list, also after it was destroyed', async () => {
    const before = await lab.directory.contents();
    await send('PATCH /v1/sets/office', { body: { remove: ['203.0.113.7'] } });
    await send('DELETE /v1/sets/office?force=1');
    expect(await file('sets/office.txt')).toBeUndefined();
    const versions = (await send('GET /v1/sets/office/history')).json![
      'versions'
    ] as unknown as Json[];
    expect(versions.map(({ action }) => action)).toEqual(['destroy', 'edit', 'create']);
    const diff = await send('GET /v1/sets/office/history/diff?from=1&to=2');
    expect(diff.body).toContain('-203.0.113.7\n');
    const back = await send('POST /v1/sets/office/rollback', { body: { version: 1 } });
    expect(back.status).toBe(200);
    expect(await file('sets/office.yaml')).toBe(before['sets/office.yaml']);
    expect(await file('sets/office.txt')).toBe(before['sets/office.txt']);
    const { records } = await lab.store.audit.query({ action: 'set' });
    expect(records.map(({ action }) => action)).toEqual([
      ...['set.restore', 'set.destroy', 'set.change-addresses', 'set.edit'],
    ]);
  });
});

describe('an import', () => {
  const lists = (text: string, query = ''): Promise<Answer> =>
    send(`POST /v1/sets/import${query}`, { headers: { 'content-type': 'text/plain' }, body: text });

  it('gives a new set its list, and a known one another list', async () => {
    const made = await lists('; DROP\n198.51.100.0/24 ; SBL1\n', '?name=drop');
    expect(made.json).toMatchObject({ format: 'list', sets: [{ name: 'drop', listEntries: 1 }] });
    expect(await file('sets/drop.yaml')).toBe('file: drop.txt\n');
    await lists('# all new\n203.0.113.50\n', '?name=office');
    expect(await file('sets/office.txt')).toBe('# all new\n203.0.113.50\n');
    expect(await file('sets/office.yaml')).toContain('192.0.2.0/24 # ground floor');
  });

  it('reports bad lines by number and changes nothing', async () => {
    const before = await lab.directory.contents();
    const { problem, json } = await lists(`10.0.0.1\n${'<html>\n'.repeat(30)}`, '?name=office');
    expect(problem).toBe('invalid');
    const errors = json!['errors'] as unknown as Json[];
    expect(errors.map(({ path }) => path).slice(0, 2)).toEqual(['line 2', 'line 3']);
    expect(errors).toHaveLength(21);
    expect(await lab.directory.contents()).toEqual(before);
  });

  it('makes sets of what ipset saves, all or none', async () => {
    const saved =
      'create Blocked hash:net family inet hashsize 1024\nadd Blocked 10.0.0.0/8\nadd Blocked 10.1.0.0/16 nomatch\n' +
      'create both list:set size 8\nadd both Blocked\n';
    const { json } = await lists(saved);
    expect(json).toMatchObject({
      format: 'ipset',
      sets: [
        { name: 'blocked', addressCount: 2 ** 24 - 2 ** 16 },
        { name: 'both', include: ['set:blocked'], addressCount: 2 ** 24 - 2 ** 16 },
      ],
      remarks: [{ place: 'Blocked', message: 'it is named "blocked" here' }],
    });
  });

  it('does not overwrite the list of another set, nor a file that no set names', async () => {
    await send('POST /v1/sets', { body: { name: 'borrower', file: 'office.txt' } });
    const shared = await lists('10.0.0.1\n', '?name=office');
    expect([shared.problem, (shared.json!['errors'] as unknown as Json[])[0]!['message']]).toEqual([
      'invalid',
      'sets/office.txt is the list of set "borrower"',
    ]);
  });
});

describe('what is named by others', () => {
  it('is not destroyed, and the answer has the places', async () => {
    const { problem, status, json } = await send('DELETE /v1/sets/office');
    expect([status, problem]).toEqual([409, 'in-use']);
    expect(json!['detail']).toBe(
      'set "office" is named by template web (inbound[0].sources[0]), template web (inbound[1].sources[0]), set all (include[0])',
    );
    expect(json!['usedBy']).toHaveLength(3);
    const server = await send('DELETE /v1/servers/db-1');
    expect(server.json).toMatchObject({
      usedBy: [{ kind: 'template', name: 'web', path: 'inbound[0].sources[1]' }],
    });
  });

  it('is removed from them by force: no rule becomes wider than it was', async () => {
    await send('DELETE /v1/sets/office?force=1');
    // The rule for the office alone is gone: without sources it would be for everybody.
    expect(await file('templates/web.yaml')).toBe(
      '# Who may\ninbound:\n  - { protocol: tcp, ports: [22], sources: ["server:db-1"] } # admins\n',
    );
    expect(await file('sets/all.yaml')).toBe('except: [192.0.2.128/25]\n');
    await send('DELETE /v1/servers/db-1?force=1');
    expect((await send('GET /v1/templates/web')).json!['inbound']).toEqual([]);
  });

  it('carries its references along when it gets another name, with comments', async () => {
    await send('POST /v1/sets/office/rename', { body: { to: 'hq' } });
    const renamed = await send('POST /v1/servers/db-1/rename', { body: { to: 'db-9' } });
    expect([renamed.status, renamed.headers['location']]).toEqual([201, '/v1/servers/db-9']);
    await send('POST /v1/templates/web/rename', { body: { to: 'site' } });
    expect(await file('templates/site.yaml')).toBe(
      '# Who may\ninbound:\n  - { protocol: tcp, ports: [22], sources: ["set:hq", "server:db-9"] } # admins\n  - { protocol: icmp, sources: ["set:hq"], except: ["template:site"] }\n',
    );
    expect(await file('sets/all.yaml')).toBe('include: ["set:hq"]\nexcept: [192.0.2.128/25]\n');
    expect(await file('sets/hq.yaml')).toContain('file: hq.txt');
    expect(await file('sets/hq.txt')).toContain('203.0.113.7');
    expect(await file('sets/office.txt')).toBeUndefined();
    expect(await file('servers.yaml')).toBe(
      serversText.replace('db-1', 'db-9').replaceAll(/\bweb\b(?=[\],])/g, 'site'),
    );
  });
});

describe('?resolve=1', () => {
  it('says what the peers of each rule mean now, and where that comes from', async () => {
    const { json } = await send('GET /v1/templates/web?resolve=1');
    expect(json!['inbound']).toMatchObject([
      {
        sources: ['set:office', 'server:db-1'],
        resolved: [
          {
            peer: 'set:office',
            set: 'office',
            ranges: ['192.0.2.0/24', '203.0.113.7-203.0.113.9'],
          },
          { peer: 'server:db-1', server: 'db-1', ranges: ['10.0.0.3', '10.0.1.3'] },
        ],
      },
      {},
    ]);
    const sent = await send('PUT /v1/templates/web', { body: json });
    expect(sent.status).toBe(200);
    const rules = await send('GET /v1/servers/web-1/rules?resolve=1');
    expect(JSON.stringify(rules.json)).toContain('"set":"office"');
    const plain = await send('GET /v1/templates/web');
    expect(JSON.stringify(plain.json)).not.toContain('resolved');
  });
});

describe('a review of changed sets', () => {
  const office = ['set:office in template web'];
  it.each<[string, object[], readonly string[], string[], string[]]>([
    [
      'an address more',
      [{ kind: 'change-addresses', set: 'office', add: ['10.7.0.1'], remove: [] }],
      office,
      ['10.7.0.1'],
      [],
    ],
    [
      'an address less, of the list',
      [{ kind: 'change-addresses', set: 'office', add: [], remove: ['203.0.113.7'] }],
      office,
      [],
      ['203.0.113.7'],
    ],
    [
      'another set in it',
      [
        { kind: 'create-set', name: 'vpn', body: { addresses: ['10.8.0.0/24'] } },
        { kind: 'replace-set', name: 'office', body: { include: ['set:vpn'] } },
      ],
      office,
      ['10.8.0.0-10.8.0.255'],
      ['192.0.2.0-192.0.2.255', '203.0.113.7-203.0.113.9'],
    ],
    [
      'one that no rule names',
      [{ kind: 'change-addresses', set: 'all', add: ['10.7.0.1'], remove: [] }],
      [],
      [],
      [],
    ],
    [
      'another name',
      [{ kind: 'rename-set', name: 'office', to: 'hq' }],
      ['template web changes'],
      [],
      [],
    ],
    [
      'it goes, and the rules that name it',
      [{ kind: 'destroy-set', name: 'office', force: true }],
      ['template web changes'],
      [],
      [],
    ],
  ])('%s: servers and addresses', async (_, operations, reasons, opened, closed) => {
    const before = await lab.directory.contents();
    const { status, json } = await send('POST /v1/review', { body: { operations } });
    expect(status).toBe(200);
    expect(json!['affected']).toEqual(reasons.length === 0 ? [] : [{ server: 'web-1', reasons }]);
    const rules = json!['rules'] as unknown as { opened: string[]; closed: string[] }[];
    expect(rules[0]?.opened ?? []).toEqual(opened);
    expect(rules[0]?.closed ?? []).toEqual(closed);
    expect(await lab.directory.contents()).toEqual(before);
  });
});

describe('POST /v1/resolve', () => {
  it('says what peers mean that stand in no rule yet', async () => {
    await send('PATCH /v1/servers/web-1', { body: { region: 'hkg' } });
    const body = {
      peers: ['label:region=hkg', 'set:office', '10.0.0.9'],
      except: ['192.0.2.0/25'],
    };
    const { status, json } = await lab.send('member', 'POST /v1/resolve', { body });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      serverCount: 1,
      servers: ['web-1'],
      addressCount: 1 + 128 + 3 + 1,
      resolved: [
        { peer: 'label:region=hkg', server: 'web-1', ranges: ['10.0.0.2'] },
        { peer: 'set:office', ranges: ['192.0.2.128/25', '203.0.113.7-203.0.113.9'] },
        { peer: '10.0.0.9', ranges: ['10.0.0.9'] },
      ],
    });
  });

  it('tells which of the included sets has the addresses, each once', async () => {
    await send('POST /v1/sets', {
      body: {
        name: 'wide',
        addresses: ['192.0.2.64/26', '10.9.0.1'],
        include: ['set:office', 'set:all'],
      },
    });
    const { json } = await send('POST /v1/resolve', { body: { peers: ['set:wide'] } });
    expect(json!['resolved']).toEqual([
      { peer: 'set:wide', set: 'wide', ranges: ['10.9.0.1', '192.0.2.64/26'] },
      {
        peer: 'set:wide',
        set: 'office',
        ranges: ['192.0.2.0/26', '192.0.2.128/25', '203.0.113.7-203.0.113.9'],
      },
    ]);
    expect(json!['addressCount']).toBe(1 + 256 + 3);
    await send('DELETE /v1/sets/all');
    await send('POST /v1/sets', { body: { name: 'none' } });
    const nothing = await send('POST /v1/resolve', { body: { peers: ['set:none'] } });
    expect(nothing.json!['resolved']).toEqual([{ peer: 'set:none', set: 'none', ranges: [] }]);
  });

  it('counts servers once, and a selector may match nobody', async () => {
    const peers = ['template:web', 'server:web-1', 'label:role=nobody'];
    const { json } = await send('POST /v1/resolve', { body: { peers } });
    expect(json!['serverCount']).toBe(new Set(json!['servers'] as unknown as string[]).size);
    expect(json!['servers']).toContain('web-1');
    expect(json!['resolved']).toContainEqual({ peer: 'label:role=nobody', ranges: [] });
  });

  it('names the entry that is wrong', async () => {
    const body = { peers: ['10.0.0.1', 'set:ofice', 'label:a in b'], except: ['server:web-7'] };
    const first = await send('POST /v1/resolve', { body });
    expect(first.status).toBe(422);
    expect(first.json!['errors']).toMatchObject([{ path: 'peers[2]' }]);
    const second = await send('POST /v1/resolve', {
      body: { ...body, peers: body.peers.slice(0, 2) },
    });
    expect(second.json!['errors']).toMatchObject([
      { path: 'peers[1]', message: 'there is no set "ofice"; did you mean "office"?' },
      {
        path: 'except[0]',
        message: expect.stringContaining('there is no server "web-7"') as string,
      },
    ]);
  });
});
