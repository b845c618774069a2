/** Changes that wait for the lock together: judged one by one, written at once, each with its own answer and records. */
import { basename } from 'node:path';
import type { FileHandle } from 'node:fs/promises';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import type { ChangeResult, Edit, Operation } from '../../../../src/control/store/store.ts';
import { withDirectoryLock } from '../../../../src/system/lock.ts';
import { TestDirectory, alice, failuresOf, serversText, webText } from '../../../support/stores.ts';

const disk = vi.hoisted(() => ({
  /** Names of the files that were renamed into place, and of those that were brought to the disk. */
  renamed: [] as string[],
  synced: [] as string[],
  failing: undefined as string | undefined,
}));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    rename: async (from: string, to: string): Promise<void> => {
      if (disk.failing !== undefined && to.endsWith(disk.failing)) {
        throw Object.assign(new Error('the disk has gone'), { code: 'EIO' });
      }
      disk.renamed.push(to);
      await real.rename(from, to);
    },
    open: async (...args: Parameters<typeof real.open>): Promise<FileHandle> => {
      const file = await real.open(...args);
      const sync = file.sync.bind(file);
      file.sync = async (): Promise<void> => {
        disk.synced.push(String(args[0]));
        await sync();
      };
      return file;
    },
  };
});

let directory: TestDirectory;
let store: FileStore;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
  });
  store = await directory.store();
  await store.recordHandEdits();
  disk.renamed = [];
  disk.synced = [];
});
afterEach(async () => {
  disk.failing = undefined;
  await directory.remove();
});

type Answer = PromiseSettledResult<ChangeResult>;

/** Asks for all of them while somebody else has the lock. The users are called `user-0`, `user-1`, … */
async function waitTogether(edits: readonly Edit[]): Promise<Answer[]> {
  let answers: Promise<Answer[]> | undefined;
  await withDirectoryLock(directory.path, 1000, () => {
    const changes = edits.map((edit, at) =>
      store.change({ ...alice, name: `user-${at}` }, (snapshot) => edit(snapshot)),
    );
    answers = Promise.allSettled(changes);
    return Promise.resolve();
  });
  return await answers!;
}

const addPort = (port: number): Operation => ({
  ...{ kind: 'add-rule', template: 'web', direction: 'inbound' },
  rule: { protocol: 'tcp', ports: [port], comment: `port ${port}` },
});
const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });
const server = (name: string, address: string): Operation => ({
  kind: 'create-server',
  name,
  body: { addresses: [address], templates: ['web'] },
});
const configRenames = (): string[] =>
  disk.renamed.filter((path) => !path.includes('/.state/')).map((path) => basename(path));

it('are one commit: each file is written once, and each has its own answer, version and audit record', async () => {
  const edits: Operation[] = [
    ...Array.from({ length: 8 }, (_, at) => addPort(8000 + at)),
    ...Array.from({ length: 8 }, (_, at) => server(`s-${at}`, `10.1.0.${at}`)),
    create('a'),
    create('b'),
  ];
  const answers = await waitTogether(edits.map((operation) => () => [operation]));
  expect(answers.map(({ status }) => status)).toEqual(edits.map(() => 'fulfilled'));
  expect(configRenames()).toEqual(['web.yaml', 'a.yaml', 'b.yaml', 'servers.yaml']);
  const synced = (name: string): number =>
    disk.synced.filter((path) => basename(path) === name).length;
  expect([synced('audit.log'), synced('changes.jsonl')]).toEqual([1, 1]);
  // Of three templates, and of servers.yaml.
  expect(synced('index.jsonl')).toBe(4);

  const results = answers.map((answer) => (answer as PromiseFulfilledResult<ChangeResult>).value);
  results.forEach(({ snapshot, changed }, at) => {
    const rules = snapshot.templates.find(({ name }) => name === 'web')!.inbound;
    expect(rules.filter(({ comment }) => comment?.startsWith('port '))).toHaveLength(
      Math.min(at + 1, 8),
    );
    expect(changed).toHaveLength(1);
  });
  expect((await store.read()).revision).toBe(results.at(-1)!.snapshot.revision);

  const versions = await store.history.list('web');
  expect(versions.map(({ actor }) => actor.name).reverse()).toEqual([
    'file',
    ...Array.from({ length: 8 }, (_, at) => `user-${at}`),
  ]);
  for (let at = 0; at < 8; at++) {
    const text = await store.history.text('web', at + 2);
    expect([text.includes(`port ${8000 + at}`), text.includes(`port ${8001 + at}`)]).toEqual([
      true,
      false,
    ]);
  }
  const { records } = await store.audit.query({ limit: 100 });
  const made = records.filter(({ actor }) => actor.name.startsWith('user-')).reverse();
  expect(made.map(({ actor, result }) => [actor.name, result])).toEqual(
    edits.map((_, at) => [`user-${at}`, 'ok']),
  );
  expect(new Set(made.map(({ id }) => id)).size).toBe(edits.length);
});

it('begin anew together when a file is edited by hand meanwhile', async () => {
  let edited = false;
  const answers = await waitTogether([
    () => [addPort(8001)],
    (now) => {
      // The reading is older than this.
      if (!edited) void directory.write({ 'templates/hand.yaml': 'inbound: []\n' });
      edited = true;
      expect(now.templates.length).toBeGreaterThan(0);
      return [addPort(8002)];
    },
  ]);
  expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  const { templates } = await store.read();
  expect(templates.map(({ name }) => name).sort()).toEqual(['hand', 'web']);
  expect(await directory.text('templates/web.yaml')).toMatch(/8001[^]*8002/);
  const versions = await store.history.list('web');
  expect(versions.map(({ actor }) => actor.name)).toEqual(['user-1', 'user-0', 'file']);
});

it('fail together when the disk does, and those that come later are not held up', async () => {
  disk.failing = 'servers.yaml';
  const answers = await waitTogether([
    () => [addPort(8001)],
    () => [server('s-1', '10.1.0.1')],
    () => [create('a')],
  ]);
  for (const answer of answers) {
    const [failure] = await failuresOf(
      answer.status === 'rejected'
        ? Promise.reject(answer.reason as Error)
        : Promise.resolve(answer.value),
    );
    expect(failure!.kind).toBe('failed');
  }
  disk.failing = undefined;
  const { records } = await store.audit.query({ result: 'failed' });
  expect(records.map(({ actor }) => actor.name).sort()).toEqual(['user-0', 'user-1', 'user-2']);
  await store.change(alice, () => [create('later')]);
  expect((await store.read()).problems).toEqual([]);
});

it('who has waited too long is told so, and is not made later', async () => {
  const impatient = await directory.store({ lockPatienceMs: 50 });
  await withDirectoryLock(directory.path, 1000, async () => {
    const failures = await failuresOf(impatient.change(alice, () => [create('never')]));
    expect(failures).toMatchObject([{ kind: 'busy' }]);
  });
  await impatient.change(alice, () => [create('later')]);
  const { templates } = await impatient.read();
  expect(templates.map(({ name }) => name).sort()).toEqual(['later', 'web']);
});
