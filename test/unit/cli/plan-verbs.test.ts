/** `tunwall plan` and `tunwall apply`: a directory against the policy in force. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OfflineCli } from '../../support/offline-cli.ts';
import { TestDirectory, serversText, webText } from '../../support/stores.ts';

let cli: OfflineCli;
let wanted: TestDirectory;
beforeEach(async () => {
  cli = await OfflineCli.createWithTemplates();
  // Without `spare`; `web` has one rule more.
  wanted = await TestDirectory.create({
    'templates/web.yaml': `${webText}  - { protocol: tcp, ports: [8443] }\n`,
    'servers.yaml': serversText,
    'README.txt': 'what lies beside the policy is not part of it',
  });
});
afterEach(async () => {
  await cli.remove();
  await wanted.remove();
});

test('a plan says what would change, and apply does it as one change', async () => {
  const before = await cli.directory.contents();
  const plan = await cli.run(['plan', wanted.path]);
  expect([plan.code, plan.err]).toEqual([2, '']);
  expect(plan.out).toContain('+  - { protocol: tcp, ports: [8443] }\n');
  expect(plan.out).toContain('--- templates/spare.yaml\n+++ /dev/null\n');
  expect(plan.out).toMatch(/^opens web-1.*: TCP, port 8443, from the whole Internet$/m);
  expect(await cli.directory.contents()).toEqual(before);

  const { revision } = JSON.parse((await cli.run(['plan', wanted.path, '--json'])).out) as {
    revision: string;
  };
  await cli.ok('template', 'create', 'more');
  const late = await cli.run(['apply', wanted.path, '--revision', revision]);
  expect([late.code, late.err]).toEqual([1, expect.stringContaining('another policy')]);

  expect(await cli.ok('apply', wanted.path, '-m', 'merge 12')).toContain('3 things changed');
  expect(await cli.directory.contents()).toMatchObject({
    'templates/web.yaml': await wanted.text('templates/web.yaml'),
    'servers.yaml': serversText,
  });
  expect(await cli.ok('template', 'list')).not.toContain('spare');
  expect(await cli.ok('history')).toMatch(/put 2 files in the place of the policy +merge 12\n/);
  expect(await cli.ok('plan', wanted.path)).toBe('nothing differs\n');
  expect(await cli.ok('apply', wanted.path)).toBe('nothing differs\n');
});

test('errors of the directory are all listed with their places, and nothing is done', async () => {
  const before = await cli.directory.contents();
  await wanted.write({ 'templates/web.yaml': 'inbound: [{ protocol: tpc, ports: [0] }]\n' });
  for (const verb of ['plan', 'apply']) {
    const { code, err } = await cli.run([verb, wanted.path]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining(`${wanted.path}/templates/web.yaml:1`),
    ]);
    expect(err).toContain('inbound[0].ports[0]');
  }
  expect(await cli.directory.contents()).toEqual(before);
});
