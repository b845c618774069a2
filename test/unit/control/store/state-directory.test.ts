/** A state directory that gateway.yaml names: users, history, audit log and the lock lie there, and the configuration may be read-only. */
import { chmod, chown, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readOnly } from '../../../../src/control/store/files/durable-file.ts';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { statePlaceOf } from '../../../../src/control/store/files/state-directory.ts';
import { describeFailure } from '../../../../src/control/store/store.ts';
import { withDirectoryLock } from '../../../../src/system/lock.ts';
import { userCases } from '../../../support/store-compliance-users.ts';
import {
  TestDirectory,
  alice,
  assign,
  failuresOf,
  serversText,
  webText,
} from '../../../support/stores.ts';

const files = { 'templates/web.yaml': webText, 'servers.yaml': serversText };
const users = (name: string): string => `users: [{ name: ${name}, role: member }]\n`;

let directory: TestDirectory;
let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), 'twt-state-'));
  directory = await TestDirectory.create({
    ...files,
    'gateway.yaml': `stateDirectory: ${state} # of its own\n`,
  });
});
afterEach(async () => {
  await directory.remove();
  await rm(state, { recursive: true });
});

describe('the key', () => {
  it.each<[text: string, expected: string | undefined]>([
    ['stateDirectory: /srv/state', '/srv/state'],
    ['{ "stateDirectory": "/srv/state", "queues": 2 }', '/srv/state'],
    // With errors elsewhere, and with a file that is no YAML.
    ['queues: none\nstateDirectory: /srv/state', '/srv/state'],
    ['queues: [1\nstateDirectory: "/srv/my state" # there\r\n', '/srv/my state'],
    ["stateDirectory: '/srv/state'\n\t!", '/srv/state'],
    ['log: { level: loud }\n# stateDirectory: /srv/state', undefined],
    ['log:\n  stateDirectory: /srv/state', undefined],
    ['stateDirectory: state', undefined],
    ['stateDirectory: /srv/../etc', undefined],
    ['stateDirectory: [/srv]', undefined],
  ])('in %j', async (text, expected) => {
    await directory.write({ 'gateway.yaml': text });
    const { path, isNamed } = await statePlaceOf(directory.path);
    expect(path).toBe(expected ?? join(directory.path, '.state'));
    expect(isNamed).toBe(expected !== undefined);
  });
});

describe('a configuration that cannot be written', () => {
  const { geteuid, seteuid } = process;
  const isRoot = geteuid!() === 0;
  let store: FileStore;
  beforeEach(async () => {
    // Root may write anything: somebody else, then, to whom the state belongs.
    if (isRoot) await chown(state, 65_534, 65_534);
    await chmod(directory.path, isRoot ? 0o755 : 0o555);
    store = await directory.store();
    if (isRoot) seteuid!(65_534);
  });
  afterEach(async () => {
    if (isRoot) seteuid!(0);
    await chmod(directory.path, 0o755);
  });
  const asAuthor = async (work: () => Promise<void>): Promise<void> => {
    if (isRoot) seteuid!(0);
    else await chmod(directory.path, 0o755);
    await work();
    if (isRoot) seteuid!(65_534);
    else await chmod(directory.path, 0o555);
  };

  it('has users, an audit log, and a history of what its author changes', async () => {
    const before = await readdir(directory.path);
    expect(await store.users.createFirstOwner()).toMatchObject({ name: 'owner' });
    await store.users.create(alice, { name: 'bob', role: 'member' });
    const { token } = await store.users.createToken(alice, 'bob', 'ci');
    expect(await store.users.verifyToken(token)).toMatchObject({ token: 'ci' });

    await store.recordHandEdits();
    await asAuthor(() => directory.write({ 'templates/db.yaml': webText }));
    await store.recordHandEdits();
    const { changes } = await store.changes.list();
    expect(changes.map(({ action }) => action)).toEqual(['template.edit', 'policy.edit']);

    const { records } = await store.audit.query({});
    expect(records.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['user.create', 'user.create-token', 'template.edit']),
    );
    expect(await readdir(directory.path)).toEqual(before);
  });

  it('refuses changes with a sentence, and records that', async () => {
    const refusals = await Promise.all(
      [
        store.change(alice, () => [assign(['db-1'], ['web'])]),
        store.change(alice, () => [{ kind: 'create-template', name: 'a', body: {} }]),
      ].map(failuresOf),
    );
    for (const [failure] of refusals) {
      expect(failure!.kind).toBe('read-only');
      expect(describeFailure(failure!)).toMatch(
        /cannot be written by this process \(permission denied\): run this as a user who may/,
      );
      expect(describeFailure(failure!)).toContain(directory.path);
    }
    expect((await store.read()).servers[1]!.templates).toEqual([]);
    const { records } = await store.audit.query({ result: 'refused' });
    expect(records).toHaveLength(2);
  });

  it('on a read-only file system is changed elsewhere, whoever one is', () => {
    const error = Object.assign(new Error('EROFS: …'), { code: 'EROFS' });
    expect(readOnly('/etc/tunwall', 'the configuration directory', error).message).toBe(
      'the configuration directory /etc/tunwall cannot be written by this process (its file system is read-only): change it where it comes from',
    );
  });

  it('takes the confirmation of a change from before', async () => {
    const owned = (uid: number): Promise<void> =>
      asAuthor(() => (isRoot ? chown(directory.path, uid, uid) : chmod(directory.path, 0o755)));
    await owned(65_534);
    await store.change(alice, () => [assign(['db-1'], ['web'])], { confirmWithinS: 60 });
    await owned(0);
    await store.confirm(alice);
    expect(await store.unconfirmed()).toBeUndefined();
    expect((await store.read()).servers[1]!.templates).toEqual(['web']);
  });
});

