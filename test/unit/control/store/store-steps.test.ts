/** Every single step of a change on the disk: the directory is valid before and after it, and if it is the last one. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { formatProblem } from '../../../../src/policy/problem.ts';
import { readConfigDirectory } from '../../../../src/control/store/files/config-directory.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import { TestDirectory, alice, failuresOf, serversText, webText } from '../../../support/stores.ts';

const steps = vi.hoisted(() => ({
  around: undefined as ((step: () => Promise<void>, name: string) => Promise<void>) | undefined,
}));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const wrap = <T extends unknown[]>(name: string, call: (...args: T) => Promise<void>) => {
    return (...args: T): Promise<void> =>
      steps.around === undefined
        ? call(...args)
        : steps.around(() => call(...args), `${name} ${String(args[name === 'rename' ? 1 : 0])}`);
  };
  return { ...real, rename: wrap('rename', real.rename), rm: wrap('rm', real.rm) };
});

let directory: TestDirectory;
beforeEach(async () => {
  directory = await TestDirectory.create({
    'templates/web.yaml': webText,
    'templates/old.yaml': 'inbound: []\n',
    'servers.yaml': serversText,
  });
});
afterEach(async () => {
  steps.around = undefined;
  await directory.remove();
});

const operations: Operation[] = [
  { kind: 'rename-template', name: 'web', to: 'site' },
  { kind: 'create-template', name: 'new', body: { inbound: [{ protocol: 'icmp' }] } },
  { kind: 'assign', servers: ['db-1', 'web-1'], templates: ['new', 'old'] },
  { kind: 'create-server', name: 'c', body: { addresses: ['10.0.0.9'], templates: ['site'] } },
  { kind: 'destroy-template', name: 'old', force: true },
];

async function expectValid(): Promise<void> {
  const { problems } = await readConfigDirectory(directory.path);
  expect(problems.map(formatProblem)).toEqual([]);
}

/** Of those, the ones that change what the directory says. */
const isVisible = (name: string): boolean =>
  name.includes(directory.path) && !name.includes('/.state') && !name.endsWith('tunwall-tmp');

it('is valid between any two steps', async () => {
  const store = await directory.store();
  const seen: string[] = [];
  steps.around = async (step, name) => {
    await expectValid();
    await step();
    await expectValid();
    if (isVisible(name)) seen.push(name.replace(`${directory.path}/`, ''));
  };
  await store.change(alice, () => operations);
  expect(seen).toEqual([
    'rename templates/site.yaml',
    'rename templates/new.yaml',
    'rename servers.yaml',
    'rm templates/old.yaml',
    'rm templates/web.yaml',
  ]);
});

it.each([0, 1, 2, 3, 4])('that ends at step %i can be gone on from', async (end) => {
  const store = await directory.store();
  let count = 0;
  steps.around = async (step, name) => {
    if (isVisible(name) && count++ === end) {
      throw Object.assign(new Error('the disk has gone'), { code: 'EIO' });
    }
    await step();
  };
  const [failure] = await failuresOf(store.change(alice, () => operations));
  expect(failure!.kind).toBe('failed');
  steps.around = undefined;
  await expectValid();
  const { snapshot } = await store.change(alice, ({ templates }) =>
    templates
      .filter(({ name }) => ['site', 'new'].includes(name))
      .map(({ name }): Operation => ({ kind: 'destroy-template', name, force: true })),
  );
  expect(snapshot.problems).toEqual([]);
  await expectValid();
});
