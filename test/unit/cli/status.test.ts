/** `tunwall status` over the socket of a firewall that says what the test wants. */
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Status } from '../../../src/control/api/context.ts';
import { statusCommand } from '../../../src/cli/status-command.ts';
import { runCli } from '../../support/cli.ts';
import type { Ran } from '../../support/cli.ts';
import { apiOn, socketConnections } from '../../support/control-plane.ts';
import { TestDirectory } from '../../support/stores.ts';

let directory: TestDirectory;
let api: Awaited<ReturnType<typeof apiOn>>;
beforeEach(async () => {
  directory = await TestDirectory.create({});
});
afterEach(async () => {
  await api.close();
  await directory.remove();
});

async function start(
  gateway: Status['gateway'],
  more: Pick<Status, 'watchError' | 'store'> = {},
): Promise<void> {
  const status: Status = {
    ...{ version: '1.2.3', running: true, configDirectory: '/etc/tunwall', epoch: 7 },
    ...{ device: 'fw0', queues: 2, startedAt: '2030-01-31T12:00:00.000Z' },
    ...{ uptimeSeconds: 7500, flows: { count: 12, capacity: 262_144 } },
    history: { bytes: 1_500_000 },
    ...{ reloads: 6, reloadFailures: 1, reloadError: null, problems: [] },
    policy: { templates: 1, servers: 2, sets: 2, rules: 3 },
    reject: { inbound: false, outbound: true, perSecond: 1000, perSourcePerSecond: 20 },
    ...(gateway !== undefined && { gateway }),
    ...more,
  };
  const controlPlane = { status: () => Promise.resolve(status) };
  api = await apiOn(directory.path, { listener: 'socket', controlPlane });
  await api.listen({ path: join(directory.path, 'sock') });
}

function run(): Promise<Ran> {
  const connections = socketConnections(join(directory.path, 'sock'));
  return runCli([statusCommand(connections)], ['status']);
}

it('ends with 0 if all is well', async () => {
  await start({ state: 'ok', problems: [], watch: 'running' });
  const { code, out } = await run();
  expect(code).toBe(0);
  expect(out).toMatch(/^tunwall 1\.2\.3 is running \(\S+sock\)\n/);
  expect(out).toMatch(/policy +epoch 7: 1 template, 2 servers, 3 rules, 2 sets\n/);
  expect(out).toMatch(/device +fw0, 2 queues\n/);
  expect(out).toMatch(/rejects +outbound\n/);
  expect(out).toMatch(/flows +12 of 262144/);
  expect(out).toMatch(/charts +1,465 KiB of memory\n/);
  expect(out).toMatch(/up +2 h 5 min, since 2030/);
  expect(out).toMatch(/policy changes +6, 1 refused/);
  expect(out).toMatch(/gateway +ok, watched\n/);
});

it('ends with 1 while changes of what is stored are not seen, and says why', async () => {
  const store = { name: 'etcd', endpoint: 'http://192.0.2.1', connected: false, revision: 3 };
  await start(undefined, { watchError: 'EMFILE: too many open files' });
  const { code, err } = await run();
  expect([code, err]).toEqual([1, 'edits of files are not seen: EMFILE: too many open files\n']);
  await api.close();
  await start(undefined, { watchError: 'no majority', store });
  expect(await run()).toMatchObject({ code: 1, err: 'the store is away: no majority\n' });
});

it('ends with 1 if the gateway is degraded, and says why', async () => {
  const rule = { what: 'rule 20', wanted: 'from all lookup 100', found: 'missing' };
  const guard = { what: 'guard', wanted: 'there', found: 'gone', hint: 'look' };
  await start({ state: 'degraded', problems: [rule, guard], watch: 'report-only' });
  const { code, out, err } = await run();
  expect(code).toBe(1);
  expect(out).toMatch(/gateway +degraded, watched, but nothing is repaired \(--report-only\)\n/);
  expect(err).toBe(
    'the gateway is degraded: rule 20 is missing, not from all lookup 100\n' +
      'the gateway is degraded: guard is gone, not there (look)\n',
  );
});

it.each([
  ['absent', 'ok', /gateway +ok, not watched: the guard is not seen here, and nothing is repaired/],
  ['absent', 'down', /gateway +down, not watched/],
  ['stale', 'ok', /gateway +ok, the watch is silent\n/],
] as const)('says how the watch is: %s, %s', async (watch, state, said) => {
  await start({ state, problems: [], watch });
  const { code, out } = await run();
  expect(out).toMatch(said);
  expect(code).toBe(0);
});
