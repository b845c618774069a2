/** What ends when a password, a role or a token changes, also for waiting requests; and what a token may not do. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hashPassword } from '../../../../src/control/store/secrets.ts';
import { withDirectoryLock } from '../../../../src/system/lock.ts';
import { alice } from '../../../support/stores.ts';
import { ApiLab, tokenOf } from '../../../support/api.ts';
import type { Answer, Sent } from '../../../support/api.ts';

const password = 'correct horse';
const own = { origin: 'http://127.0.0.1:8740' };
const secure = { host: 'fw.example.com', origin: 'https://fw.example.com' };

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
const status = async (cookie: string): Promise<number> =>
  (await send('GET /v1/session', { headers: { ...own, cookie } })).status;

/**
 * Requests that are admitted while the store is locked and a change waits that takes away their credentials.
 *
 * @param change is first in the row
 */
async function overtaken(
  change: () => Promise<unknown>,
  requests: () => readonly Promise<Answer>[],
): Promise<Answer[]> {
  const { store } = lab;
  const arrived = [
    vi.spyOn(store, 'change'),
    ...(['create', 'setPassword', 'createToken'] as const).map((each) =>
      vi.spyOn(store.users, each),
    ),
  ];
  const [changed, answers] = await withDirectoryLock(lab.directory.path, 1000, async () => {
    const first = change();
    // Passwords are hashed one after the other: when this one is, the one of the change is, and it waits for the store.
    await hashPassword('to know when');
    await new Promise((resolve) => setImmediate(resolve));
    const before = arrived.map(({ mock }) => mock.calls.length);
    const sent = requests();
    const count = (): number =>
      arrived.reduce((sum, { mock }, at) => sum + mock.calls.length - before[at]!, 0);
    await vi.waitUntil(() => count() === sent.length, { timeout: 30_000 });
    return [first, sent] as const;
  });
  await changed;
  return await Promise.all(answers);
}

const changesBy = (headers: Record<string, string>) => (): Promise<Answer>[] => [
  send('POST /v1/users/bob/tokens', { body: { name: 'kept' }, headers }),
  send('POST /v1/users', { body: { name: 'mallory', role: 'member' }, headers }),
  send('PUT /v1/templates/web', { body: { inbound: [] }, headers }),
  send('POST /v1/changes', {
    body: { operations: [{ kind: 'destroy-server', name: 'web-1' }] },
    headers,
  }),
];

describe('a stolen session', () => {
  it('changes nothing, and ends, when a password reset comes first', async () => {
    const cookie = await session();
    const headers = { ...own, cookie };
    const before = await lab.directory.contents();
    const answers = await overtaken(
      () => lab.store.users.setPassword(alice, 'bob', 'reset by the operator'),
      () => [
        ...changesBy(headers)(),
        send('PUT /v1/users/bob/password', {
          body: { password: 'mine for ever', current: password },
          headers,
        }),
      ],
    );
    expect(answers.map(({ problem }) => problem)).toEqual(answers.map(() => 'unauthenticated'));
    expect(await status(cookie)).toBe(401);
    const { 'users.yaml': users, ...rest } = await lab.directory.contents();
    expect({ ...rest, 'users.yaml': '' }).toEqual({ ...before, 'users.yaml': '' });
    expect(users).not.toMatch(/kept|mallory/);
    const reset = await lab.store.users.verifyPassword('bob', 'reset by the operator');
    expect(reset?.name).toBe('bob');
  });

  it('ends with another role, also one that is taken back before anybody looks', async () => {
    const cookie = await session();
    await lab.store.users.setRole(alice, 'bob', 'member');
    await lab.store.users.setRole(alice, 'bob', 'owner');
    expect(await status(cookie)).toBe(401);
  });

  it('goes on when tokens come and go, and when a role stays what it is', async () => {
    const cookie = await session();
    await lab.store.users.createToken(alice, 'bob', 'ci');
    await lab.store.users.setRole(alice, 'bob', 'owner');
    await lab.store.users.revokeToken(alice, 'bob', 'ci');
    expect(await status(cookie)).toBe(200);
  });
});

