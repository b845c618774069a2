/** What every store promises of changes that are undone unless somebody confirms them. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { undo, undoOverdue } from '../../src/control/store/confirmation.ts';
import type { ChangeResult, Operation, PolicyStore } from '../../src/control/store/store.ts';
import type { CreateSubject, Subject } from './store-compliance.ts';
import { alice, assign, failuresOf, serversText, webText } from './stores.ts';

const bob = { ...alice, name: 'bob' };
const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });

export function confirmCases(createSubject: CreateSubject): void {
  let subject: Subject;
  let store: PolicyStore;
  beforeEach(async () => {
    subject = await createSubject({ 'templates/web.yaml': webText, 'servers.yaml': serversText });
    store = await subject.store();
  });
  afterEach(() => subject.remove());
  const change = (...operations: Operation[]): Promise<ChangeResult> =>
    store.change(bob, () => operations);
  const changeFor = (seconds: number, ...operations: Operation[]): Promise<ChangeResult> =>
    store.change(alice, () => operations, { confirmWithinS: seconds, why: 'new site' });
  const due = (at: PolicyStore = store) => undoOverdue(at, () => true);
  const actionsIn = async (at: PolicyStore): Promise<string[]> => {
    const { records } = await at.audit.query({});
    return records.map(({ actor, action, result }) => `${actor.name} ${action} ${result}`);
  };

  it('is undone when nobody confirms it in time, whole, and once, with a record', async () => {
    await change(create('a'));
    const before = await subject.contents();
    const { number: back } = (await store.changes.list()).changes[0]!;
    await changeFor(60, create('b'), assign(['db-1'], ['a']));
    const waiting = (await store.unconfirmed())!;
    expect(waiting).toMatchObject({ number: back + 1, back, actor: alice, why: 'new site' });
    expect(Date.parse(waiting.until) - Date.parse(waiting.at)).toBe(60_000);
    expect(await undoOverdue(store, ({ until }) => Date.parse(until) < 0)).toBeUndefined();
    expect(await subject.contents()).not.toEqual(before);
    // Several see at the same time that the time is over.
    const other = await subject.store();
    await Promise.all([due(store), due(other), due(store), due(other)]);
    expect(await subject.contents()).toEqual(before);
    expect(await store.unconfirmed()).toBeUndefined();
    expect(await other.unconfirmed()).toBeUndefined();
    const [undone, made] = (await store.changes.list()).changes;
    expect(undone).toMatchObject({
      actor: { name: 'clock' },
      action: 'policy.restore',
      why: `revision ${back + 1} was not confirmed in time`,
    });
    expect(made).toMatchObject({ number: back + 1, actor: alice });
    const actions = await actionsIn(store);
    expect(actions.filter((each) => each === 'clock policy.restore ok')).toHaveLength(1);
    await change(create('c'));
  });

  it('stays when somebody confirms it, once, with a record; anybody at any store may', async () => {
    await changeFor(60, create('b'));
    const after = await subject.contents();
    const { number } = (await store.unconfirmed())!;
    const other = await subject.store();
    const wrong = await failuresOf(other.confirm(bob, { number: number + 1 }));
    expect(wrong).toMatchObject([{ kind: 'not-found', what: 'unconfirmed change' }]);
    const guard = (): void => {
      throw new Error('no owner any more');
    };
    await expect(other.confirm(bob, { guard })).rejects.toThrow('no owner any more');
    expect(await other.confirm(bob, { number })).toMatchObject({ number });
    expect(await failuresOf(store.confirm(alice))).toMatchObject([{ kind: 'not-found' }]);
    expect(await due()).toBeUndefined();
    expect(await subject.contents()).toEqual(after);
    expect(await actionsIn(store)).toContain('bob policy.confirm ok');
    await change(create('c'));
  });

  it('is undone at once when somebody says so, and then not again', async () => {
    const before = await subject.contents();
    await changeFor(60, create('b'));
    const waiting = (await store.unconfirmed())!;
    await undo(store, bob, waiting, {});
    expect(await subject.contents()).toEqual(before);
    expect(await actionsIn(store)).toContain('bob policy.restore ok');
    await change(create('c'));
    const after = await subject.contents();
    // A late one, of somebody who has not seen it.
    expect((await undo(store, bob, waiting, {})).changed).toEqual([]);
    expect(await subject.contents()).toEqual(after);
  });

  it('keeps all other changes away meanwhile, and says whose it is and until when', async () => {
    const first = changeFor(60, create('b'));
    const second = store.change(bob, () => [create('c')]);
    await first;
    const words = await failuresOf(second);
    expect(words).toMatchObject([{ kind: 'unconfirmed' }]);
    const { until, number } = (await store.unconfirmed())!;
    const more = await failuresOf(
      (await subject.store()).change(bob, () => [create('d')], { confirmWithinS: 5 }),
    );
    expect(more).toEqual([
      {
        kind: 'unconfirmed',
        message: `revision ${number} of alice (create template b without rules) waits for confirmation until ${until}: confirm or undo it first`,
      },
    ]);
    expect((await store.unconfirmed())!.number).toBe(number);
    // Users are no part of the policy.
    await store.users.create(alice, { name: 'carol', role: 'member' });
    expect((await store.unconfirmed())!.number).toBe(number);
    await store.confirm(alice);
    await change(create('c'));
  });

  it('waits over a restart', async () => {
    const before = await subject.contents();
    await changeFor(60, create('b'));
    store = await subject.restarted(store);
    expect(await store.unconfirmed()).toMatchObject({
      actor: alice,
      summary: 'create template b without rules',
    });
    expect(await due()).toMatchObject({ actor: alice });
    expect(await subject.contents()).toEqual(before);
  });

  it('is not what a start falls back on', async () => {
    await store.keepGood(await store.read());
    const { snapshot } = await changeFor(60, create('b'));
    await store.keepGood(snapshot);
    const kept = async (): Promise<string[]> =>
      (await store.lastGood())!.templates.map(({ name }) => name);
    expect(await kept()).toEqual(['web']);
    await store.confirm(alice);
    await store.keepGood(await store.read());
    expect(await kept()).toEqual(['b', 'web']);
  });

  it('makes nothing wait that changes nothing', async () => {
    await changeFor(60, assign(['web-1'], ['web']));
    expect(await store.unconfirmed()).toBeUndefined();
  });
}