describe('users', () => {
  it('of the configuration are taken over by the first change, and do not count any more', async () => {
    const path = join(directory.path, 'users.yaml');
    await writeFile(path, users('alice'), { mode: 0o600 });
    const store = await directory.store();
    expect(await store.users.createFirstOwner()).toBeUndefined();
    await store.users.create(alice, { name: 'bob', role: 'owner' });
    expect(await readFile(path, 'utf8')).toBe(users('alice'));

    await writeFile(path, users('mallory'), { mode: 0o600 });
    const { users: found, problems } = await store.users.list();
    expect(found.map(({ name }) => name)).toEqual(['alice', 'bob']);
    expect(problems).toMatchObject([
      { file: path, message: `does not count: users lie in ${join(state, 'users.yaml')}` },
    ]);
  });

  it('that cannot be read are no reason to take those of the configuration', async () => {
    await writeFile(join(directory.path, 'users.yaml'), users('alice'), { mode: 0o600 });
    await writeFile(join(state, 'users.yaml'), users('bob'), { mode: 0o644 });
    await chmod(join(state, 'users.yaml'), 0o644);
    const store = await directory.store();
    expect((await store.users.list()).users).toEqual([]);
    expect(await store.users.createFirstOwner().catch(() => undefined)).toBeUndefined();
  });
});

it('changes wait for the lock of the state directory, not for whoever can read the configuration', async () => {
  const store = await directory.store({ lockPatienceMs: 50 });
  await withDirectoryLock(directory.path, 1000, () =>
    store.change(alice, () => [assign(['db-1'], ['web'])]),
  );
  await withDirectoryLock(join(state, 'lock'), 1000, async () => {
    const [failure] = await failuresOf(store.change(alice, () => [assign(['web-1'], ['web'])]));
    expect(failure!.kind).toBe('busy');
  });
});

it('root acts as the owner of the state directory, and of the configuration where none is named', async () => {
  expect((await directory.store()).actingOwners).toEqual([state]);
  await directory.write({ 'gateway.yaml': '' });
  const { path } = directory;
  expect((await directory.store()).actingOwners).toEqual([path, join(path, '.state')]);
});

describe('users are as in every store:', () => {
  userCases(async (more) => {
    const own = await TestDirectory.create({
      'gateway.yaml': `stateDirectory: ${state}/${Math.random().toString(36).slice(2)}\n`,
      ...more,
    });
    return Object.assign(own, {
      restarted: () => own.store(),
      readOnly: () => Promise.reject(new Error('has a test of its own')),
    });
  });
});
