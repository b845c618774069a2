/**
 * What every store promises, as tests: all or nothing, nobody's work lost, revisions, preconditions, history, users, audit,
 * watching, a crash in between, read-only, many writers. Each store's own test file runs all of it, and has cases of its
 * own for what only that store has.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { formatProblem } from '../../src/policy/problem.ts';
import { StoreError } from '../../src/control/store/store.ts';
import type {
  ChangeResult,
  Edit,
  Operation,
  PolicyStore,
  Snapshot,
  Version,
} from '../../src/control/store/store.ts';
import { seed, seededRandom } from './seed.ts';
import { historyCases } from './store-compliance-history.ts';
import { operationCases } from './store-compliance-operations.ts';
import { userCases } from './store-compliance-users.ts';
import { alice, assign, failuresOf, serversText, webText } from './stores.ts';

/** A policy in a store of its own. */
export interface Subject {
  /** The configuration directory: other processes find the store by it. */
  readonly path: string;
  /** Another store on the same policy, as another process has it. */
  store(): Promise<PolicyStore>;
  /** The same one, as after a restart. */
  restarted(store: PolicyStore): Promise<PolicyStore>;
  /** Files as they lie in the store. */
  text(name: string): Promise<string>;
  /** All but gateway.yaml and state. */
  contents(): Promise<Record<string, string>>;
  /** As somebody else does it, not through a change. */
  write(files: Record<string, string>): Promise<void>;
  /** Stores that are opened afterwards may read, and not write. @returns what ends this */
  readOnly(): Promise<() => Promise<void>>;
  remove(): Promise<void>;
}

export type CreateSubject = (files: Record<string, string>) => Promise<Subject>;

const writer = new URL('store-writer.ts', import.meta.url).pathname;

function startWriter(subject: Subject, ...args: string[]): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', writer, subject.path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const ping = { protocol: 'icmp' };
const addPing: Operation = {
  ...{ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping },
};
const addPort = (port: number): Operation => ({
  ...{ kind: 'add-rule', template: 'web', direction: 'inbound' },
  rule: { protocol: 'tcp', ports: [port], comment: `port ${port}` },
});
const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });
const errorsOf = ({ problems }: Snapshot): string[] =>
  problems.filter(({ severity }) => severity === 'error').map(formatProblem);
const portsOf = ({ templates }: Snapshot): string[] =>
  templates
    .flatMap(({ inbound }) => inbound.flatMap(({ comment }) => comment ?? []))
    .filter((comment) => comment.startsWith('port '))
    .sort();
/** Numbers are left out: that they ascend is a case of its own. */
const reported = (versions: readonly Version[]): string[] =>
  versions.map(({ actor, action, to }) =>
    [actor.name, action, to].filter((each) => each !== undefined).join(' '),
  );

export function storeCompliance(createSubject: CreateSubject): void {
  describe('operations', () => operationCases(createSubject));
  describe('users', () => userCases(createSubject));
  describe('the whole policy', () => historyCases(createSubject));
  describe('changes', () => changeCases(createSubject));
  describe('records', () => recordCases(createSubject));
  describe('processes', () => processCases(createSubject));
}

