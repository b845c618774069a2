/** The store on a directory: what each operation writes, what is refused and why, and what is kept of hand edits. */
import { appendFile, chmod, chown, cp, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { templateBody } from '../../../../src/policy/bodies.ts';
import type { FileStore } from '../../../../src/control/store/files/file-store.ts';
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

describe('templates', () => {
  it('are created in the layout of a hand-written file', async () => {
    const { snapshot, changed } = await change({
      kind: 'create-template',
      name: 'mail',
      body: {
        name: 'mail',
        description: 'Mail: in and out',
        inbound: [
          { protocol: 'tcp', ports: [25, '8000-8100'], sources: ['10.0.0.0/8', 'any'] },
          { protocol: 'icmp' },
        ],
        outbound: [],
      },
    });
    expect(await directory.text('templates/mail.yaml')).toBe(`description: "Mail: in and out"
inbound:
  - { protocol: tcp, ports: [25, "8000-8100"], sources: [10.0.0.0/8, any] }
  - { protocol: icmp }
`);
    expect(names(snapshot)).toEqual(['mail', 'web']);
    const after = snapshot.revisions.templates.get('mail');
    expect(changed).toEqual([{ kind: 'template', name: 'mail', after }]);
    expect(await store.read()).toEqual(snapshot);
  });

  it('are replaced, and keep the lines that say the same', async () => {
    const body = templateBody((await store.read()).templates[0]!);
    // As a panel does it: everything that was read, with one thing changed, and in its own spelling.
    const inbound = [body.inbound[0]!, { ...body.inbound[1]!, ports: [22, 2222] }];
    await change({ kind: 'replace-template', name: 'web', body: { ...body, inbound } });
    expect(await directory.text('templates/web.yaml')).toBe(web.replace('[22]', '[22, 2222]'));
  });

  it('are changed rule by rule', async () => {
    const rule = (kind: 'remove-rule', index: number): Operation => ({
      ...{ kind, template: 'web', direction: 'inbound', index },
    });
    await change({ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping });
    expect(await directory.text('templates/web.yaml')).toBe(`${web}  - { protocol: icmp }\n`);
    await change({ kind: 'add-rule', template: 'web', direction: 'outbound', rule: ping });
    await change(rule('remove-rule', 2));
    expect(await directory.text('templates/web.yaml')).toBe(
      `${web}\noutbound:\n  - { protocol: icmp }\n`,
    );
    await change(
      { kind: 'move-rule', template: 'web', direction: 'inbound', index: 1, to: 0 },
      {
        ...{ kind: 'replace-rule', template: 'web', direction: 'inbound', index: 1 },
        rule: { protocol: 'tcp', ports: [80], comment: 'HTTP' },
      },
    );
    expect(await directory.text('templates/web.yaml')).toBe(`# The public servers.
description: Public web server

inbound:
  # from the office
  - protocol: tcp
    ports: [22]
    sources: [198.51.100.0/24]
  - { protocol: tcp, ports: [80], comment: HTTP } # both

outbound:
  - { protocol: icmp }
`);
  });

  it('keep one value that stands for a list where nothing is changed', async () => {
    const short = 'inbound:\n  - { protocol: tcp, ports: 443, sources: any }\n';
    const one = 'servers:\n  - { name: web-1, addresses: 10.0.0.2, templates: web }\n';
    await writeFile(join(directory.path, 'templates/web.yaml'), short);
    await writeFile(join(directory.path, 'servers.yaml'), one);
    await change({ kind: 'add-rule', template: 'web', direction: 'inbound', rule: ping });
    expect(await directory.text('templates/web.yaml')).toBe(`${short}  - { protocol: icmp }\n`);
    await change({ kind: 'clone-template', name: 'web', to: 'ssh' }, assign(['web-1'], ['ssh']));
    expect(await directory.text('servers.yaml')).toBe(
      'servers:\n  - { name: web-1, addresses: [10.0.0.2], templates: [web, ssh] }\n',
    );
  });

  it('are cloned and renamed with their comments, and servers follow the name', async () => {
    await change({ kind: 'clone-template', name: 'web', to: 'copy' });
    expect(await directory.text('templates/copy.yaml')).toBe(web);
    const { snapshot, changed } = await change({
      kind: 'rename-template',
      name: 'web',
      to: 'site',
    });
    expect(names(snapshot)).toEqual(['copy', 'site']);
    expect(await directory.text('servers.yaml')).toBe(servers.replace('[web]', '[site]'));
    expect(changed.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'template web',
      'template site',
      'server web-1',
    ]);
  });

  it('in use are destroyed only by force', async () => {
    const before = await directory.contents();
    expect(await failuresOf(change({ kind: 'destroy-template', name: 'web' }))).toEqual([
      {
        kind: 'in-use',
        what: 'template',
        name: 'web',
        usedBy: [{ kind: 'server', name: 'web-1', path: 'templates[0]' }],
      },
    ]);
    expect(await directory.contents()).toEqual(before);
    const { snapshot } = await change({ kind: 'destroy-template', name: 'web', force: true });
    expect(snapshot.templates).toEqual([]);
    expect(await directory.contents()).toEqual({ 'servers.yaml': servers.replace('[web]', '[]') });
  });
});

