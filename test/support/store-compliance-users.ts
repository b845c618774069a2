/** Users of a store: cases of the suite that every store has to pass (`store-compliance.ts`). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreError, describeFailure } from '../../src/control/store/store.ts';
import type { Guard, PolicyStore, Users } from '../../src/control/store/store.ts';
import type { CreateSubject, Subject } from './store-compliance.ts';
import { alice, failuresOf } from './stores.ts';

const password = 'correct horse';
const refused = async (work: Promise<unknown>): Promise<string[]> =>
  (await failuresOf(work)).map(describeFailure);

export function userCases(create: CreateSubject): void {
  let subject: Subject;
  let store: PolicyStore;
  let users: Users;
  beforeEach(async () => {
    subject = await create({});
    store = await subject.store();
    ({ users } = store);
  });
  afterEach(() => subject.remove());

  describe('the first start', () => {
    it('makes one owner with a login', async () => {
      const other = await subject.store();
      const made = await Promise.all([
        users.createFirstOwner(),
        other.users.createFirstOwner(),
        users.createFirstOwner(),
      ]);
      const [first, ...more] = made.filter((each) => each !== undefined);
      expect(more).toEqual([]);
      expect(await users.createFirstOwner()).toBeUndefined();
      expect(first!.name).toBe('owner');
      expect(await users.verifyPassword('owner', first!.password)).toMatchObject({ role: 'owner' });
    });
  });

  describe('a user', () => {
    it('has a role, a password and tokens, and changes show in the revision', async () => {
      const made = await users.create(alice, { name: 'bob', role: 'member', password });
      expect(made).toMatchObject({ name: 'bob', role: 'member', hasPassword: true, tokens: [] });
      expect(await users.verifyPassword('bob', password)).toEqual(made);
      expect(await users.verifyPassword('bob', `${password}!`)).toBeUndefined();
      const changed = await users.setPassword(alice, 'bob', 'another one');
      expect(changed.revision).not.toBe(made.revision);
      expect(await users.verifyPassword('bob', password)).toBeUndefined();
      expect(await users.verifyPassword('bob', 'another one')).toEqual(changed);
      expect((await users.setRole(alice, 'bob', 'billing-admin')).role).toBe('billing-admin');
      await users.destroy(alice, 'bob');
      expect(await users.verifyPassword('bob', 'another one')).toBeUndefined();
      expect((await users.list()).users).toEqual([]);
    });

    it('without a password cannot log in, and neither can an unknown name', async () => {
      await users.create(alice, { name: 'ci', role: 'member' });
      expect(await users.verifyPassword('ci', '')).toBeUndefined();
      expect(await users.verifyPassword('nobody', password)).toBeUndefined();
    });

    it('gets a token once, and loses it at once', async () => {
      await users.create(alice, { name: 'ci', role: 'member' });
      const { token } = await users.createToken(alice, 'ci', 'deploy');
      expect(token).toMatch(/^tunwall_[\w-]{43}$/);
      const found = await users.verifyToken(token);
      expect(found).toMatchObject({ token: 'deploy', user: { name: 'ci', role: 'member' } });
      expect(found!.user.tokens[0]!.name).toBe('deploy');
      for (const wrong of ['', 'tunwall_', `${token}x`, token.slice(0, -1), token.toUpperCase()]) {
        expect(await users.verifyToken(wrong)).toBeUndefined();
      }
      // Another process sees it too, and sees it go.
      const other = (await subject.store()).users;
      expect(await other.verifyToken(token)).toEqual(found);
      await users.revokeToken(alice, 'ci', 'deploy');
      expect(await other.verifyToken(token)).toBeUndefined();
    });

    it('is refused with a reason', async () => {
      await users.create(alice, { name: 'bob', role: 'owner' });
      await users.createToken(alice, 'bob', 'a');
      const bad = users.create(alice, { name: '../x', role: 'root', password: 'short' });
      expect(await failuresOf(bad)).toMatchObject([
        { kind: 'invalid', problems: [{ path: 'name' }, { path: 'role' }, { path: 'password' }] },
      ]);
      const works: [() => Promise<unknown>, string][] = [
        [
          () => users.create(alice, { name: 'bob', role: 'member' }),
          'there is a user "bob" already',
        ],
        [() => users.setRole(alice, 'eve', 'member'), 'there is no user "eve"'],
        [() => users.destroy(alice, 'eve'), 'there is no user "eve"'],
        [() => users.createToken(alice, 'bob', 'a'), 'there is a token "a" already'],
        [() => users.revokeToken(alice, 'bob', 'b'), 'there is no token "b"'],
      ];
      for (const [work, reason] of works) expect(await refused(work())).toEqual([reason]);
    });

    it('the last owner stays one', async () => {
      await users.create(alice, { name: 'bob', role: 'owner' });
      await users.create(alice, { name: 'eve', role: 'member' });
      const last = ['"bob" is the last owner: make somebody else an owner first'];
      expect(await refused(users.destroy(alice, 'bob'))).toEqual(last);
      expect(await refused(users.setRole(alice, 'bob', 'member'))).toEqual(last);
      await users.setRole(alice, 'eve', 'owner');
      await users.destroy(alice, 'bob');
    });
  });

  describe('changes of users', () => {
    it('are in the audit log, refused ones too, and say nothing secret', async () => {
      await users.create(alice, { name: 'bob', role: 'owner', password });
      const { token } = await users.createToken(alice, 'bob', 'ci');
      await failuresOf(users.destroy(alice, 'bob'));
      const { records } = await store.audit.query({ action: 'user' });
      expect(
        records.map(({ action, result, target }) => `${action} ${result} ${target![0]!}`),
      ).toEqual(['user.destroy refused bob', 'user.create-token ok bob', 'user.create ok bob']);
      expect(JSON.stringify(records)).not.toMatch(new RegExp(`${token}|${password}|scrypt`));
    });

    it('from two stores at once are all made', async () => {
      const other = (await subject.store()).users;
      const names = Array.from({ length: 6 }, (_, index) => `u-${index}`);
      await Promise.all(
        names.map((name, index) =>
          (index % 2 === 0 ? users : other).create(alice, { name, role: 'member' }),
        ),
      );
      const listed = (await users.list()).users.map(({ name }) => name);
      expect(listed.sort()).toEqual(names);
    });
  });

  it('a guard sees the users of that moment, and what it refuses is not made', async () => {
    await users.create(alice, { name: 'bob', role: 'owner' });
    const other = (await subject.store()).users;
    const guard: Guard = (now) => {
      if (now.some(({ name }) => name === 'bob')) return;
      throw new StoreError([{ kind: 'unauthenticated', message: 'bob is gone' }]);
    };
    const add = (name: string): Promise<unknown> =>
      store.change(alice, () => [{ kind: 'create-template', name, body: {} }], { guard });
    await add('a');
    await other.create(alice, { name: 'eve', role: 'owner' });
    await other.destroy(alice, 'bob');
    expect(await refused(add('b'))).toEqual(['bob is gone']);
    const more = users.create(alice, { name: 'mallory', role: 'owner' }, { guard });
    expect(await refused(more)).toEqual(['bob is gone']);
    expect((await store.read()).templates.map(({ name }) => name)).toEqual(['a']);
  });
}
