/** What the store refuses, and that nothing is written then. */
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  symlink,
  writeFile,
  rm,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatProblem } from '../../../../src/policy/problem.ts';
import { withDirectoryLock } from '../../../../src/system/lock.ts';
import { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { describeFailure } from '../../../../src/control/store/store.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import {
  TestDirectory,
  alice,
  assign,
  failuresOf,
  serversText as servers,
  webText as web,
} from '../../../support/stores.ts';

let directory: TestDirectory;
let store: FileStore;
beforeEach(async () => {
  directory = await TestDirectory.create({ 'templates/web.yaml': web, 'servers.yaml': servers });
  store = await directory.store();
});
afterEach(async () => {
  await directory.remove();
});

const change = (...operations: Operation[]): ReturnType<FileStore['change']> =>
  store.change(alice, () => operations);
const refused = async (...operations: Operation[]): Promise<string[]> =>
  (await failuresOf(change(...operations))).map(describeFailure);
const ping = { protocol: 'icmp' };

describe('is refused, and nothing is written:', () => {
  let before: Record<string, string>;
  beforeEach(async () => (before = await directory.contents()));
  afterEach(async () => {
    expect(await directory.contents()).toEqual(before);
  });

  it('a state directory that cannot be made', async () => {
    const state = join(directory.path, 'file/state');
    await directory.write({ file: '', 'gateway.yaml': `stateDirectory: ${state}\n` });
    before = await directory.contents();
    store = await directory.store();
    const [failure] = await failuresOf(change({ kind: 'clone-template', name: 'web', to: 'b' }));
    expect(failure!.kind).toBe('read-only');
    expect(directory.warnings.join()).toContain('the audit log in');
  });

  it.each(['', '{', '[]', '{"number":1}'])(
    'what waits for confirmation is lost: %s',
    async (text) => {
      const path = join(store.stateDirectory, 'unconfirmed.json');
      await mkdir(store.stateDirectory, { recursive: true });
      await writeFile(path, text);
      before = await directory.contents();
      const [failure] = await refused({ kind: 'clone-template', name: 'web', to: 'b' });
      expect(failure).toContain(`${path} is damaged`);
      // Nobody waits for it: it never fails.
      await store.keepGood(await store.read());
      expect(directory.warnings.join()).toContain(`${path} is damaged`);
      await rm(path);
      before = await directory.contents();
      await expect(store.unconfirmed()).resolves.toBeUndefined();
    },
  );

  it('what cannot be logged', async () => {
    // Not even root can append to a directory.
    await mkdir(join(store.stateDirectory, 'audit.log'), { recursive: true });
    const [failure] = await failuresOf(change({ kind: 'clone-template', name: 'web', to: 'b' }));
    expect(describeFailure(failure!)).toContain('the audit log in');
    const user = { name: 'bob', role: 'owner', password: 'correct horse battery' };
    expect((await failuresOf(store.users.create(alice, user)))[0]!.kind).toBe('failed');
    expect((await store.users.list()).users).toEqual([]);
    expect(await store.history.list('b')).toEqual([]);
  });

  it('a file that is a link', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'twt-outside-'));
    const target = join(outside, 'x.yaml');
    await writeFile(target, web);
    await symlink(target, join(directory.path, 'templates/link.yaml'));
    before = await directory.contents();
    const add = { kind: 'add-rule', template: 'link', direction: 'inbound', rule: ping } as const;
    for (const operation of [add, { kind: 'destroy-template', name: 'link' } as const]) {
      expect(await refused(operation)).toEqual([
        `${directory.path}/templates/link.yaml is a link: change what it leads to`,
      ]);
    }
    expect((await lstat(join(directory.path, 'templates/link.yaml'))).isSymbolicLink()).toBe(true);
    await rename(join(directory.path, 'templates'), join(outside, 'templates'));
    await symlink(join(outside, 'templates'), join(directory.path, 'templates'));
    expect(await refused({ kind: 'create-template', name: 'n', body: {} })).toEqual([
      `${directory.path}/templates is a link: change what it leads to`,
    ]);
  });

  it.each<[missing: string, operation: object]>([
    ['rule', { kind: 'add-rule', template: 'web', direction: 'inbound' }],
    ['rule', { kind: 'replace-rule', template: 'web', direction: 'inbound', index: 0 }],
    ['body', { kind: 'create-template', name: 'n' }],
    ['body', { kind: 'create-set', name: 'n' }],
    ['body', { kind: 'replace-template', name: 'web' }],
    ['body', { kind: 'replace-set', name: 'n', upsert: true }],
    ['body', { kind: 'create-server', name: 'n' }],
    ['body', { kind: 'replace-server', name: 'web-1' }],
  ])('an operation without its %s: %j', async (_, operation) => {
    expect(await refused(operation as Operation)).not.toEqual([]);
  });

  it('with many reasons: the first of them, one of each kind, and the number of the others', async () => {
    const servers = Array.from({ length: 5000 }, (_, index) => `no-${index}`);
    const add = Array.from({ length: 5000 }, (_, index) => `1.2.3.${index}.`);
    await directory.write({ 'sets/office.yaml': 'addresses: []\n' });
    before = await directory.contents();
    const failures = await failuresOf(
      change(
        assign(servers, ['web']),
        { kind: 'change-addresses', set: 'office', add },
        { kind: 'create-template', name: 'web', body: {} },
      ),
    );
    const kinds = failures.map(({ kind }) => kind);
    expect(kinds).toEqual([
      ...Array<string>(200).fill('not-found'),
      'invalid',
      'exists',
      'invalid',
    ]);
    expect(failures.slice(-3).map(describeFailure)).toEqual([
      expect.stringMatching(/^add\[0\]: "1\.2\.3\.0\." is not an IPv4 address[^;]*; [^;]*$/),
      'there is a template "web" already',
      'and 9,799 more',
    ]);
    expect(await failuresOf(store.preview(() => [assign(servers, ['web'])]))).toHaveLength(201);
  });

  it('a directory that does not exist; it is not made', async () => {
    const nowhere = await FileStore.open(join(directory.path, 'nowhere'), {
      onWarning: (message) => directory.warnings.push(message),
    });
    const create = { kind: 'create-template', name: 'a', body: {} } as const;
    const user = { name: 'bob', role: 'owner', password: 'correct horse battery' };
    for (const work of [nowhere.change(alice, () => [create]), nowhere.users.create(alice, user)]) {
      expect((await failuresOf(work)).map(describeFailure)).toEqual([
        `the configuration directory ${nowhere.directory} cannot be changed: it does not exist`,
      ]);
    }
    expect(await directory.contents()).toEqual(before);
  });

  it('a directory that another process has locked for too long', async () => {
    const hasty = await directory.store({ lockPatienceMs: 50 });
    await withDirectoryLock(directory.path, 1000, async () => {
      const [failure] = await failuresOf(hasty.change(alice, () => [assign(['db-1'], ['web'])]));
      expect(failure!.kind).toBe('busy');
    });
  });
});

