/** Users: roles, passwords, tokens, the last owner, and a users.yaml that must not be trusted. */
import { chmod, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { validateUsers } from '../../../../src/policy/users.ts';
import type { StoredToken } from '../../../../src/policy/users.ts';
import { formatProblem } from '../../../../src/policy/problem.ts';
import { findToken, isPassword } from '../../../../src/control/store/secrets.ts';
import type { Users } from '../../../../src/control/store/store.ts';
import { TestDirectory, alice, failuresOf } from '../../../support/stores.ts';

let directory: TestDirectory;
let users: Users;
beforeEach(async () => {
  directory = await TestDirectory.create();
  users = (await directory.store()).users;
});
afterEach(async () => {
  await directory.remove();
});

const path = (): string => join(directory.path, 'users.yaml');
const problems = async (): Promise<string[]> =>
  (await users.list()).problems.map((each) =>
    formatProblem(each).replace(`${directory.path}/`, ''),
  );
const password = 'correct horse';

describe('users.yaml', () => {
  it('is for its owner alone, and has no secret in the clear', async () => {
    const first = await users.createFirstOwner();
    const { token } = await users.createToken(alice, 'owner', 'ci');
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    const text = await directory.text('users.yaml');
    expect([text.includes(first!.password), text.includes(token)]).toEqual([false, false]);
  });

  it('keeps its comments', async () => {
    const text = '# Who may log in.\nusers:\n  - name: bob # Robert\n    role: owner\n';
    await writeFile(path(), text, { mode: 0o600 });
    await users.create(alice, { name: 'eve', role: 'member' });
    expect(await directory.text('users.yaml')).toBe(`${text}  - name: eve\n    role: member\n`);
    await users.destroy(alice, 'eve');
    expect(await directory.text('users.yaml')).toBe(text);
  });

  it('that others could read or write lets nobody in', async () => {
    await users.create(alice, { name: 'bob', role: 'owner', password });
    await chmod(path(), 0o644);
    expect(await problems()).toEqual([
      'users.yaml: mode 0644 lets others at it: expected 0600 (chmod 600)',
    ]);
    expect(await users.verifyPassword('bob', password)).toBeUndefined();
    expect((await failuresOf(users.destroy(alice, 'bob')))[0]!.kind).toBe('broken');
    await chmod(path(), 0o640);
    expect(await problems()).toEqual(['users.yaml: warning: mode 0640 lets its group read it']);
    expect(await users.verifyPassword('bob', password)).toBeDefined();
  });

  it('with an error lets nobody in, is not changed, and stops no policy', async () => {
    const store = await directory.store();
    await directory.write({ 'servers.yaml': 'servers: []\n' });
    await writeFile(path(), 'users: [{ name: bob, role: boss }]\n', { mode: 0o600 });
    expect(await problems()).toEqual([
      'users.yaml:1:28: users[0].role: expected owner, member, billing-member or billing-admin, found "boss"',
    ]);
    expect((await failuresOf(users.createFirstOwner())).map(({ kind }) => kind)).toEqual([
      'broken',
    ]);
    expect((await store.read()).problems).toEqual([]);
    await store.change(alice, () => [{ kind: 'create-template', name: 'a', body: {} }]);
    await rm(path());
    await symlink('elsewhere.yaml', path());
    expect((await failuresOf(users.create(alice, { name: 'a', role: 'owner' })))[0]!.kind).toBe(
      'read-only',
    );
  });

  it('is read with every mistake in its place, and no secret in a message', () => {
    const secret = 'plain-text-password';
    const text = `users:
  - { name: bob, role: owner, passwordHash: ${secret} }
  - { name: bob, role: member, tokens: [{ name: a, hash: ${secret} }] }
  - { role: member, passwordHash: "$scrypt$ln=30,r=8,p=1$${'a'.repeat(22)}$${'a'.repeat(43)}" }
`;
    const found = validateUsers('users.yaml', text).problems.map(formatProblem);
    expect(found.map((line) => line.split(': ').slice(0, 2).join(': '))).toEqual([
      'users.yaml:2:45: users[0].passwordHash',
      'users.yaml:3:58: users[1].tokens[0].hash',
      'users.yaml:4:35: users[2].passwordHash',
      'users.yaml:4:5: users[2]',
    ]);
    expect(found.join()).not.toContain(secret);
    const twice = 'users: [{ name: a, role: owner }, { name: a, role: owner }]';
    expect(validateUsers('u', twice).problems.map(({ path: at }) => at)).toEqual(['users[1].name']);
  });
});

describe('secrets', () => {
  it('are compared as a known scrypt hash says, and in whatever form they were typed', async () => {
    // RFC 7914, section 12, third vector: N = 16384, r = 8, p = 1.
    const salt = Buffer.from('SodiumChloride').toString('base64').replace(/=+$/, '');
    const hash = Buffer.from(
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2' +
        'd5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
      'hex',
    );
    const phc = (s: string): string =>
      `$scrypt$ln=14,r=8,p=1$${s}$${hash.toString('base64').replace(/=+$/, '')}`;
    expect(await isPassword('pleaseletmein', phc(salt))).toBe(true);
    // Fullwidth letters, as some keyboards give them.
    expect(await isPassword('ｐleaseletmein', phc(salt))).toBe(true);
    expect(await isPassword('pleaseletmeIn', phc(salt))).toBe(false);
    expect(await isPassword('x'.repeat(2000), undefined)).toBe(false);
  });

  it('among many are found wherever they stand', async () => {
    await users.create(alice, { name: 'ci', role: 'member' });
    const tokens: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      tokens.push((await users.createToken(alice, 'ci', name)).token);
    }
    for (const [index, token] of tokens.entries()) {
      expect((await users.verifyToken(token))?.token).toBe('abc'[index]);
    }
    expect([findToken<StoredToken>(tokens[0]!, [])]).toEqual([undefined]);
  });
});
