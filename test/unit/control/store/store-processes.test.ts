/** Several processes at one directory, and hand edits in between: nothing is lost, and it always loads. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { formatProblem } from '../../../../src/policy/problem.ts';
import {
  ConfigReader,
  readConfigDirectory,
} from '../../../../src/control/store/files/config-directory.ts';
import { notMade } from '../../../../src/control/store/files/file-store.ts';
import type { Snapshot } from '../../../../src/control/store/store.ts';
import { TestDirectory } from '../../../support/stores.ts';

const writer = new URL('../../../support/store-writer.ts', import.meta.url).pathname;

let directory: TestDirectory;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/shared.yaml': '# Of all.\ninbound: []\n',
    'servers.yaml': '# All of them.\nservers: []\n',
  });
});
afterEach(async () => {
  await directory.remove();
});

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', writer, directory.path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

const errors = ({ problems }: Snapshot): string[] => problems.map(formatProblem);

it('twenty writers in four processes and hand edits in between lose nothing', async () => {
  const writers = ['1', '2', '3', '4'].map((name) => start('many', name));
  const ends = Promise.all(writers.map(async (child) => (await once(child, 'exit'))[0] as number));
  const work = { done: false };
  const codes = ends.finally(() => (work.done = true));
  const reader = new ConfigReader(directory.path);
  let readings = 0;
  let edits = 0;
  while (!work.done) {
    expect(errors(reader.read().snapshot)).toEqual([]);
    readings++;
    if (readings % 40 === 0) {
      // As an editor saves: a new file, renamed over the old one.
      const text = `# edit ${++edits}\ninbound: [{ protocol: tcp, ports: [${edits}] }]\n`;
      await writeFile(join(directory.path, '.by-hand'), text);
      await rename(join(directory.path, '.by-hand'), join(directory.path, 'templates/hand.yaml'));
    }
    await sleep(5);
  }
  expect(await codes).toEqual([0, 0, 0, 0]);
  expect(edits).toBeGreaterThan(3);

  const { templates, servers, problems } = await readConfigDirectory(directory.path);
  expect(problems).toEqual([]);
  const ids = ['1', '2', '3', '4'].flatMap((name) =>
    [0, 1, 2, 3, 4].flatMap((one) => [0, 1].map((round) => `${name}-${one}-${round}`)),
  );
  const shared = templates.find(({ name }) => name === 'shared')!;
  expect(shared.inbound.map(({ comment }) => comment).sort()).toEqual(ids);
  expect(servers.map(({ name }) => name).sort()).toEqual(ids.map((id) => `s-${id}`));
  expect(templates.map(({ name }) => name).sort()).toEqual(
    ['hand', 'shared', ...ids.map((id) => `t-${id}`)].sort(),
  );
  expect(await directory.text('servers.yaml')).toContain('# All of them.\n');
  expect(await directory.text('templates/hand.yaml')).toContain(`# edit ${edits}\n`);

  const store = await directory.store();
  await store.recordHandEdits();
  const versions = await store.history.list('shared');
  // One for each change and one for the file as it was; and each is the one before with one line more.
  expect(versions.map(({ version }) => version)).toEqual(
    Array.from({ length: ids.length + 1 }, (_, index) => ids.length + 1 - index),
  );
  expect(versions.filter(({ actor }) => actor.via === 'file')).toHaveLength(1);
  const { records } = await store.audit.query({ actor: 'writer-1', limit: 1000 });
  // An attempt is logged before it is made: a hand edit in that moment makes it start again.
  const repeated = records.filter(({ summary }) => summary === notMade);
  const made = records.filter(({ result }) => result === 'ok');
  expect(made.length + repeated.length).toBe(records.length);
  expect(made.length - repeated.length).toBe(10);
}, 300_000);