function changeCases(createSubject: CreateSubject): void {
  let subject: Subject;
  let store: PolicyStore;
  let other: PolicyStore;
  beforeEach(async () => {
    subject = await createSubject({ 'templates/web.yaml': webText, 'servers.yaml': serversText });
    [store, other] = [await subject.store(), await subject.store()];
  });
  afterEach(() => subject.remove());
  const change = (...operations: Operation[]): Promise<ChangeResult> =>
    store.change(alice, () => operations);
  /** Asks for all of them at once. The users are called `user-0`, `user-1`, … */
  const together = (edits: readonly Edit[]): Promise<PromiseSettledResult<ChangeResult>[]> =>
    Promise.allSettled(
      edits.map((edit, at) => store.change({ ...alice, name: `user-${at}` }, edit)),
    );

  it('have one revision for one content, at every store', async () => {
    const before = await store.read();
    expect((await other.read()).revision).toBe(before.revision);
    const { snapshot, changed } = await change(addPing);
    const seen = await other.read();
    expect(seen.revision).toBe(snapshot.revision);
    expect(seen.revisions).toEqual(snapshot.revisions);
    expect(snapshot.revision).not.toBe(before.revision);
    expect(changed).toEqual([
      {
        ...{ kind: 'template', name: 'web' },
        before: before.revisions.templates.get('web'),
        after: snapshot.revisions.templates.get('web'),
      },
    ]);
    // A snapshot is what it was.
    expect(before.templates[0]!.inbound).toHaveLength(2);
    // A comment is content, and no change of the template.
    await subject.write({ 'templates/web.yaml': `${webText}  - { protocol: icmp }\n# more\n` });
    const commented = await other.read();
    expect(commented.revision).not.toBe(snapshot.revision);
    expect(commented.revisions).toEqual(snapshot.revisions);
  });

  it('with names of which one begins as the other have the same revision when they are read again', async () => {
    const { snapshot } = await change({ kind: 'clone-template', name: 'web', to: 'web-2' });
    expect((await other.read()).revision).toBe(snapshot.revision);
  });

  it('are told before they are made, and a preview changes nothing', async () => {
    const before = await subject.contents();
    const { diff, changed, after } = await store.preview(() => [addPing]);
    expect(changed.map(({ name }) => name)).toEqual(['web']);
    expect(diff).toContain('--- templates/web.yaml\n+++ templates/web.yaml\n');
    expect(diff).toContain('+  - { protocol: icmp }\n');
    expect(await subject.contents()).toEqual(before);
    expect((await change(addPing)).snapshot.revision).toBe(after.revision);
    await expect(store.preview(() => [create('web')])).rejects.toThrow('already');
  });

  it('of two clients that have seen the same, the second is told', async () => {
    const ifRevision = (await store.read()).revisions.templates.get('web')!;
    const replace = (port: number): Operation => ({
      ...{ kind: 'replace-template', name: 'web', ifRevision },
      body: { inbound: [{ protocol: 'tcp', ports: [port] }] },
    });
    const answers = await Promise.allSettled(
      [store, other].map((each, index) => each.change(alice, () => [replace(index + 1)])),
    );
    const won = answers.findIndex(({ status }) => status === 'fulfilled');
    const lost = answers[1 - won] as PromiseRejectedResult;
    const now = await store.read();
    expect((lost.reason as StoreError).failures).toEqual([
      {
        ...{ kind: 'precondition-failed', what: 'template', name: 'web' },
        revision: now.revisions.templates.get('web'),
      },
    ]);
    expect(now.templates[0]!.inbound[0]!.ports).toEqual([{ from: won + 1, to: won + 1 }]);
  });

  it('of many writers at two stores are all there, once', async () => {
    const ports = Array.from({ length: 30 }, (_, index) => 3000 + index);
    await Promise.all(
      ports.map((port) => (port % 2 === 0 ? store : other).change(alice, () => [addPort(port)])),
    );
    const now = await store.read();
    expect(portsOf(now)).toEqual(ports.map((port) => `port ${port}`));
    expect((await other.read()).revision).toBe(now.revision);
    expect(await subject.text('templates/web.yaml')).toContain(webText);
    const versions = await store.history.list('web');
    expect(versions.filter(({ actor }) => actor.name === 'alice')).toHaveLength(ports.length);
    const { records } = await store.audit.query({ action: 'template.add-rule', limit: 1000 });
    expect(records.map(({ result }) => result)).toEqual(ports.map(() => 'ok'));
  });

  it('see what others have changed in the meantime', async () => {
    await other.change(alice, () => [{ kind: 'rename-server', name: 'db-1', to: 'db-9' }]);
    const { snapshot } = await store.change(alice, ({ servers }) => [
      assign(
        servers.map(({ name }) => name),
        ['web'],
      ),
    ]);
    expect(snapshot.servers.map(({ name, templates }) => [name, ...templates])).toEqual([
      ['web-1', 'web'],
      ['db-9', 'web'],
    ]);
  });

  it('that wait together are judged one by one: a bad one is refused alone, and each sees what those before it do', async () => {
    const { revisions } = await store.read();
    const unless = (operation: Operation): Edit => {
      return (now) => {
        if (now.revisions.templates.get('web') !== revisions.templates.get('web')) {
          throw new StoreError([{ kind: 'busy', message: 'somebody else has changed it' }]);
        }
        return [operation];
      };
    };
    const answers = await together([
      unless(addPort(8001)),
      () => [{ kind: 'destroy-template', name: 'missing' }],
      unless(addPort(8002)),
      () => [addPort(99_999)],
      () => [],
      () => [create('kept')],
      () => [{ kind: 'rename-template', name: 'kept', to: 'moved' }],
      () => [create('short')],
      () => [{ kind: 'destroy-template', name: 'short' }],
    ]);
    const refused = answers.flatMap(({ status }, at) => (status === 'rejected' ? [at] : []));
    expect(refused).toEqual([1, 2, 3]);
    const after = await store.read();
    expect(after.problems).toEqual([]);
    expect(after.templates.map(({ name }) => name).sort()).toEqual(['moved', 'web']);
    expect(await subject.text('templates/web.yaml')).not.toMatch(/8002|99999/);
    const { records } = await store.audit.query({ limit: 100 });
    const told = records.filter(({ actor }) => actor.name.startsWith('user-'));
    expect(told.map(({ actor, result }) => `${actor.name} ${result}`).sort()).toEqual(
      [0, 1, 2, 3, 5, 6, 7, 8].map((at) => `user-${at} ${refused.includes(at) ? 'refused' : 'ok'}`),
    );
    expect((await store.history.list('short')).map(({ action }) => action)).toEqual([
      'destroy',
      'create',
    ]);
  });

  it('of many things are one: all of them, or none', async () => {
    const many = Array.from({ length: 150 }, (_, index) => create(`t-${index}`));
    const bad: Operation = { kind: 'destroy-server', name: 'no' };
    expect((await failuresOf(change(...many, bad)))[0]!.kind).toBe('not-found');
    expect((await other.read()).templates).toHaveLength(1);
    await change(...many);
    const now = await other.read();
    expect(now.templates).toHaveLength(151);
    expect(errorsOf(now)).toEqual([]);
  });

  it('keep sets with their lists', async () => {
    const list = Array.from({ length: 3000 }, (_, at) => `10.${at >> 8}.${at & 255}.0/24\n`).join(
      '',
    );
    const { snapshot } = await change(
      { kind: 'create-set', name: 'drop', body: { description: 'Bad' }, list },
      {
        ...{ kind: 'add-rule', template: 'web', direction: 'inbound' },
        rule: { protocol: 'tcp', sources: ['set:drop'] },
      },
    );
    expect(snapshot.sets[0]!.listEntries).toBe(3000);
    expect(await other.listText(await other.read(), 'drop.txt')).toBe(list);
    await change({ kind: 'change-addresses', set: 'drop', remove: ['10.0.1.0/24'] });
    const versions = await store.setHistory.list('drop');
    expect(reported(versions)).toEqual(['alice edit', 'alice create']);
    await change({ kind: 'restore-set', name: 'drop', version: versions[1]!.version });
    expect(await subject.text('sets/drop.txt')).toBe(list);
    expect(await failuresOf(store.listText(await store.read(), 'no.txt'))).toMatchObject([
      { kind: 'not-found', what: 'list' },
    ]);
  });

  it('are refused where nothing may be written, and reading goes on', async () => {
    const before = await subject.contents();
    const end = await subject.readOnly();
    try {
      const reader = await subject.store();
      const [failure] = await failuresOf(reader.change(alice, () => [create('a')]));
      expect(failure!.kind).toBe('read-only');
      expect((await reader.read()).templates.map(({ name }) => name)).toEqual(['web']);
      expect(errorsOf(await reader.read())).toEqual([]);
    } finally {
      await end();
    }
    expect(await subject.contents()).toEqual(before);
  });

  it('are seen by those that watch, whoever makes them', async () => {
    const seen: Snapshot[] = [];
    const warnings: string[] = [];
    const watching = await store.watch({
      onChange: (snapshot) => void seen.push(snapshot),
      onWarning: (message) => warnings.push(message),
    });
    const names = (): string[] => seen.at(-1)?.templates.map(({ name }) => name) ?? [];
    try {
      await other.change(alice, () => [create('b')]);
      await vi.waitFor(() => expect(names()).toEqual(['b', 'web']), 30_000);
      await change(create('c'));
      await vi.waitFor(() => expect(names()).toEqual(['b', 'c', 'web']), 30_000);
      await subject.write({ 'templates/d.yaml': 'inbound: []\n' });
      await vi.waitFor(() => expect(names()).toEqual(['b', 'c', 'd', 'web']), 30_000);
      const count = seen.length;
      watching.poke();
      await vi.waitFor(() => expect(seen.length).toBeGreaterThan(count), 30_000);
    } finally {
      await watching.close();
    }
    expect(warnings).toEqual([]);
  });

  it('that are in force are kept for a restart', async () => {
    expect(await store.lastGood()).toBeUndefined();
    await store.keepGood(await store.read());
    const { snapshot } = await change(create('b'));
    await Promise.all([store.keepGood(await store.read()), store.keepGood(snapshot)]);
    const again = await (await subject.restarted(store)).lastGood();
    expect(again!.revision).toBe(snapshot.revision);
    expect(again!.servers).toEqual(snapshot.servers);
  });
}

