/** The history of the whole policy over HTTP: why, the difference, the way back, and what a change opens. */
import { afterEach, beforeEach, expect, it } from 'vitest';
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
const changes = async (): Promise<Json[]> =>
  (await send('GET /v1/history')).json!['changes'] as unknown as Json[];
const because = (why: string): Sent => ({
  headers: { 'tunwall-message': encodeURIComponent(why) },
});

it('of every kind of change has its reason, and so has the audit log', async () => {
  const ping = { protocol: 'icmp' };
  const calls: [string, Sent][] = [
    ['POST /v1/templates', { body: { name: 'a' } }],
    ['POST /v1/templates/a/rules/inbound', { body: ping }],
    ['POST /v1/assignments', { body: { servers: ['db-1'], templates: ['a'] } }],
    ['POST /v1/servers/db-1/rename', { body: { to: 'db-2' } }],
    ['DELETE /v1/templates/a?force=true', {}],
    ['POST /v1/changes', { body: { operations: [{ kind: 'destroy-server', name: 'db-2' }] } }],
  ];
  for (const [index, [request, sent]] of calls.entries()) {
    const answer = await send(request, { ...sent, ...because(`weil ${index} größer ist, 100 %`) });
    expect([request, answer.status < 300]).toEqual([request, true]);
  }
  const found = await changes();
  const reasons = calls.map((_, index) => `weil ${index} größer ist, 100 %`).reverse();
  expect(found.slice(0, calls.length).map(({ why }) => why)).toEqual(reasons);
  expect(found[0]).toMatchObject({ actor: 'owner', via: 'api', action: 'server.destroy' });
  const { json } = await send('GET /v1/audit?result=ok');
  const records = json!['records'] as unknown as Json[];
  expect(records.flatMap(({ why }) => why ?? [])).toEqual(reasons);
});

it('of every change of a user is in the audit log alone, also when it is refused', async () => {
  const newest = (await changes())[0];
  const calls: [string, Sent][] = [
    ['POST /v1/users', { body: { name: 'bob', role: 'member' } }],
    ['PUT /v1/users/bob/role', { body: { role: 'billing-member' } }],
    ['PUT /v1/users/bob/password', { body: { password: 'correct horse' } }],
    ['POST /v1/users/bob/tokens', { body: { name: 'deploy' } }],
    ['DELETE /v1/users/bob/tokens/deploy', {}],
    ['DELETE /v1/users/bob', {}],
    ['DELETE /v1/users/bob', {}],
  ];
  for (const [index, [request, sent]] of calls.entries()) {
    await send(request, { ...sent, ...because(`ticket ${index}`) });
  }
  const records = (await send('GET /v1/audit')).json!['records'] as unknown as Json[];
  const found = records.slice(0, calls.length).map(({ why, result }) => [why, result]);
  expect(found.reverse()).toEqual(
    calls.map((_, index) => [`ticket ${index}`, index === 6 ? 'refused' : 'ok']),
  );
  expect((await changes())[0]).toEqual(newest);
});

it('takes a reason that can be read, of 500 characters', async () => {
  const add = (header: string): Promise<Answer> =>
    send('POST /v1/templates', {
      body: { name: 'a' },
      headers: { 'tunwall-message': header },
    });
  expect((await add('100%')).json).toMatchObject({ status: 400 });
  expect((await add('x'.repeat(501))).json).toMatchObject({ status: 400 });
  expect((await add('x'.repeat(500))).status).toBe(201);
});

it('goes back as a whole, after a look at what that does, unless somebody was faster', async () => {
  const before = await lab.directory.contents();
  await send('POST /v1/servers/web-1/rename', { body: { to: 'www' } });
  await send('DELETE /v1/templates/web?force=true');
  const [last, , first] = await changes();
  const number = first!['number'] as unknown as number;
  const newest = last!['number'] as unknown as number;
  const back = (known?: number): Sent => ({
    body: { operations: [{ kind: 'restore-policy', number, newest: known }] },
  });
  const review = await send('POST /v1/review', back(newest));
  expect(review.json!['diff']).toContain('+++ templates/web.yaml');
  const diff = await send(`GET /v1/history/diff?from=${number}`);
  expect(diff.body).toContain('+++ /dev/null');
  expect((await lab.send('member', 'GET /v1/history/diff')).status).toBe(200);
  const refused = await send('POST /v1/changes', back(number));
  expect(refused.json).toMatchObject({ status: 412 });
  expect(refused.json!['detail']).toContain(`revision ${newest} of owner`);
  const made = await send('POST /v1/changes', back(newest));
  expect(made.json).toMatchObject({ applied: { applied: true } });
  expect(await lab.directory.contents()).toEqual(before);
  expect((await lab.send('member', 'POST /v1/changes', back())).status).toBe(403);
});

it('says what a change opens to who prefers to know', async () => {
  const rule = { protocol: 'tcp', ports: [8443] };
  const add = (sent: Sent): Promise<Answer> =>
    send('POST /v1/templates/web/rules/inbound', { body: rule, ...sent });
  const told = await add({ headers: { prefer: 'respond-async, openings' } });
  expect(told.json!['applied']).toMatchObject({
    opens: [expect.stringMatching(/^web-1: TCP, port 8443, from the whole Internet/)],
  });
  expect((await add({})).json!['applied']).not.toHaveProperty('opens');
});
