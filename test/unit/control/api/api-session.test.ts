/** Logging in and out: sessions and their ends, one's own password, guessing, and what browsers must not be made to do. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { idleMs, lifetimeMs } from '../../../../src/control/api/sessions.ts';
import { alice } from '../../../support/stores.ts';
import { ApiLab, tokenOf } from '../../../support/api.ts';
import type { Answer, Sent } from '../../../support/api.ts';

const password = 'correct horse';
const own = { origin: 'http://127.0.0.1:8740' };
const minuteMs = 60_000;

let lab: ApiLab;
beforeEach(async () => {
  lab = await ApiLab.create({ hosts: ['fw.example.com'] });
});
afterEach(async () => {
  await lab.close();
});

const send = (request: string, sent?: Sent): Promise<Answer> => lab.send('nobody', request, sent);
const login = (name: string, headers: Record<string, string> = {}): Promise<Answer> =>
  send('POST /v1/session', { body: { name, password }, headers });
const cookieOf = ({ headers }: Answer): string => (headers['set-cookie'] as string).split(';')[0]!;

/** A user with a password, and the cookie of a session. */
async function session(role = 'owner', name = 'bob'): Promise<string> {
  await lab.store.users.create(alice, { name, role, password });
  return cookieOf(await login(name));
}
const status = async (cookie: string, request = 'GET /v1/session'): Promise<number> =>
  (await send(request, { headers: { ...own, cookie } })).status;

describe('a login', () => {
  it('gives a cookie that scripts cannot read and other sites cannot send', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member', password });
    const answer = await login('bob');
    expect(answer.json).toMatchObject({
      ...{ name: 'bob', role: 'member', via: 'session', may: { view: true, change: false } },
    });
    expect(answer.headers['set-cookie']).toMatch(
      /^tunwall_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
    );
    const cookie = cookieOf(answer);
    expect((await send('GET /v1/session', { headers: { cookie } })).json).toEqual(answer.json);
    expect(await status(cookie, 'GET /v1/templates')).toBe(200);
    expect(await status(cookie, 'GET /v1/audit')).toBe(403);
    const { records } = await lab.store.audit.query({ action: 'login' });
    expect(records[0]).toMatchObject({
      ...{ result: 'ok', target: ['bob'], actor: { name: 'bob', via: 'api' } },
    });
  });

  it('through a proxy that speaks TLS gives a cookie for TLS only', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member', password });
    const headers = { host: 'fw.example.com', origin: 'https://fw.example.com' };
    expect((await login('bob', headers)).headers['set-cookie']).toMatch(/; Secure/);
  });

  it('with a wrong name or password says nothing of which, and is in the audit log', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member', password });
    const wrong = { body: { name: 'bob', password: 'wrong horse' } };
    const answers = [await send('POST /v1/session', wrong), await login('nope')];
    expect(answers.map(({ status }) => status)).toEqual([401, 401]);
    expect(answers[0]!.body).toBe(answers[1]!.body);
    expect(answers[0]!.headers['set-cookie']).toBeUndefined();
    const { records } = await lab.store.audit.query({ action: 'login', result: 'denied' });
    expect(records.map(({ target }) => target)).toEqual([['nope'], ['bob']]);
  });

  it.each(['\u001b[2Jbob', 'bob\n2030-01-31 root', 'bob  (socket)  ok', '\u202eton', ''])(
    'under %j, which no user is called, names nobody in the audit log',
    async (name) => {
      expect((await login(name)).status).toBe(401);
      const { records } = await lab.store.audit.query({ action: 'login' });
      expect(records[0]!.actor.name).toBe('nobody');
      expect(records[0]!.target ?? []).toEqual([]);
      expect(records[0]!.summary).toBe(`no user is called ${JSON.stringify(name)}`);
    },
  );
});

