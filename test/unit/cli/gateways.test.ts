/** `tunwall gateways`, and `--wait` behind a change, with an API that says what the test wants. */
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { ApiClient } from '../../../src/cli/api-client.ts';
import type { FleetView } from '../../../src/cli/api-types.ts';
import { confirmCommand } from '../../../src/cli/confirm-command.ts';
import { gatewaysCommand } from '../../../src/cli/gateways-command.ts';
import { templateCommand } from '../../../src/cli/template-command.ts';
import { userCommand } from '../../../src/cli/user-command.ts';
import type { Ran } from '../../support/cli.ts';
import { runCli } from '../../support/cli.ts';

type Member = FleetView['gateways'][number];

const member = (name: string, more: Partial<Member> = {}): Member => ({
  ...{ name, version: '1.2.3', state: 'ok', revision: 7, seen: 7, behind: 0, isThis: false },
  ...{ flows: 1200, packetsPerSecond: 45_000, startedAt: new Date().toISOString() },
  reportedAt: new Date().toISOString(),
  ...more,
});

/** @param answers to `GET /v1/gateways`, one after the other; the last one again and again */
function run(args: readonly string[], answers: readonly FleetView[]): Promise<Ran> {
  const left = [...answers];
  const change = { changed: [], applied: { applied: true, epoch: 5, change: 7 } };
  const answer = (url: string): unknown => {
    if (url === '/v1/gateways') return left.length > 1 ? left.shift() : left[0];
    if (url.startsWith('/v1/users/')) return { name: 'bob', role: 'member', tokens: [] };
    if (url === '/v1/changes/confirm') return { confirmed: { revision: 6, summary: 'less' } };
    return { ...change, applied: { ...change.applied, ...pending } };
  };
  const pending = { pendingGateways: ['gw-2'] };
  const client = new ApiClient({
    name: 'test',
    send: ({ url }) =>
      Promise.resolve({
        ...{ status: 200, contentType: 'application/json', headers: {} },
        body: Readable.from([JSON.stringify(answer(url))]),
      }),
    close: () => Promise.resolve(),
  });
  const connections = {
    connect: () => Promise.resolve(client),
    firewall: () => Promise.resolve(client),
  };
  const notAsked = (): Promise<never> => Promise.reject(new Error('not asked'));
  const actions = { connections, editor: { edit: notAsked, keep: notAsked }, readText: notAsked };
  const users = userCommand({ connections, readSecret: () => Promise.resolve('correct horse') });
  const verbs = [gatewaysCommand, confirmCommand].map((each) => each(connections));
  return runCli([...verbs, templateCommand(actions), users], args);
}

it('prints what each has in force, and what is wrong', async () => {
  const { code, out, err } = await run(
    ['gateways'],
    [
      {
        newest: 7,
        gateways: [
          member('gw-1', { isThis: true, region: 'hkg' }),
          member('gw-2', { state: 'behind', revision: 5, behind: 2 }),
          member('gw-3', { state: 'refuses', problem: 'servers.yaml:3: \u001b[31mno', behind: 1 }),
          member('gw-4', { state: 'stopped', problem: 'of old' }),
        ],
      },
    ],
  );
  expect(code).toBe(1);
  expect(out).toMatch(/^gw-1 \* +hkg +1\.2\.3 +ok +7 +1\.2k +45\.0k /m);
  expect(out).toMatch(/^gw-2 +1\.2\.3 +behind +5, 2 behind /m);
  expect(out).toMatch(/^gw-4 +1\.2\.3 +stopped +7 +last seen \d+ s ago$/m);
  expect(out).toContain('the newest change is 7');
  expect(err).toBe('gw-3: servers.yaml:3: \\u001b[31mno\n');
});

it('says that others are not known', async () => {
  const { code, err } = await run(
    ['gateways'],
    [{ gateways: [member('gw-1', { isThis: true })], problem: 'etcd does not answer' }],
  );
  expect([code, err]).toEqual([1, 'the other gateways are not known: etcd does not answer\n']);
  expect((await run(['gateways'], [{ gateways: [member('gw-1')] }])).code).toBe(0);
});

const clone = ['template', 'clone', 'web', 'copy'];

it('says who has not taken a change yet', async () => {
  const { code, out } = await run(clone, []);
  expect(code).toBe(0);
  expect(out).toContain('; in force here, not yet at gw-2 with epoch 5');
});

it('waits until all that run have a change', async () => {
  const behind = member('gw-2', { revision: 6, state: 'behind' });
  const stopped = member('gw-3', { revision: 1, state: 'stopped' });
  const { code, err } = await run(
    [...clone, '--wait'],
    [
      { newest: 7, gateways: [behind, stopped] },
      { newest: 8, gateways: [member('gw-2'), stopped] },
    ],
  );
  expect([code, err]).toEqual([0, 'change 7 is in force at 1 gateway\n']);
});

it('ends when a gateway refuses the change, or has not taken it in time', async () => {
  const old = member('gw-2', { revision: 5, seen: 6, state: 'refuses' });
  const refuses = { ...old, seen: 7, problem: 'no' };
  const first = await run(
    [...clone, '--wait', '3600'],
    [
      { newest: 7, gateways: [old] },
      { newest: 7, gateways: [refuses] },
    ],
  );
  expect([first.code, first.err]).toEqual([
    3,
    'gw-2 refuses it: no\nchange 7 is stored, and not in force everywhere: 1 gateway, gw-2\n',
  ]);
  const late = await run([...clone, '--wait', '1'], [{ newest: 7, gateways: [old] }]);
  expect([late.code, late.err]).toEqual([
    3,
    'change 7 is stored, and not in force everywhere: 1 gateway, gw-2\n',
  ]);
  const unknown = await run([...clone, '--wait', '1'], [{ gateways: [], problem: 'away' }]);
  expect([unknown.code, unknown.err]).toEqual([
    3,
    'change 7 is stored, and not in force everywhere: away\n',
  ]);
});

it.each([
  'user role bob member',
  'user password bob',
  'user token revoke bob deploy',
  'user destroy bob',
  'confirm',
])('waits for a change whose answer has no number, too: %s', async (typed) => {
  const behind = member('gw-2', { revision: 8, state: 'behind' });
  const { code, err } = await run(
    [...typed.split(' '), '--wait'],
    [
      { newest: 9, gateways: [behind] },
      // A newer one need not be waited for.
      { newest: 11, gateways: [member('gw-2', { revision: 10, state: 'behind' })] },
    ],
  );
  expect([code, err]).toEqual([0, 'change 9 is in force at 1 gateway\n']);
});

it('does not wait with a store in files: there is no other gateway', async () => {
  const { code, err } = await run([...clone, '--wait'], [{ gateways: [] }]);
  expect([code, err]).toEqual([0, '']);
});
