/** `tunwall import` into a configuration directory is a change of its store, as every other one. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importCommand } from '../../../src/cli/import-command.ts';
import { readInput } from '../../../src/cli/read-input.ts';
import { FileStore } from '../../../src/control/store/files/file-store.ts';
import { runCli } from '../../support/cli.ts';
import type { Ran } from '../../support/cli.ts';

const hetzner = new URL('../../fixtures/import/hetzner.json', import.meta.url).pathname;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'twt-import-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

const openStore = (path: string): Promise<FileStore> =>
  FileStore.open(path, {
    onWarning: (message) => {
      throw new Error(message);
    },
  });

function command(...args: string[]): Promise<Ran> {
  const verb = importCommand({
    readText: readInput,
    openStore,
    actor: 'alice',
    progress: () => ({ update: () => undefined, finish: () => undefined }),
  });
  return runCli([verb], ['import', ...args]);
}

describe('imported templates', () => {
  it('join it as any other change: with a history, in the audit log, and only where they are new', async () => {
    const args = [hetzner, '--config', directory];
    expect((await command(...args)).code).toBe(0);
    const store = await openStore(directory);
    expect(await store.history.list('ping')).toMatchObject([
      { version: 1, action: 'create', actor: { name: 'alice', via: 'cli' } },
    ]);
    const { records } = await store.audit.query({});
    expect(records).toMatchObject([
      { actor: { name: 'alice', via: 'cli' }, result: 'ok', changed: [{}, {}] },
    ]);
    const mine = '# mine\ninbound: [{ protocol: tcp }]\n';
    await writeFile(join(directory, 'templates/ping.yaml'), mine);
    const refused = await command(...args);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('there is a template "ping" already');
    expect(refused.err).toContain('\n  choose another --name, or overwrite it with --force\n');
    expect(await readFile(join(directory, 'templates/ping.yaml'), 'utf8')).toBe(mine);
    expect((await command(...args, '--force')).code).toBe(0);
    // The hand edit is a version, too.
    expect(await store.history.list('ping')).toHaveLength(3);
  });

  it('say why they came, and are undone unless somebody confirms', async () => {
    const args = [hetzner, '--config', directory];
    const made = await command(...args, '-m', ' the old host ', '--confirm', '24h');
    expect(made).toMatchObject({ code: 0 });
    expect(made.err).toMatch(/^undone in .* \(20.*Z\), unless you say: tunwall confirm$/m);
    const store = await openStore(directory);
    expect(await store.unconfirmed()).toMatchObject({
      ...{ why: 'the old host', actor: { name: 'alice' } },
    });
    const [record] = (await store.audit.query({})).records;
    expect(record).toMatchObject({ result: 'ok', why: 'the old host' });
    const second = await command(...args, '--force');
    expect(second.code).toBe(1);
    expect(second.err).toContain('waits for confirmation until');
    await store.confirm({ name: 'alice', via: 'cli' }, { why: 'all answer' });
    expect((await store.audit.query({})).records[0]).toMatchObject({
      ...{ action: 'policy.confirm', why: 'all answer' },
    });
    expect((await command(...args, '--force', '-m', '')).code).toBe(0);
  });

  it.each([
    [['-m', 'x'.repeat(501)], 'expected at most 500 characters'],
    [['--confirm', '4s'], 'expected a time from 5s to 24h'],
  ])('are not made with %j', async (words, message) => {
    const { code, err } = await command(hetzner, '--config', directory, ...words);
    expect([code, err.includes(message)]).toEqual([2, true]);
    expect((await (await openStore(directory)).read()).templates).toEqual([]);
  });

  it('do not join a directory with errors', async () => {
    const servers = 'servers: [{ name: A }]\n';
    await writeFile(join(directory, 'servers.yaml'), servers);
    const { code, err } = await command(hetzner, '--config', directory);
    expect(code).toBe(1);
    expect(err).toContain('servers.yaml');
    expect((await (await openStore(directory)).read()).templates).toEqual([]);
  });
});