describe('a session', () => {
  it('ends after half an hour without a request, and not before', async () => {
    const cookie = await session();
    for (let times = 0; times < 3; times++) {
      lab.clock.nowMs += idleMs - 1000;
      expect(await status(cookie)).toBe(200);
    }
    lab.clock.nowMs += idleMs + 1000;
    expect(await status(cookie)).toBe(401);
  });

  it('ends after twelve hours, however busy it is', async () => {
    const cookie = await session();
    const endMs = lab.clock.nowMs + lifetimeMs;
    while (lab.clock.nowMs < endMs - 20 * minuteMs) {
      lab.clock.nowMs += 20 * minuteMs;
      expect(await status(cookie)).toBe(200);
    }
    lab.clock.nowMs = endMs;
    expect(await status(cookie)).toBe(401);
  });

  it('ends with the logout', async () => {
    const cookie = await session();
    const other = cookieOf(await login('bob'));
    expect(await status(cookie, 'DELETE /v1/session')).toBe(204);
    expect([await status(cookie), await status(other)]).toEqual([401, 200]);
  });

  it('ends when the role changes, and when the user goes', async () => {
    const cookie = await session();
    await lab.store.users.setRole(alice, 'bob', 'member');
    expect(await status(cookie)).toBe(401);
    const again = cookieOf(await login('bob'));
    await lab.store.users.destroy(alice, 'bob');
    expect(await status(again)).toBe(401);
  });

  it('ends with a new password, but for the one that has set it', async () => {
    const [mine, other] = [await session('member'), cookieOf(await login('bob'))];
    const set = (current: string): Promise<Answer> =>
      send('PUT /v1/users/bob/password', {
        body: { password: 'another horse', current },
        headers: { ...own, cookie: mine },
      });
    expect((await set('a wrong one')).problem).toBe('invalid');
    const { records } = await lab.store.audit.query({ action: 'user', result: 'denied' });
    expect(records).toEqual([
      expect.objectContaining({
        ...{ actor: { name: 'bob', via: 'api', address: '127.0.0.1' }, target: ['bob'] },
        ...{ action: 'user.set-password', summary: 'the current password was wrong' },
      }),
    ]);
    expect((await set(password)).status).toBe(200);
    expect([await status(mine), await status(other)]).toEqual([200, 401]);
    // The same with an own token. Only the answer has the token itself.
    const made = await send('POST /v1/users/bob/tokens', {
      body: { name: 'deploy' },
      headers: { ...own, cookie: mine },
    });
    const token = made.json!['token'] as unknown as string;
    const bearer = { headers: { authorization: `Bearer ${token}` } };
    expect(await status(mine)).toBe(200);
    expect((await send('GET /v1/session', bearer)).json).toMatchObject({ via: 'token' });
    expect(await lab.directory.text('users.yaml')).not.toContain(token);
    await send('DELETE /v1/users/bob/tokens/deploy', { headers: { ...own, cookie: mine } });
    expect((await send('GET /v1/session', bearer)).status).toBe(401);
    expect(await status(mine)).toBe(200);
  });
});

it('only an owner sees or changes what belongs to others', async () => {
  const cookie = await session('member');
  const headers = { ...own, cookie };
  const body = { password: 'another horse', current: password };
  const refused = await send('PUT /v1/users/owner/password', { body, headers });
  expect(refused.problem).toBe('forbidden');
  const tokens = await send('POST /v1/users/owner/tokens', { body: { name: 'mine' }, headers });
  expect(tokens.problem).toBe('forbidden');
  expect((await send('GET /v1/users/owner', { headers })).problem).toBe('forbidden');
  expect((await send('GET /v1/users/bob', { headers })).json).toMatchObject({ role: 'member' });
  const { records } = await lab.store.audit.query({ actor: 'bob', result: 'denied' });
  expect(records.map(({ target }) => target![0])).toEqual([
    'GET /v1/users/owner',
    'POST /v1/users/owner/tokens',
    'PUT /v1/users/owner/password',
  ]);
  expect((await lab.send('owner', 'PUT /v1/users/bob/password', { body })).status).toBe(200);
});