describe('servers', () => {
  it('are created, replaced and destroyed among hand-written ones', async () => {
    const body = { addresses: ['10.0.0.9'], templates: ['web'], labels: { a: 'b' } };
    await change({ kind: 'create-server', name: 'web-2', body });
    const added = `
  - name: web-2
    addresses: [10.0.0.9]
    templates: [web]
    labels: { a: b }
`;
    expect(await directory.text('servers.yaml')).toBe(servers + added);
    await change(
      { kind: 'replace-server', name: 'web-2', body: { ...body, region: 'hk', labels: {} } },
      { kind: 'destroy-server', name: 'db-1' },
    );
    expect(await directory.text('servers.yaml')).toBe(
      servers.slice(0, servers.indexOf('  - name: db-1')) +
        added.slice(1).replace('labels: { a: b }', 'region: hk\n    labels: {}'),
    );
  });

  it('get and lose many templates at once, which is idempotent', async () => {
    await change({ kind: 'clone-template', name: 'web', to: 'ssh' });
    const both = await change(assign(['web-1', 'db-1'], ['web', 'ssh']));
    expect(assigned(both.snapshot)).toEqual({ 'web-1': ['web', 'ssh'], 'db-1': ['web', 'ssh'] });
    expect(await directory.text('servers.yaml')).toBe(
      `${servers.replace('[web]', '[web, ssh]')}    templates: [web, ssh]\n`,
    );
    expect((await change(assign(['web-1', 'db-1'], ['web', 'ssh']))).changed).toEqual([]);
    const none = await change(assign(['web-1', 'db-1'], ['web'], 'unassign'));
    expect(assigned(none.snapshot)).toEqual({ 'web-1': ['ssh'], 'db-1': ['ssh'] });
    expect(none.changed.map(({ name }) => name)).toEqual(['web-1', 'db-1']);
  });

  it('may be the first', async () => {
    const empty = await TestDirectory.create();
    try {
      store = await empty.store();
      await change(
        { kind: 'create-template', name: 'ping', body: { inbound: [ping] } },
        {
          ...{ kind: 'create-server', name: 'a' },
          body: { addresses: ['10.0.0.1'], templates: ['ping'] },
        },
      );
      expect(await empty.text('servers.yaml')).toBe(
        'servers:\n  - name: a\n    addresses: [10.0.0.1]\n    templates: [ping]\n',
      );
    } finally {
      await empty.remove();
    }
  });
});

describe('files', () => {
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
      // What is written into the state directory is no news.
      const count = seen.length;
      await new Promise((resolve) => setTimeout(resolve, 400));
      expect(seen.length).toBeLessThanOrEqual(count + 1);
    } finally {
      await watching.close();
    }
    expect(directory.warnings).toEqual([]);
  });
});
