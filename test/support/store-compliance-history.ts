/** What every store promises of the history of the whole policy, and of the way back. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type {
  ChangeOptions,
  ChangeResult,
  Operation,
  PolicyChange,
  PolicyStore,
} from '../../src/control/store/store.ts';
import { confirmCases } from './store-compliance-confirm.ts';
import type { CreateSubject, Subject } from './store-compliance.ts';
import { alice, assign, failuresOf, serversText, webText } from './stores.ts';

const files = {
  'templates/web.yaml': webText,
  'servers.yaml': serversText,
  'sets/drop.yaml': 'file: drop.txt\n',
  'sets/drop.txt': '192.0.2.1\n192.0.2.9\n',
};
const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });

export function historyCases(createSubject: CreateSubject): void {
  describe('a change to be confirmed', () => confirmCases(createSubject));
  let subject: Subject;
  let store: PolicyStore;
  beforeEach(async () => {
    subject = await createSubject(files);
    store = await subject.store();
  });
  afterEach(() => subject.remove());
  const change = (...operations: Operation[]): Promise<ChangeResult> =>
    store.change(alice, () => operations);
  const changeWith = (options: ChangeOptions, ...operations: Operation[]): Promise<ChangeResult> =>
    store.change(alice, () => operations, options);
  const newest = async (): Promise<PolicyChange> => (await store.changes.list()).changes[0]!;

  it('has each change, with its author and reason, the newest first, in pages', async () => {
    await changeWith({ why: 'tickets 1 and 2' }, create('a'), create('b'));
    const first = await newest();
    await change(assign(['db-1'], ['a']));
    await failuresOf(change(create('a')));
    const { changes } = await (await subject.store()).changes.list();
    expect(changes.slice(0, 2)).toMatchObject([
      { actor: alice, action: 'server.assign', summary: 'assign a to db-1' },
      { actor: alice, action: 'template.create', why: 'tickets 1 and 2' },
    ]);
    expect(changes[0]).not.toHaveProperty('why');
    expect(changes[1]!.changed.map(({ name }) => name)).toEqual(['a', 'b']);
    const numbers = changes.map(({ number }) => number);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => b - a));
    const page = await store.changes.list({ limit: 1 });
    expect(page.changes.map(({ number }) => number)).toEqual([numbers[0]]);
    expect((await store.changes.list({ before: page.next! })).changes[0]).toEqual(first);
    const { records } = await store.audit.query({ action: 'template' });
    expect(records.map(({ result, why }) => [result, why])).toEqual(
      expect.arrayContaining([
        ['refused', undefined],
        ['ok', 'tickets 1 and 2'],
      ]),
    );
  });

  it('brings back all that was destroyed, renamed, assigned and edited, as one change', async () => {
    await change(create('more'), assign(['db-1'], ['more']));
    const [before, { number }] = [await subject.contents(), await newest()];
    await change({ kind: 'destroy-server', name: 'web-1', force: true });
    await change({ kind: 'rename-server', name: 'db-1', to: 'db-2' });
    await change({ kind: 'rename-template', name: 'web', to: 'site' });
    await change({ kind: 'change-addresses', set: 'drop', add: ['192.0.2.77'] });
    await change({ kind: 'destroy-set', name: 'drop', force: true });
    await change({ kind: 'destroy-template', name: 'more', force: true });
    await change(create('new'));
    const [after, last] = [await subject.contents(), await newest()];
    expect(after).not.toEqual(before);
    const back: Operation = { kind: 'restore-policy', number };
    const { diff } = await store.preview(() => [back]);
    expect(diff).toContain('+++ sets/drop.txt');
    expect(await subject.contents()).toEqual(after);
    const { changed, snapshot } = await changeWith({ why: 'it was wrong' }, back);
    expect(await subject.contents()).toEqual(before);
    expect(changed.map(({ kind, name }) => `${kind} ${name}`)).toEqual(
      expect.arrayContaining([
        ...['template more', 'template site', 'template web', 'template new'],
        ...['set drop', 'server web-1', 'server db-1', 'server db-2'],
      ]),
    );
    expect(snapshot.problems).toEqual([]);
    expect(await newest()).toMatchObject({
      ...{ action: 'policy.restore', why: 'it was wrong', actor: alice },
      summary: `roll the policy back to revision ${number}`,
    });
    expect((await store.history.list('more'))[0]).toMatchObject({ action: 'restore' });
    expect((await store.history.list('new'))[0]).toMatchObject({ action: 'destroy' });
    // And the way back from that.
    await change({ kind: 'restore-policy', number: last.number });
    expect(await subject.contents()).toEqual(after);
    // Nothing to do is no change.
    expect((await change({ kind: 'restore-policy', number: last.number })).changed).toEqual([]);
  });

  it('tells what differs between two changes', async () => {
    await change(create('a'));
    const { number } = await newest();
    await change(assign(['db-1'], ['a']));
    await change({ kind: 'destroy-set', name: 'drop' });
    const last = (await newest()).number;
    expect(await store.changes.diff(number, number)).toBe('');
    const diff = await store.changes.diff(number, last);
    expect(diff).toContain(`--- sets/drop.txt revision ${number}\n+++ /dev/null\n`);
    expect(diff).toContain(`--- servers.yaml revision ${number}\n`);
    expect(diff).not.toContain('templates/');
    expect(await store.changes.diff(last, number)).toContain('+192.0.2.9\n');
    expect(await failuresOf(store.changes.diff(number, last + 1))).toMatchObject([
      { kind: 'not-found', what: 'revision' },
    ]);
  });

  it('refuses a way back that is not known, not alone, or from another state than was looked at', async () => {
    await change(create('a'));
    const { number } = await newest();
    await change(create('b'));
    const before = await subject.contents();
    const refused = async (...operations: Operation[]): Promise<string[]> =>
      (await failuresOf(change(...operations))).map(({ kind }) => kind);
    expect(await refused({ kind: 'restore-policy', number: 999_999 })).toEqual(['not-found']);
    expect(await refused({ kind: 'restore-policy', number }, create('c'))).toEqual(['invalid']);
    expect(await refused({ kind: 'restore-policy', number, newest: number })).toEqual([
      'precondition-failed',
    ]);
    expect(await subject.contents()).toEqual(before);
  });

  it('comes after the changes that it waits with', async () => {
    await change(create('a'));
    const { number } = await newest();
    const before = await subject.contents();
    await Promise.all([change(create('b')), change({ kind: 'restore-policy', number })]);
    expect(await subject.contents()).toEqual(before);
  });

  it('is replaced as a whole, or not at all', async () => {
    const { revision } = await store.read();
    const wanted = {
      'templates/other.yaml': 'inbound: [{ protocol: icmp }]\n',
      'servers.yaml': 'servers: [{ name: x, addresses: [10.9.0.1], templates: [other] }]\n',
    };
    const replace = (policy: Record<string, string>, ifRevision?: string): Operation => ({
      ...{ kind: 'replace-policy', files: policy },
      ...(ifRevision !== undefined && { ifRevision }),
    });
    const broken = { ...wanted, 'servers.yaml': 'servers: [{ name: x }]\n' };
    expect(await failuresOf(change(replace(broken)))).toMatchObject([{ kind: 'broken' }]);
    expect(await failuresOf(change(replace({ 'gateway.yaml': '' })))).toMatchObject([
      { kind: 'invalid' },
    ]);
    expect(await failuresOf(change(replace(wanted, 'another')))).toMatchObject([
      { kind: 'precondition-failed' },
    ]);
    expect(await subject.contents()).toEqual(files);
    const { changed } = await change(replace(wanted, revision));
    expect(changed.map(({ name }) => name)).toEqual(expect.arrayContaining(['other', 'web', 'x']));
    expect(await subject.contents()).toEqual(wanted);
    expect((await change(replace(wanted))).changed).toEqual([]);
  });
}