it('says that it may not write', async () => {
  const { geteuid, seteuid } = process;
  const root = geteuid!() === 0;
  const other = await TestDirectory.create({ 'servers.yaml': 'servers: []\n' });
  await chmod(other.path, root ? 0o755 : 0o555);
  store = await other.store();
  if (root) seteuid!(65_534);
  try {
    const body = { inbound: [ping] };
    const [failure] = await failuresOf(change({ kind: 'create-template', name: 'a', body }));
    expect(failure!.kind).toBe('read-only');
    expect(describeFailure(failure!)).toContain(other.path);
  } finally {
    if (root) seteuid!(0);
  }
  expect(await readdir(other.path)).toEqual(['servers.yaml']);
  await chmod(other.path, 0o755);
  await other.remove();
});

describe('a directory with errors', () => {
  it('is not built upon: the errors are reported', async () => {
    await directory.write({ 'templates/ssh.yaml': 'inbound: [{ protocol: tpc }]\n' });
    const [failure] = await failuresOf(change(assign(['db-1'], ['web'])));
    if (failure?.kind !== 'broken') throw new Error(failure?.kind);
    expect(failure.problems.map(formatProblem)).toEqual([
      `${directory.path}/templates/ssh.yaml:1:23: inbound[0].protocol: expected all, icmp, tcp or udp, found "tpc"; did you mean "tcp"?`,
    ]);
    expect(await directory.text('servers.yaml')).toBe(servers);
  });

  it('is mended by replacing, restoring or destroying what is wrong', async () => {
    await store.recordHandEdits();
    const wrong = { 'templates/web.yaml': 'inbound: [' };
    await directory.write(wrong);
    expect((await refused(assign(['db-1'], ['web'])))[0]).toContain('templates/web.yaml:1');
    const add = { kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping } as const;
    expect((await failuresOf(change(add)))[0]!.kind).toBe('broken');
    await change({ kind: 'replace-template', name: 'web', body: { inbound: [ping] } });
    expect(await directory.text('templates/web.yaml')).toBe('inbound:\n  - { protocol: icmp }\n');
    await directory.write(wrong);
    await change({ kind: 'restore-template', name: 'web', version: 1 });
    expect(await directory.text('templates/web.yaml')).toBe(web);
    await directory.write(wrong);
    await change({ kind: 'destroy-template', name: 'web', force: true });
    expect((await store.read()).problems).toEqual([]);
  });

  it('servers.yaml with an error is not touched', async () => {
    const broken = 'servers: [{ name: a }]\n';
    await directory.write({ 'servers.yaml': broken });
    for (const operation of [
      { kind: 'create-template', name: 'new', body: {} } as const,
      assign(['a'], ['web']),
      { kind: 'destroy-template', name: 'web', force: true } as const,
      { kind: 'rename-template', name: 'web', to: 'b' } as const,
    ]) {
      expect((await failuresOf(change(operation)))[0]!.kind).toBe('broken');
    }
    expect(await directory.text('templates/web.yaml')).toBe(web);
    expect(await directory.text('servers.yaml')).toBe(broken);
  });
});
