/** The history of templates: what is remembered, and for how long. */
import { appendFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { sha256 } from '../../../../src/control/store/config-texts.ts';
import { HistoryFiles } from '../../../../src/control/store/files/history.ts';
import { statePlaceOf } from '../../../../src/control/store/files/state-directory.ts';
import type { Operation, Version } from '../../../../src/control/store/store.ts';
import {
  TestDirectory,
  alice,
  assign,
  failuresOf,
  serversText,
  webText,
} from '../../../support/stores.ts';

let directory: TestDirectory;
let store: FileStore;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'servers.yaml': serversText,
  });
  store = await directory.store();
});
afterEach(async () => {
  await directory.remove();
});

const change = (...operations: Operation[]): ReturnType<FileStore['change']> =>
  store.change(alice, () => operations);
const ping = { protocol: 'icmp' };
const addPing: Operation = {
  ...{ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping },
};
const reported = (versions: readonly Version[]): string[] =>
  versions.map(({ version, actor, action, from, to }) =>
    [version, actor.name, action, from, to].filter((each) => each !== undefined).join(' '),
  );

describe('the history', () => {
  it('has actor and action of each change, by hand too, with a diff', async () => {
    await change(addPing);
    await directory.write({ 'templates/web.yaml': `${webText}# By hand.\n` });
    await change({ kind: 'clone-template', name: 'web', to: 'copy' });
    await change({ kind: 'rename-template', name: 'web', to: 'site' });
    expect(reported(await store.history.list('web'))).toEqual([
      '4 alice rename site',
      '3 file edit',
      '2 alice edit',
      '1 file create',
    ]);
    expect(reported(await store.history.list('copy'))).toEqual(['1 alice clone web']);
    expect(reported(await store.history.list('site'))).toEqual(['1 alice rename web']);
    expect(await store.history.diff('web', 1, 2)).toBe(`--- web.yaml version 1
+++ web.yaml version 2
@@ -6,4 +6,5 @@
   # from the office
   - protocol: tcp
     ports: [22]
     sources: [198.51.100.0/24]
+  - { protocol: icmp }
`);
    expect(await store.history.diff('web', 1, 1)).toBe('');
    expect(await store.history.diff('web', 0, 1)).toContain('+description: Public web server');
    expect(await failuresOf(store.history.diff('web', 1, 9))).toEqual([
      { kind: 'not-found', what: 'version', name: 'web 9' },
    ]);
  });

  it('of the whole policy has edits by hand, also of servers, and the way back over them', async () => {
    await change(addPing);
    const { changes } = await store.changes.list();
    expect(changes.map(({ action, actor }) => `${action} by ${actor.name}`)).toEqual([
      'template.add-rule by alice',
      'policy.edit by file',
    ]);
    const before = await directory.contents();
    await directory.write({
      'servers.yaml': 'servers: []\n',
      'templates/new.yaml': 'inbound: []\n',
    });
    await store.recordHandEdits();
    const [edit] = (await store.changes.list()).changes;
    expect(edit).toMatchObject({ actor: { name: 'file' }, summary: 'found changed by hand' });
    // What has errors is brought back, too; what was never without errors is somebody's only copy.
    await directory.write({ 'templates/web.yaml': 'inbound: [{}]\n' });
    await change({ kind: 'restore-policy', number: changes[0]!.number });
    expect(await directory.contents()).toEqual(before);
    await directory.write({ 'templates/draft.yaml': 'inbound: [{}]\n' });
    const [failure] = await failuresOf(
      change({ kind: 'restore-policy', number: changes[1]!.number }),
    );
    expect(failure).toMatchObject({ kind: 'broken' });
    expect(await directory.text('templates/draft.yaml')).toBe('inbound: [{}]\n');
  });

  it('of the whole policy goes on where a process has died between versions and log', async () => {
    await change(addPing);
    const text = `${webText}# new\n`;
    const digest = sha256(text);
    const pending = {
      ...{ actor: alice, why: 'because' },
      templates: { web: { sha256: digest, cause: { action: 'edit' } } },
    };
    await directory.write({ 'templates/web.yaml': text });
    const histories = new HistoryFiles(store.stateDirectory);
    await histories.add({ name: 'web', actor: alice, action: 'edit', text, digest });
    await directory.write({ '.state/pending.json': JSON.stringify([pending]) });
    await store.recordHandEdits();
    const { changes } = await store.changes.list();
    expect(changes[0]).toMatchObject({ actor: alice, why: 'because' });
    expect(changes[0]!.summary).toContain('interrupted');
    await change({ kind: 'restore-policy', number: changes[1]!.number });
    expect(await directory.text('templates/web.yaml')).toBe(`${webText}  - { protocol: icmp }\n`);
  });

  it('of what a dead process wrote names the actor of the change', async () => {
    await store.recordHandEdits();
    const text = `${webText}# new\n`;
    const digest = sha256(text);
    const pending = {
      actor: alice,
      templates: { web: { sha256: digest, cause: { action: 'edit' } } },
    };
    // As it is between the rename and the history.
    await directory.write({ '.state/pending.json': JSON.stringify(pending) });
    await directory.write({ 'templates/web.yaml': text });
    await change(assign(['db-1'], ['web']));
    expect(reported(await store.history.list('web'))[0]).toBe('2 alice edit');
    expect(await readdir(store.stateDirectory)).not.toContain('pending.json');
  });

  it('keeps the newest, goes on counting, and skips a torn line', async () => {
    const state = await mkdtemp(join(tmpdir(), 'twt-history-'));
    const history = new HistoryFiles(state, 3);
    for (let count = 1; count <= 7; count++) {
      await history.add({ name: 'a', actor: alice, action: 'edit', text: `# ${count}\n` });
    }
    expect((await history.list('a')).map(({ version }) => version)).toEqual([7, 6, 5]);
    const texts = (await readdir(join(state, 'history/a'))).filter((name) => /yaml$/.test(name));
    expect(texts).toHaveLength(3);
    await appendFile(join(state, 'history/a/index.jsonl'), '{"version":8,"at":"20');
    const again = new HistoryFiles(state, 3);
    await again.add({ name: 'a', actor: alice, action: 'edit', text: '# 8\n' });
    expect((await again.list('a')).map(({ version }) => version)).toEqual([8, 7, 6]);
    expect(await again.text('a', 8)).toBe('# 8\n');
    await rm(state, { recursive: true });
  });

  it('of /etc/tunwall is in /var/lib/tunwall, that of others within', async () => {
    expect((await statePlaceOf('/etc/tunwall')).path).toBe('/var/lib/tunwall');
    expect((await statePlaceOf(directory.path)).path).toBe(join(directory.path, '.state'));
  });
});
