/** The store on a directory: what each operation writes, what is refused and why, and what is kept of hand edits. */
import { appendFile, chmod, chown, cp, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FileStore } from '../../../../src/control/store/files/file-store.ts';
import type { Operation, Snapshot } from '../../../../src/control/store/store.ts';
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
const names = (snapshot: Snapshot): string[] => snapshot.templates.map(({ name }) => name);
const assigned = (snapshot: Snapshot): Record<string, readonly string[]> =>
  Object.fromEntries(snapshot.servers.map((each) => [each.name, each.templates]));
const ping = { protocol: 'icmp' };

describe('files', () => {
  it('are judged once: what a change has judged is not judged again when it was written', async () => {
    const before = await store.read();
    // In the order of the files it would come before web.yaml.
    const { snapshot } = await change({
      kind: 'create-template',
      name: 'web-2',
      body: { name: 'web-2', inbound: [ping], outbound: [] },
    });
    expect(await store.read()).toBe(snapshot);
    const rule = { kind: 'add-rule', template: 'web-2', direction: 'inbound', rule: ping } as const;
    const added = await change(rule);
    expect(await store.read()).toBe(added.snapshot);
    expect(added.snapshot.servers).toBe(snapshot.servers);
    expect(added.snapshot.revisions.servers).toBe(snapshot.revisions.servers);
    expect(added.snapshot.servers).toEqual(before.servers);
  });

  it('keep mode and owner, and new ones are as readable as their directory', async () => {
    const path = join(directory.path, 'servers.yaml');
    await chmod(path, 0o664);
    await chmod(join(directory.path, 'templates'), 0o750);
    const root = process.geteuid!() === 0;
    if (root) {
      await chown(path, 1234, 1235);
      await chown(join(directory.path, 'templates'), 1236, 1237);
    }
    await change({ kind: 'clone-template', name: 'web', to: 'b' }, assign(['db-1'], ['b']));
    const look = async (name: string): Promise<string> => {
      const { mode, uid, gid } = await stat(join(directory.path, name));
      return `${(mode & 0o777).toString(8)}${root ? ` ${uid}:${gid}` : ''}`;
    };
    expect(await look('servers.yaml')).toBe(root ? '664 1234:1235' : '664');
    expect(await look('templates/b.yaml')).toBe(root ? '640 1236:1237' : '640');
  });

  it('that a crash has left are cleared away, those of editors are not', async () => {
    const left = 'templates/.web.yaml.0123456789ab.tunwall-tmp';
    await directory.write({ [left]: '[', 'templates/.web.yaml.swp': '[' });
    expect((await store.read()).problems).toEqual([]);
    await change(assign(['db-1'], ['web']));
    expect((await readdir(join(directory.path, 'templates'))).sort()).toEqual([
      '.web.yaml.swp',
      'web.yaml',
    ]);
  });

  it('of the example are edited with one line each', async () => {
    await cp('scripts/example-config', directory.path, { recursive: true });
    const [before, example] = [await directory.contents(), await directory.text('servers.yaml')];
    await change(assign(['db-1'], ['web']), {
      kind: 'add-rule',
      template: 'ping',
      direction: 'outbound',
      rule: ping,
    });
    expect(await directory.contents()).toEqual({
      ...before,
      'servers.yaml': example.replace(
        '[database, ssh-from-office, ping]',
        '[database, ssh-from-office, ping, web]',
      ),
      'templates/ping.yaml': `${before['templates/ping.yaml']!}outbound:\n  - { protocol: icmp }\n`,
    });
  });
});

describe('a hand edit', () => {
  it('while a change is being made is seen by it', async () => {
    let calls = 0;
    await store.change(alice, (snapshot) => {
      calls++;
      if (calls === 1) {
        // Between the reading and the writing.
        const text = servers.replace('db-1', 'db-9');
        vi.waitFor(() => writeFile(join(directory.path, 'servers.yaml'), text)).catch(
          () => undefined,
        );
      }
      return [
        assign(
          snapshot.servers.map(({ name }) => name),
          ['web'],
        ),
      ];
    });
    expect(assigned(await store.read())).toEqual({ 'web-1': ['web'], 'db-9': ['web'] });
    expect(calls).toBe(2);
  });

  it('that never ends gives busy, not a lost edit', async () => {
    let port = 1;
    const edit = store.change(alice, () => {
      appendFile(join(directory.path, 'templates/web.yaml'), `# ${port++}\n`).catch(
        () => undefined,
      );
      return [{ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping }];
    });
    expect((await failuresOf(edit))[0]!.kind).toBe('busy');
    expect(await directory.text('templates/web.yaml')).not.toContain('icmp');
  });
});

describe('watching', () => {
  it('warns of a folder above that others can write', async () => {
    await chmod(directory.path, 0o777);
    const path = join(directory.path, 'templates');
    const warnings: string[] = [];
    const onWarning = (message: string): void => void warnings.push(message);
    const above = await FileStore.open(path, { onWarning });
    const watching = await above.watch({ onChange: () => undefined, onWarning });
    await watching.close();
    expect(warnings).toEqual([expect.stringContaining(`${directory.path} can be written by`)]);
  });

  it('reports changes, made here and by hand, and puts the latter into the history', async () => {
    const seen: Snapshot[] = [];
    const watching = await store.watch({
      onChange: (snapshot) => void seen.push(snapshot),
      onWarning: (message) => directory.warnings.push(message),
    });
    try {
      await change({ kind: 'clone-template', name: 'web', to: 'b' });
      await vi.waitFor(() => expect(names(seen.at(-1)!)).toEqual(['b', 'web']), 10_000);
      await directory.write({ 'templates/c.yaml': 'inbound: []\n' });
      await vi.waitFor(async () => expect(await store.history.list('c')).toHaveLength(1), 10_000);
    } finally {
      await watching.close();
    }
    expect(directory.warnings).toEqual([]);
  });
});