function recordCases(createSubject: CreateSubject): void {
  let subject: Subject;
  let store: PolicyStore;
  beforeEach(async () => {
    subject = await createSubject({ 'templates/web.yaml': webText, 'servers.yaml': serversText });
    store = await subject.store();
  });
  afterEach(() => subject.remove());
  const change = (...operations: Operation[]): Promise<ChangeResult> =>
    store.change(alice, () => operations);

  it('of versions ascend, and any of them is brought back, also of what was destroyed', async () => {
    await change(addPing);
    const [edited, first] = await store.history.list('web');
    await change({ kind: 'restore-template', name: 'web', version: first!.version });
    expect(await subject.text('templates/web.yaml')).toBe(webText);
    await change({ kind: 'destroy-template', name: 'web', force: true });
    await change({ kind: 'restore-template', name: 'web', version: edited!.version });
    expect(await subject.text('templates/web.yaml')).toBe(`${webText}  - { protocol: icmp }\n`);
    const versions = await store.history.list('web');
    expect(reported(versions).slice(0, -1)).toEqual([
      'alice restore',
      'alice destroy',
      'alice restore',
      'alice edit',
    ]);
    expect(versions.map(({ from }) => from)).toEqual([
      String(edited!.version),
      undefined,
      String(first!.version),
      undefined,
      undefined,
    ]);
    const numbers = versions.map(({ version }) => version);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => b - a));
    expect(numbers.at(-1)).toBeGreaterThan(0);
    expect(await store.history.names()).toEqual(['web']);
    const elsewhere = await subject.store();
    expect(await elsewhere.history.list('web')).toEqual(versions);
    expect(await elsewhere.history.text('web', edited!.version)).toContain('icmp');
    expect(await store.history.diff('web', first!.version, edited!.version)).toContain(
      '+  - { protocol: icmp }\n',
    );
    expect(await store.history.diff('web', 0, first!.version)).toContain(
      '+description: Public web server',
    );
    for (const version of [0, -1, 999_999, 1.5]) {
      expect(await failuresOf(store.history.text('web', version))).toMatchObject([
        { kind: 'not-found', what: 'version' },
      ]);
    }
    expect(await store.history.list('../web')).toEqual([]);
  });

  it('of versions follow clones and new names', async () => {
    await change({ kind: 'clone-template', name: 'web', to: 'copy' });
    await change({ kind: 'rename-template', name: 'web', to: 'site' });
    expect(reported(await store.history.list('web'))[0]).toBe('alice rename site');
    expect(reported(await store.history.list('copy'))).toEqual(['alice clone']);
    expect((await store.history.list('site'))[0]).toMatchObject({ action: 'rename', from: 'web' });
    expect(await store.history.names()).toEqual(['copy', 'site', 'web']);
  });

  it('of versions say when time has changed what a template means', async () => {
    await change(addPing);
    await store.markEnd('web', { name: 'clock', via: 'system' }, 'expire');
    const [marked] = await (await subject.store()).history.list('web');
    expect(marked).toMatchObject({ action: 'expire', actor: { name: 'clock' } });
    expect(await store.history.text('web', marked!.version)).toContain('icmp');
    expect((await store.changes.list()).changes[0]!.summary).toMatch('template web has expired');
    await store.markEnd('no', alice, 'expire');
    expect(await store.history.list('no')).toEqual([]);
  });

  it('of the audit log have every change and refusal', async () => {
    await change(addPing, assign(['db-1'], ['web']));
    await failuresOf(change({ kind: 'destroy-template', name: 'web' }));
    await store.audit.append({ actor: alice, action: 'login', result: 'denied' });
    const { records } = await store.audit.query({ limit: 3 });
    expect(records.map(({ action, result }) => `${action} ${result}`)).toEqual([
      'login denied',
      'template.destroy refused',
      'policy.change ok',
    ]);
    expect(records[1]).toMatchObject({
      actor: alice,
      target: ['web'],
      summary: 'template "web" is assigned to web-1, db-1',
    });
    expect(records[2]!.changed!.map(({ name }) => name)).toEqual(['web', 'db-1']);
    const ids = records.map(({ id }) => id);
    expect(ids).toEqual([...ids].sort().reverse());
    const seen: string[] = [];
    for (let before: string | undefined; ;) {
      const page = await store.audit.query({ limit: 1, ...(before !== undefined && { before }) });
      seen.push(...page.records.map(({ id }) => id));
      if (page.next === undefined) break;
      before = page.next;
    }
    expect(seen.slice(0, 3)).toEqual(ids);
  });

  it('of the audit log have the changes of every store', async () => {
    const other = await subject.store();
    await store.change({ ...alice, name: 'one' }, () => [create('a')]);
    await other.change({ ...alice, name: 'two' }, () => [create('b')]);
    for (const each of [store, other]) {
      const { records } = await each.audit.query({ action: 'template.create' });
      expect(records.map(({ actor, target }) => [actor.name, ...target!])).toEqual([
        ['two', 'b'],
        ['one', 'a'],
      ]);
    }
  });
}

