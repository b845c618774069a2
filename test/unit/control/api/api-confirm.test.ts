/** Changes over HTTP that are undone unless somebody confirms them. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ApiLab } from '../../../support/api.ts';
import type { Answer, Sent } from '../../../support/api.ts';

let lab: ApiLab;
beforeEach(async () => {
  lab = await ApiLab.create();
});
afterEach(async () => {
  await lab.close();
});

const send = (request: string, sent?: Sent): Promise<Answer> => lab.send('owner', request, sent);
const within = (time: string): Sent => ({ headers: { 'tunwall-confirm': time } });
const add = (name: string, time: string): Promise<Answer> =>
  send('POST /v1/templates', { body: { name }, ...within(time) });

it('are asked for by a header of every change, and kept', async () => {
  const made = await add('a', '60s');
  expect(made.json).toMatchObject({
    applied: {
      applied: true,
      unconfirmed: { actor: 'owner', summary: 'create template a without rules' },
    },
  });
  const { unconfirmed } = (await send('GET /v1/status')).json as unknown as {
    unconfirmed: { revision: number; secondsLeft: number; until: string };
  };
  expect(unconfirmed.secondsLeft).toBeLessThanOrEqual(60);
  const refused = await send('POST /v1/templates', { body: { name: 'b' } });
  expect(refused.json).toMatchObject({
    ...{ status: 409, type: 'urn:tunwall:problem:unconfirmed' },
    detail: expect.stringMatching(
      new RegExp(`^revision ${unconfirmed.revision} of owner .* until ${unconfirmed.until}`),
    ) as string,
  });
  const { revision } = unconfirmed;
  const confirm = (number: number): string => `POST /v1/changes/confirm?revision=${number}`;
  expect((await send(confirm(revision + 1))).status).toBe(404);
  expect((await lab.send('member', confirm(revision))).status).toBe(403);
  const kept = await send(confirm(revision));
  expect([kept.status, kept.json]).toMatchObject([200, { confirmed: { revision } }]);
  expect((await send('GET /v1/status')).json).not.toHaveProperty('unconfirmed');
  expect((await send('POST /v1/templates', { body: { name: 'b' } })).status).toBe(201);
});

it('are undone at once by who says so', async () => {
  const before = await lab.directory.contents();
  await add('a', '300');
  const undone = await send('POST /v1/changes/revert', {
    headers: { 'tunwall-message': 'wrong%20server' },
  });
  expect(undone.json).toMatchObject({
    ...{ changed: [{ kind: 'template', name: 'a' }], applied: { applied: true } },
  });
  expect(await lab.directory.contents()).toEqual(before);
  expect((await lab.store.audit.query({})).records[0]).toMatchObject({ why: 'wrong server' });
  expect((await send('POST /v1/changes/revert')).status).toBe(404);
});

it('have a time that is one', async () => {
  for (const time of ['4s', '0', '25h', 'soon', '-60', '']) {
    expect([time, (await add('a', time)).status]).toEqual([time, 400]);
  }
  expect((await add('a', '24h')).status).toBe(201);
});
