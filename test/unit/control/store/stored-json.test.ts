/** Whatever lies in the files of the state directory: nothing fails for it, and what was whole is found. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { TestDirectory, alice, serversText, webText } from '../../../support/stores.ts';

const actor = { name: 'eve', via: 'file' };
const digest = 'a'.repeat(64);
/** Each a file, or a line of one. */
const kinds: readonly string[] = [
  '',
  'x',
  '[',
  '\0\ufffd',
  ...[null, [null], {}, [], 1, 'x', { version: 1 }, { id: 'x' }, { version: 1, files: {} }].map(
    (each) => JSON.stringify(each),
  ),
  ...[null, { name: 1 }, { name: 'servers.yaml' }, { name: 'servers.yaml', text: 5 }].map((file) =>
    JSON.stringify({ version: 1, revision: 'x', files: [file] }),
  ),
  JSON.stringify({ version: 1, revision: 'x', files: [{ name: 'sets/a.txt', sha256: 5 }] }),
  ...[null, 5, { web: null }, { web: { sha256: 1 } }, { web: { sha256: digest } }].flatMap(
    (templates) => [JSON.stringify({ actor, templates }), JSON.stringify([{ actor, templates }])],
  ),
  JSON.stringify({ actor, templates: {}, sets: 5 }),
  JSON.stringify({ actor: null, templates: {} }),
  ...[null, 'x', 1e99, 1.5].map((version) =>
    JSON.stringify({ version, at: 'x', actor, action: 'edit' }),
  ),
  JSON.stringify({ version: 7, at: 'x', actor: null, action: 'edit' }),
  JSON.stringify({ version: 7, at: 'x', actor, action: 'edit', sha256: 5 }),
  JSON.stringify({ version: 7, at: 'x', actor, action: 'edit', list: { file: 'a.txt' } }),
  JSON.stringify({ id: '000000000009', at: 5, actor, action: 'x', result: 'ok' }),
  JSON.stringify({ id: '000000000009', at: 'x', actor: {}, action: 'x', result: 'ok' }),
  JSON.stringify({ id: '000000000009', at: 'x', actor, action: ['x'], result: 'ok' }),
];

let directory: TestDirectory;
let store: FileStore;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
  });
  store = await directory.store();
  await store.recordHandEdits();
  await store.keepGood(await store.read());
});
afterEach(async () => {
  expect(directory.warnings).toEqual([]);
  await directory.remove();
});

const state = (name: string): string => join(store.stateDirectory, name);

it('the note of a change', async () => {
  for (const [index, text] of kinds.entries()) {
    await writeFile(state('pending.json'), text);
    const name = `t${index}`;
    await store.change(alice, () => [{ kind: 'create-template', name, body: {} }]);
    expect((await store.history.list(name)).map(({ action }) => action)).toEqual(['create']);
  }
});

it('the configuration that was in force last', async () => {
  const good = await readFile(state('last-good.json'));
  for (const text of kinds) {
    await writeFile(state('last-good.json'), text);
    expect(await (await directory.store()).lastGood()).toBeUndefined();
  }
  await writeFile(state('last-good.json'), good);
  expect((await (await directory.store()).lastGood())?.templates).toHaveLength(1);
});

it('a history', async () => {
  await appendFile(state('history/web/index.jsonl'), `${kinds.join('\n')}\n`);
  store = await directory.store();
  expect((await store.history.list('web')).map(({ version }) => version)).toEqual([1]);
  expect(await store.history.version('web', 1)).toEqual({ text: webText });
  await store.change(alice, () => [{ kind: 'replace-template', name: 'web', body: {} }]);
  expect((await store.history.list('web')).map(({ version }) => version)).toEqual([2, 1]);
});

it('the audit log', async () => {
  const before = await store.audit.query({});
  await appendFile(state('audit.log'), `${kinds.join('\n')}\n`);
  for (const query of [{}, { actor: 'file' }, { since: '2020-01-01' }]) {
    expect((await store.audit.query(query)).records).toEqual(before.records);
  }
  const ofTemplates = before.records.filter(({ action }) => action.startsWith('template.'));
  expect((await store.audit.query({ action: 'template' })).records).toEqual(ofTemplates);
  await store.change(alice, () => [{ kind: 'create-template', name: 'b', body: {} }]);
  const { records } = await store.audit.query({});
  expect(records.slice(1)).toEqual(before.records);
  expect(Number(records[0]!.id)).toBe(Number(records[1]!.id) + 1);
});
