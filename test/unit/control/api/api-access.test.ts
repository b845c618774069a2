/**
 * Every route, with every role: a table that has to have a row for each route there is, so that a new one cannot be
 * forgotten. A row has its access level, a correct request, and the answers to wrong ones.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roles } from '../../../../src/policy/users.ts';
import type { Access } from '../../../../src/control/api/access.ts';
import { documentOf } from '../../../support/api-answers.ts';
import { ApiLab, tokenOf } from '../../../support/api.ts';
import type { Sender } from '../../../support/api.ts';
import { routeTable } from '../../../support/api-table.ts';

const allowed: Record<Access, readonly Sender[]> = {
  public: [...roles, 'nobody'],
  anyone: roles,
  view: ['owner', 'member', 'billing-member'],
  owner: ['owner'],
};

const own = (url: string, sender: Sender): string => url.replace('SELF', sender);
const changes = (name: string): boolean => !name.startsWith('GET ') && !name.includes('/session');

/** For requests that change nothing. */
let shared: ApiLab;
let offline: ApiLab;
beforeAll(async () => {
  shared = await ApiLab.create({ requestsPerMinute: 100_000 });
  offline = await ApiLab.create({ offline: true });
});
afterAll(async () => {
  await shared.close();
  await offline.close();
});

it('the table has a row for every route, and no other', () => {
  const { paths } = documentOf(shared.api);
  const routes = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(Object.keys(routeTable).sort()).toEqual(routes.sort());
  // What the document could have left out.
  const shown = shared.api.printRoutes({ commonPrefix: false });
  const methods = [...shown.matchAll(/\(([A-Z, ]+)\)/g)].flatMap(([, list]) => list!.split(', '));
  expect(methods.filter((each) => each !== 'HEAD').length).toBe(routes.length);
});

describe.each(Object.entries(routeTable))('%s', (name, row) => {
  const { access, url, status = 200, ownerStatus = status, ...rest } = row;
  const { wrong = [], live = false, ...sent } = rest;
  const [method] = name.split(' ');

  it.each([...roles, 'nobody'] as const)('as %s', async (sender) => {
    const may = allowed[access].includes(sender);
    const lab = may && changes(name) ? await ApiLab.create() : shared;
    try {
      const answer = await lab.send(sender, `${method!} ${own(url, sender)}`, sent);
      if (may) {
        const expected = sender === 'owner' ? ownerStatus : status;
        expect([answer.status, answer.body]).toEqual([expected, answer.body]);
        return;
      }
      expect([answer.status, answer.problem]).toEqual(
        sender === 'nobody' ? [401, 'unauthenticated'] : [403, 'forbidden'],
      );
      if (sender === 'nobody') return;
      const { records } = await lab.store.audit.query({
        actor: sender,
        result: 'denied',
        limit: 1,
      });
      expect(records[0]!.target).toEqual([`${method!} ${own(url, sender).split('?')[0]!}`]);
    } finally {
      if (lab !== shared) await lab.close();
    }
  });

  it('is refused to other names and other origins', async () => {
    const host = await shared.send('owner', `${method!} ${url}`, {
      ...sent,
      headers: { ...sent.headers, host: 'evil.example:8740' },
    });
    expect([host.status, host.problem]).toEqual([421, 'foreign-host']);
    const origin = await shared.send('owner', `${method!} ${url}`, {
      ...sent,
      headers: { ...sent.headers, origin: 'http://evil.example' },
    });
    expect([origin.status, origin.problem]).toEqual([403, 'foreign-origin']);
  });

  it.each(wrong.map((each, index) => [index, each] as const))('wrong %i', async (_, each) => {
    const { url: other = url, problem, errors, ...rest } = each;
    const before = await shared.directory.contents();
    const answer = await shared.send('owner', `${method!} ${own(other, 'owner')}`, rest);
    const { problem: found, json, body } = answer;
    expect([found, body]).toEqual([problem, body]);
    if (errors !== undefined) {
      const list = (json as unknown as { errors: { path: string; message: string }[] }).errors;
      expect([list.map(({ path }) => path).sort(), body]).toEqual([[...errors].sort(), body]);
      expect(list.every(({ message }) => message.length > 5)).toBe(true);
    }
    expect(await shared.directory.contents()).toEqual(before);
  });

  if (live) {
    it('needs a firewall', async () => {
      const answer = await offline.send('owner', `${method!} ${url}`, sent);
      expect([answer.status, answer.problem]).toEqual([503, 'no-firewall']);
    });
  }

  if (!('body' in sent)) return;
  it('takes JSON of bounded size and depth only', async () => {
    const send = (body: string, type = 'application/json'): ReturnType<ApiLab['send']> =>
      shared.send('owner', `${method!} ${own(url, 'owner')}`, {
        body,
        headers: { 'content-type': type },
      });
    const cases: [string, string?][] = [
      // A change may be a whole policy.
      ['x'.repeat((/(changes|review)(\?|$)/.test(url) ? 16 << 20 : 1 << 20) + 1)],
      ['['.repeat(500_000)],
      [`{"name":${'['.repeat(40)}${']'.repeat(40)}}`],
      ['{"name":'],
      ['{"__proto__":{"name":"x"}}'],
      ['name=x', 'application/x-www-form-urlencoded'],
      ['name: x', 'text/plain'],
    ];
    const found = [];
    for (const [body, type] of cases) found.push((await send(body, type)).problem);
    if (sent.headers?.['content-type'] === 'text/plain') {
      const refused = Array.from({ length: 6 }, () => 'unsupported-media-type');
      expect(found).toEqual([...refused, 'invalid']);
      return;
    }
    expect(found).toEqual([
      'body-too-large',
      ...Array.from({ length: 4 }, () => 'bad-request'),
      ...Array.from({ length: 2 }, () => 'unsupported-media-type'),
    ]);
  });
});

it('what is not there is not-found, whoever asks', async () => {
  for (const url of ['/v1', '/v1/', '/v2/templates', '/v1/web/../x', '/v1/../users.yaml']) {
    for (const sender of ['owner', 'nobody'] as const) {
      expect([url, (await shared.send(sender, `GET ${url}`)).problem]).toEqual([url, 'not-found']);
    }
  }
});

it('a URL that cannot be read is a problem as well', async () => {
  expect((await shared.send('owner', 'GET /v1/templates/%zz')).problem).toBe('bad-request');
});

it('a wrong or malformed token gives no access', async () => {
  for (const authorization of [`${tokenOf('owner')}x`, 'Bearer', 'Basic b3duZXI6eA==', '']) {
    const { status, headers } = await shared.send('nobody', 'GET /v1/status', {
      headers: { authorization },
    });
    expect([authorization, status]).toEqual([authorization, 401]);
    expect(headers['www-authenticate']).toBe('Bearer');
  }
});
