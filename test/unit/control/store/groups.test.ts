/** Groups in a configuration directory: what names them is checked over all files, and a change cannot take them away. */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfigDirectory } from '../../../../src/control/store/files/config-directory.ts';
import { FileStore } from '../../../../src/control/store/files/file-store.ts';
import { StoreError } from '../../../../src/control/store/store.ts';
import type { Operation } from '../../../../src/control/store/store.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-groups-'));
  mkdirSync(join(directory, 'templates'));
  write(
    'servers.yaml',
    'servers:\n  - { name: web-1, addresses: [10.0.0.2], labels: { role: web } }\n',
  );
  write(
    'templates/db.yaml',
    `# Who may read
appliesTo: [role=db]
inbound:
  - { protocol: tcp, ports: [5432], sources: ["server:web-1"], except: [10.0.0.9] } # web
`,
  );
});
afterEach(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): void {
  writeFileSync(join(directory, name), text);
}

async function problems(): Promise<string[]> {
  const snapshot = await readConfigDirectory(directory);
  return snapshot.problems.map(
    ({ severity, file, line, message }) =>
      `${severity} ${file.slice(directory.length + 1)}:${line} ${message}`,
  );
}

describe('a directory', () => {
  it('that names what is there has no errors; a selector without a server is a warning', async () => {
    expect(await problems()).toEqual([
      'warning templates/db.yaml:2 no server matches "role=db": it means nobody until one does',
    ]);
  });

  it('that names a missing server is refused with file, line and a suggestion', async () => {
    write('servers.yaml', 'servers:\n  - { name: web-2, addresses: [10.0.0.2] }\n');
    expect(await problems()).toContain(
      'error templates/db.yaml:4 there is no server "web-1"; did you mean "web-2"?',
    );
  });

  it('with another error says nothing of groups, which may be missing for that', async () => {
    write('servers.yaml', 'servers:\n  - { name: web-1, addresses: [10.0.0.256] }\n');
    const found = await problems();
    expect(found).toHaveLength(1);
    expect(found[0]).toContain('servers.yaml:2');
  });
});

describe('a change', () => {
  const change = async (...operations: Operation[]): Promise<void> => {
    const store = await FileStore.open(directory, { onWarning: () => undefined });
    await store.change({ name: 'test', via: 'cli' }, () => operations);
  };

  it('does not take away a server that a rule names', async () => {
    const refused = change({ kind: 'destroy-server', name: 'web-1' });
    await expect(refused).rejects.toThrow(StoreError);
    await expect(refused).rejects.toThrow(
      'server "web-1" is named by template db (inbound[0].sources[0])',
    );
    expect(await problems()).toHaveLength(1);
  });

  it('keeps notation, order and comments of groups', async () => {
    const rule = {
      protocol: 'udp',
      ports: [53],
      sources: ['label:role=web,env!=test'],
      enabled: false,
      expires: '2030-01-31T18:00:00Z',
    };
    await change({ kind: 'add-rule', template: 'db', direction: 'inbound', rule });
    const { templates } = await readConfigDirectory(directory);
    expect(templates[0]!.inbound.map(({ peers }) => peers!.map(({ text }) => text))).toEqual([
      ['server:web-1'],
      ['label:role=web,env!=test'],
    ]);
    expect(templates[0]!.inbound[1]).toMatchObject({ enabled: false, expires: rule.expires });
    const store = await FileStore.open(directory, { onWarning: () => undefined });
    const text = await store.history.text('db', 1);
    expect(text).toContain('# Who may read');
    expect(text).toContain('appliesTo: [role=db]');
  });
});