describe('with a cookie', () => {
  const change = async (cookie: string, headers: Record<string, string>): Promise<Answer> =>
    send('POST /v1/templates', { body: { name: 'new' }, headers: { cookie, ...headers } });

  it('a change has to come from a page of ours', async () => {
    const cookie = await session();
    const foreign: Record<string, string>[] = [
      {},
      { origin: 'null' },
      { origin: 'http://127.0.0.1:8741' },
      { origin: 'http://127.0.0.1.evil.example:8740' },
      { origin: 'file://' },
      { origin: 'http://127.0.0.1:8740@evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { ...own, 'sec-fetch-site': 'cross-site' },
    ];
    for (const headers of foreign) {
      expect([headers, (await change(cookie, headers)).problem]).toEqual([
        headers,
        'foreign-origin',
      ]);
    }
    expect((await change(cookie, own)).status).toBe(201);
    expect((await change(cookie, { 'sec-fetch-site': 'same-origin' })).problem).toBe('exists');
  });

  it('a name of ours is as good as an address, if the operator has given it', async () => {
    const cookie = await session();
    const hosts: [string, number][] = [
      ['fw.example.com', 200],
      ['FW.example.com:443', 200],
      ['fw.example.com.', 200],
      ['localhost:8740', 200],
      ['[::1]:8740', 200],
      ['192.0.2.1', 200],
      ['example.com', 421],
      ['x.fw.example.com', 421],
      ['127.0.0.1.example.com', 421],
      ['127.0.0.1@example.com', 421],
      ['2130706433', 421],
      [':8740', 421],
    ];
    for (const [host, expected] of hosts) {
      const answer = await send('GET /v1/session', { headers: { host, cookie } });
      expect([host, answer.status]).toEqual([host, expected]);
    }
  });
});

it('every answer tells browsers to keep, frame and guess nothing', async () => {
  for (const request of ['GET /v1/status', 'GET /nowhere', 'GET /healthz']) {
    const { headers } = await lab.send('owner', request);
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'") as string,
      'x-content-type-options': 'nosniff',
    });
  }
});

describe('guessing', () => {
  // Hashing is left out here: it takes its time, and is tested where it is done.
  beforeEach(async () => {
    const bob = await lab.store.users.create(alice, { name: 'bob', role: 'member' });
    lab.store.users.verifyPassword = async (name, secret) => {
      await new Promise((resolve) => setImmediate(resolve));
      return name === 'bob' && secret === password ? bob : undefined;
    };
  });
  const guess = (name: string, remoteAddress: string, secret = 'wrong horse'): Promise<Answer> =>
    send('POST /v1/session', { body: { name, password: secret }, remoteAddress });
  const notChecked = 'too many wrong passwords: this one was not checked';
  const refusals = async (): Promise<unknown[]> => {
    const { records } = await lab.store.audit.query({ result: 'denied' });
    return records
      .filter(({ summary }) => summary === notChecked)
      .map(({ actor, action, target, count }) => [
        actor.name,
        actor.address,
        action,
        target,
        count,
      ]);
  };

  it('is made slow for a user, wherever it comes from', async () => {
    for (let times = 0; times < 10; times++) {
      expect((await guess('bob', `192.0.2.${times}`)).status).toBe(401);
    }
    // Also the right one has to wait now; other users do not.
    const early = await guess('bob', '192.0.2.99', password);
    expect([early.problem, early.headers['retry-after']]).toEqual(['too-many-requests', '1']);
    expect(await refusals()).toEqual([['nobody', '192.0.2.99', 'login', ['bob'], undefined]]);
    expect((await guess('owner', '192.0.2.99')).status).toBe(401);
    lab.clock.nowMs += 1001;
    expect((await guess('bob', '192.0.2.99', password)).status).toBe(200);
    expect((await guess('bob', '192.0.2.99')).status).toBe(401);
  });

  it('is made slow for an address, whomever it is about', async () => {
    for (let times = 0; times < 20; times++) {
      expect((await guess(`user-${times}`, '192.0.2.1')).status).toBe(401);
    }
    expect((await guess('another', '192.0.2.1')).problem).toBe('too-many-requests');
    expect((await guess('another', '192.0.2.2')).status).toBe(401);
    // A quarter of an hour later all is forgotten.
    lab.clock.nowMs += 16 * minuteMs;
    expect((await guess('another', '192.0.2.1')).status).toBe(401);
  });

  it('of the own password, to set another one, is made slow and recorded like a login', async () => {
    const { token } = await lab.store.users.createToken(alice, 'bob', 'ci');
    for (let times = 0; times < 10; times++) await guess('bob', `192.0.2.${times}`);
    const change = await send('PUT /v1/users/bob/password', {
      body: { password: 'another horse', current: password },
      headers: { authorization: `Bearer ${token}` },
    });
    expect(change.problem).toBe('too-many-requests');
    expect(await refusals()).toEqual([
      ['bob', '127.0.0.1', 'user.set-password', ['bob'], undefined],
    ]);
  });

  it('is one record a minute while the address has to wait, whatever names it invents', async () => {
    for (let times = 0; times < 20; times++) await guess(`user-${times}`, '192.0.2.1');
    for (let times = 0; times < 5; times++) {
      expect((await guess(`more-${times}`, '192.0.2.1')).status).toBe(429);
    }
    const first = ['nobody', '192.0.2.1', 'login', ['more-0'], undefined];
    expect(await refusals()).toEqual([first]);
    lab.clock.nowMs += 61_000;
    for (let times = 0; times < 2; times++) await guess('again', '192.0.2.1');
    expect(await refusals()).toEqual([['nobody', '192.0.2.1', 'login', ['again'], 5], first]);
  });

  it('many at once counts as many, and takes the memory of few', async () => {
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, times) => guess(`user-${times}`, '192.0.2.1')),
    );
    const found = answers.map(({ status }) => status);
    expect(found.filter((each) => each === 401)).toHaveLength(8);
    expect(found.filter((each) => each === 429)).toHaveLength(22);
  });
});