describe('a token', () => {
  it('that is revoked changes nothing any more, however long it has waited', async () => {
    const authorization = tokenOf('owner');
    await lab.store.users.create(alice, { name: 'bob', role: 'member' });
    const answers = await overtaken(
      () => lab.store.users.revokeToken(alice, 'owner', 'test'),
      changesBy({ authorization }),
    );
    expect(answers.map(({ problem }) => problem)).toEqual(answers.map(() => 'unauthenticated'));
  });

  it('outlives a new password, which says so, unless it is to end', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member' });
    const { token } = await lab.store.users.createToken(alice, 'bob', 'ci');
    const bearer = { headers: { authorization: `Bearer ${token}` } };
    const headers = { ...own, cookie: await session('owner', 'eve') };
    const set = (body: object): Promise<Answer> =>
      send('PUT /v1/users/bob/password', { body: { password, ...body }, headers });
    const kept = await set({});
    expect(kept.json).toMatchObject({ name: 'bob', tokens: [{ name: 'ci' }] });
    expect((await send('GET /v1/session', bearer)).status).toBe(200);
    const ended = await set({ revokeTokens: true });
    expect([ended.json!['tokens'], ended.json!['hasPassword']]).toEqual([[], true]);
    expect((await send('GET /v1/session', bearer)).status).toBe(401);
    const { records } = await lab.store.audit.query({ action: 'user.set-password' });
    expect(records.map(({ summary }) => summary)).toEqual(['tokens revoked', '']);
  });

  it('of an owner is no way to become another one, nor to keep being this one', async () => {
    await lab.store.users.create(alice, { name: 'eve', role: 'owner', password });
    await lab.store.users.create(alice, { name: 'bob', role: 'member' });
    await lab.store.users.createToken(alice, 'eve', 'ci');
    const before = await lab.directory.contents();
    const attempts: [string, object?][] = [
      ['PUT /v1/users/eve/password', { password: 'taken over' }],
      ['PUT /v1/users/owner/password', { password: 'taken over' }],
      ['POST /v1/users/eve/tokens', { name: 'mine' }],
      ['POST /v1/users/owner/tokens', { name: 'next' }],
      ['PUT /v1/users/eve/role', { role: 'member' }],
      ['DELETE /v1/users/eve/tokens/ci'],
      ['DELETE /v1/users/eve'],
      ['POST /v1/users', { name: 'mallory', role: 'owner', password: 'my own owner' }],
      ['PUT /v1/users/bob/role', { role: 'owner' }],
    ];
    for (const [request, body] of attempts) {
      const { problem } = await lab.send('owner', request, body === undefined ? {} : { body });
      expect([request, problem]).toEqual([request, 'forbidden']);
    }
    expect(await lab.directory.contents()).toEqual(before);
    // Users who are no owners it may make and change.
    const next = { body: { name: 'next' } };
    expect((await lab.send('owner', 'POST /v1/users/bob/tokens', next)).status).toBe(201);
    const body = { name: 'carol', role: 'member' };
    expect((await lab.send('owner', 'POST /v1/users', { body })).status).toBe(201);
    const set = { body: { password: 'another horse' } };
    expect((await lab.send('owner', 'PUT /v1/users/bob/password', set)).status).toBe(200);
    // With a session, an owner may.
    const headers = { ...own, cookie: cookieOf(await login('eve')) };
    const other = await send('PUT /v1/users/owner/password', { ...set, headers });
    expect(other.status).toBe(200);
    const grant = { body: { role: 'owner' }, headers };
    expect((await send('PUT /v1/users/carol/role', grant)).status).toBe(200);
    const made = { ...next, headers };
    expect((await send('POST /v1/users/eve/tokens', made)).status).toBe(201);
    // It may end tokens of its own user: itself, too.
    const itself = 'DELETE /v1/users/owner/tokens/test';
    expect((await lab.send('owner', itself)).status).toBe(204);
    expect((await lab.send('owner', 'GET /v1/users/owner')).status).toBe(401);
  });
});

