/** Templates, servers and assignments over HTTP: what is changed, what is in force, what is refused and where. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiLab } from '../support/api.ts';
import type { Answer, Sent } from '../support/api.ts';

let lab: ApiLab;
beforeEach(async () => {
  lab = await ApiLab.create();
});
afterEach(async () => {
  await lab.close();
});

const send = (request: string, sent?: Sent): Promise<Answer> => lab.send('owner', request, sent);
const errorPaths = ({ json }: Answer): string[] =>
  (json as unknown as { errors: { path: string }[] }).errors.map(({ path }) => path);

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
    expect(made.json!['inbound']!['0']).toEqual({ ...inbound[0], hits: 0 });
    const shown = await send('GET /v1/templates/mail');
    expect(shown.headers['etag']).toBe(made.headers['etag']);
    expect(shown.json!['changed']).toMatchObject({ actor: 'owner', via: 'api', action: 'create' });
    expect(await lab.directory.text('templates/mail.yaml')).toContain('"8000-8100"');
  });
});

it('paths', async () => {
  const made = await send('POST /v1/templates', {
    body: { name: 'bad', inbound: [{ protocol: 'tcp', ports: [0, 99999] }, { protocol: 'sctp' }] },
  });
  expect(made.problem).toBe('invalid');
  expect(errorPaths(made)).toEqual([
    'inbound[0].ports[0]',
    'inbound[0].ports[1]',
    'inbound[1].protocol',
  ]);
});