it('a flood is stopped before anything of it is looked at', async () => {
  await lab.close();
  lab = await ApiLab.create({ requestsPerMinute: 5 });
  const flood = async (remoteAddress: string): Promise<number[]> => {
    const found = [];
    for (let times = 0; times < 7; times++) {
      found.push((await send('GET /v1/status', { remoteAddress })).status);
    }
    return found;
  };
  expect(await flood('192.0.2.1')).toEqual([401, 401, 401, 401, 401, 429, 429]);
  const { problem, headers } = await send('GET /nowhere', { remoteAddress: '192.0.2.1' });
  expect([problem, Number(headers['retry-after']) > 0]).toEqual(['too-many-requests', true]);
  expect((await send('GET /healthz', { remoteAddress: '192.0.2.2' })).status).toBe(200);
});

it('strangers do not fill the audit log', async () => {
  const headers = { authorization: 'Bearer tunwall_wrong' };
  for (let times = 0; times < 20; times++) await send('GET /v1/audit', { headers });
  await send('GET /v1/audit', { headers, remoteAddress: '192.0.2.7' });
  const { records } = await lab.store.audit.query({ result: 'denied' });
  expect(records.map(({ actor }) => actor.address)).toEqual(['192.0.2.7', '127.0.0.1']);
  lab.clock.nowMs += 61_000;
  await send('GET /v1/audit', { headers });
  expect((await lab.store.audit.query({ result: 'denied' })).records).toHaveLength(3);
});

describe('the control socket', () => {
  it('serves an owner, under the name in the header', async () => {
    await lab.api.close();
    lab.api = await lab.build('socket');
    const carol = { headers: { 'tunwall-actor': 'carol', host: 'anything' } };
    expect((await send('GET /v1/session', carol)).json).toMatchObject({
      ...{ name: 'carol', role: 'owner', via: 'socket' },
    });
    await send('POST /v1/templates', { body: { name: 'new' }, ...carol });
    const { records } = await lab.store.audit.query({ action: 'template.create' });
    expect(records[0]!.actor).toEqual({ name: 'carol', via: 'socket' });
    // Without a name the actor is root. It is no user, so no password is required.
    expect((await send('GET /v1/session')).json).toMatchObject({ name: 'root' });
    const set = await send('PUT /v1/users/member/password', {
      body: { password: 'another horse' },
      headers: { 'tunwall-actor': 'member' },
    });
    expect(set.status).toBe(200);
    const odd = { headers: { 'tunwall-actor': 'a\tb' } };
    expect((await send('GET /v1/session', odd)).problem).toBe('bad-request');
  });

  it('what it believes, TCP does not', async () => {
    const reported = { headers: { 'tunwall-actor': 'root' } };
    expect((await send('GET /v1/session', reported)).status).toBe(401);
    const member = { headers: { 'tunwall-actor': 'root', authorization: tokenOf('member') } };
    expect((await send('GET /v1/session', member)).json).toMatchObject({ name: 'member' });
  });
});