describe('a user who is no owner', () => {
  it('changes the own account some times, and pushes nothing out of the audit log', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member' });
    const { token } = await lab.store.users.createToken(alice, 'bob', 'ci');
    const headers = { authorization: `Bearer ${token}` };
    const make = (name: string): Promise<Answer> =>
      send('POST /v1/users/bob/tokens', { body: { name }, headers });
    const answers: number[] = [];
    for (let count = 0; count < 12; count++) answers.push((await make(`t-${count}`)).status);
    expect(answers).toEqual([...Array.from({ length: 10 }, () => 201), 429, 429]);
    const end = await send('DELETE /v1/users/bob/tokens/t-0', { headers });
    expect([end.problem, end.headers['retry-after']]).toEqual(['too-many-requests', '60']);
    lab.clock.nowMs += 60_000;
    expect((await make('later')).status).toBe(201);
    // Owners are not limited.
    for (let count = 0; count < 15; count++) {
      const sent = { body: { name: `u-${count}`, role: 'member' } };
      expect((await lab.send('owner', 'POST /v1/users', sent)).status).toBe(201);
    }
  });

  it('has a limited number of tokens', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member' });
    for (let count = 0; count < 32; count++) {
      await lab.store.users.createToken(alice, 'bob', `t-${count}`);
    }
    const sent = { body: { name: 'more' } };
    const { problem, json } = await lab.send('owner', 'POST /v1/users/bob/tokens', sent);
    expect([problem, JSON.stringify(json)]).toEqual([
      'invalid',
      expect.stringContaining('a user has at most 32 tokens: revoke one first') as string,
    ]);
  });

  it('who logs in again and again is one record a minute, with the count', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'member', password });
    for (let count = 0; count < 5; count++) expect((await login('bob')).status).toBe(200);
    const logins = async (): Promise<(number | undefined)[]> => {
      const { records } = await lab.store.audit.query({ action: 'login' });
      return records.map(({ count }) => count);
    };
    expect(await logins()).toEqual([undefined]);
    lab.clock.nowMs += 61_000;
    await login('bob');
    expect(await logins()).toEqual([5, undefined]);
  });
});

describe('the cookie', () => {
  it('is bound to the host where the browser speaks TLS', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'owner', password });
    const answer = await login('bob', secure);
    expect(answer.headers['set-cookie']).toMatch(
      /^__Host-tunwall_session=[\w-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    );
    const cookie = cookieOf(answer);
    expect((await send('GET /v1/session', { headers: { ...secure, cookie } })).status).toBe(200);
    const out = await send('DELETE /v1/session', { headers: { ...secure, cookie } });
    expect([out.status, String(out.headers['set-cookie'])]).toEqual([
      204,
      expect.stringContaining('__Host-tunwall_session=; ') as string,
    ]);
    expect((await send('GET /v1/session', { headers: { ...secure, cookie } })).status).toBe(401);
  });

  it('is found among others of its name, wherever it stands', async () => {
    const cookie = await session();
    for (const all of [
      `tunwall_session=x; ${cookie}`,
      `${cookie}; tunwall_session=x`,
      `__Host-tunwall_session=x; tunwall_session=; a=b; ${cookie}`,
      `tunwall_session; ;=; ${cookie}`,
    ]) {
      expect([all, await status(all)]).toEqual([all, 200]);
    }
    const many = Array.from({ length: 50 }, (_, index) => `tunwall_session=${index}`).join('; ');
    expect(await status(`${many}; ${cookie}`)).toBe(401);
  });

  it('that a neighbour has set is not preferred to the one of this host', async () => {
    await lab.store.users.create(alice, { name: 'bob', role: 'owner', password });
    await lab.store.users.create(alice, { name: 'mallory', role: 'member', password });
    const [bobs, mallorys] = [
      cookieOf(await login('bob', secure)),
      cookieOf(await login('mallory')),
    ];
    const headers = { ...secure, cookie: `${mallorys}; ${bobs}` };
    expect((await send('GET /v1/session', { headers })).json).toMatchObject({ name: 'bob' });
    // Any of them makes a request one of a browser.
    const foreign = { body: { name: 'new' }, headers: { host: secure.host, cookie: mallorys } };
    expect((await send('POST /v1/templates', foreign)).problem).toBe('foreign-origin');
  });
});