/** Each change writes four files or more. */
const changesUnderFire = 100;

function processCases(createSubject: CreateSubject): void {
  let subject: Subject;
  beforeEach(async () => {
    subject = await createSubject({
      'templates/shared.yaml': '# Of all.\ninbound: []\n',
      'servers.yaml': '# All of them.\nservers: []\n',
    });
  });
  afterEach(() => subject.remove());

  it('twenty writers in four of them lose nothing', async () => {
    const writers = ['1', '2', '3', '4'].map((name) => startWriter(subject, 'many', name));
    const codes = await Promise.all(
      writers.map(async (child) => (await once(child, 'exit'))[0] as number),
    );
    expect(codes).toEqual([0, 0, 0, 0]);
    const store = await subject.store();
    const { templates, servers, problems } = await store.read();
    expect(problems.map(formatProblem)).toEqual([]);
    const ids = ['1', '2', '3', '4'].flatMap((name) =>
      [0, 1, 2, 3, 4].flatMap((one) => [0, 1].map((round) => `${name}-${one}-${round}`)),
    );
    const shared = templates.find(({ name }) => name === 'shared')!;
    expect(shared.inbound.map(({ comment }) => comment).sort()).toEqual(ids);
    expect(servers.map(({ name }) => name).sort()).toEqual(ids.map((id) => `s-${id}`));
    expect(templates.map(({ name }) => name).sort()).toEqual(
      ['shared', ...ids.map((id) => `t-${id}`)].sort(),
    );
    expect(await subject.text('servers.yaml')).toContain('# All of them.\n');
    const versions = await store.history.list('shared');
    expect(versions.filter(({ actor }) => actor.via === 'cli')).toHaveLength(ids.length);
    const { records } = await store.audit.query({ actor: 'writer-1', limit: 1000 });
    expect(records.filter(({ result }) => result === 'ok')).toHaveLength(10);
  }, 300_000);

  it('that are killed anywhere leave a policy without errors, with every change that was confirmed', async () => {
    const random = seededRandom();
    let last = 0;
    for (let round = 0; round < 6 || last < changesUnderFire; round++) {
      const child = startWriter(subject, 'forever');
      let said = '';
      child.stdout!.on('data', (data: Buffer) => (said += data.toString()));
      await Promise.race([
        once(child.stdout!, 'data'),
        once(child, 'exit').then(() => Promise.reject(new Error('the writer has given up'))),
      ]);
      await sleep(random() * 1000);
      child.kill('SIGKILL');
      await once(child, 'close');
      const done = said.slice(0, said.lastIndexOf('\n')).split('\n').map(Number);
      const snapshot = await (await subject.store()).read();
      expect(errorsOf(snapshot), `seed ${seed}, round ${round}`).toEqual([]);
      const names = snapshot.servers.map(({ name }) => name);
      for (const count of done) expect(names).toContain(`s-${count}`);
      expect(done.at(-1)).toBeGreaterThan(last);
      last = done.at(-1)!;
    }
    // Another process goes on, and the history names the actor.
    const store = await subject.store();
    const { snapshot } = await store.change(alice, () => [assign(['s-1'], ['shared'])]);
    expect(errorsOf(snapshot)).toEqual([]);
    const versions = await store.history.list('shared');
    const byHand = versions.filter(({ actor }) => actor.via === 'file');
    expect(byHand.every((each) => each === versions.at(-1))).toBe(true);
  }, 300_000);
}
