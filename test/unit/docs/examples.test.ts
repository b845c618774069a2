/** Examples in documents: configuration is valid, and what can run is run. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { checkDirectory } from '../../../src/control/store/files/policy-tests.ts';
import { Lab } from '../../../src/lab/index.ts';
import { whyNoPlace } from '../../../src/lab/rootless.ts';
import { formatProblem } from '../../../src/policy/problem.ts';
import { blocksOf, blocksTagged, documents, readText, root } from '../../support/documents.ts';
import type { Block } from '../../support/documents.ts';

// A block starts a process for each of its lines.
vi.setConfig({ testTimeout: 300_000 });

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-docs-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Blocks with one of these tags, by their documents. */
function withBlocks(...tags: string[]): [string, Block[]][] {
  return documents
    .map((document): [string, Block[]] => [
      document,
      blocksOf(readText(document)).blocks.filter((block) => tags.includes(block.tag)),
    ])
    .filter(([, blocks]) => blocks.length > 0);
}

const configurations = withBlocks('yaml', 'txt');

it('there are some', () => {
  expect(configurations.length).toBeGreaterThan(1);
  expect(withBlocks('sh run').length).toBeGreaterThan(2);
});

it.each(configurations)('the configuration in %s is valid', async (document, blocks) => {
  const folder = join(directory, document);
  for (const { text, line } of blocks) {
    const [, file] = /^# ([\w./-]+\.(?:yaml|txt))\b/.exec(text) ?? [];
    expect(file, `${document}:${line}: begins with "# FILE.yaml"`).toBeDefined();
    const path = join(folder, file!);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  const { problems } = await checkDirectory(folder);
  const errors = problems.filter(({ severity }) => severity === 'error');
  expect(errors.map(formatProblem)).toEqual([]);
});

/** Elsewhere: in test/netns/cli, with a machine or a project of their own. */
const runElsewhere = ['make', 'machine', 'upgrade', 'remove', 'purge', 'pack', 'project'];

it.each(['docs/install.md', 'docs/testing.md'])(
  'every block of %s is run by a test',
  (document) => {
    const { blocks } = blocksOf(readText(document));
    const code = blocks.filter(({ tag }) => /^(sh|ts|yaml)\b/.test(tag)).map(({ tag }) => tag);
    const run = ['yaml', 'ts run', 'sh run', 'sh lab', 'sh clone'];
    run.push(...runElsewhere.map((tag) => `sh ${tag}`));
    expect(code.filter((tag) => !run.includes(tag))).toEqual([]);
  },
);

it('a clone is installed by the commands that every run of the suite begins with', () => {
  const [install, build, demo] = blocksTagged('docs/install.md', 'sh clone')[0]!.split('\n');
  const own = readText('scripts/lib/install.sh').replaceAll(/ --(?:prefix "\$root"|silent)/g, '');
  expect(own).toContain(`' ${install!} `);
  expect(own).toContain(`' ${build!}\n`);
  // In test/netns/lab.
  expect(demo).toBe('node dist/main.js demo --once');
});

describe.each(withBlocks('sh run'))('%s', (document, blocks) => {
  const folder = (): string => join(directory, `run-${document.replaceAll('/', '-')}`);
  beforeAll(() => {
    cpSync(join(root, 'scripts/example-config'), join(folder(), 'config'), { recursive: true });
    cpSync(join(root, 'test/fixtures/import'), join(folder(), 'fixtures'), { recursive: true });
  });

  it.each(blocks.map((block) => [block.line, block] as const))('line %i runs', (_, block) => {
    const tunwall = `tunwall() { ${root}node_modules/.bin/tsx ${root}src/main.ts "$@"; }`;
    const { status, stderr, stdout } = spawnSync('bash', ['-ec', `${tunwall}\n${block.text}`], {
      cwd: folder(),
      encoding: 'utf8',
    });
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).not.toBe('');
  });
});

describe.each(withBlocks('ts run'))('%s', (document, blocks) => {
  // Packages are found from here.
  const cache = join(root, 'node_modules/.cache');
  let folder: string;
  beforeAll(() => {
    mkdirSync(cache, { recursive: true });
    folder = mkdtempSync(join(cache, 'tunwall-docs-'));
    const alias = {
      'tunwall/lab/vitest': join(root, 'src/lab/vitest.ts'),
      'tunwall/lab': join(root, 'src/lab/index.ts'),
      'tunwall/testing/vitest': join(root, 'src/testing/vitest.ts'),
      'tunwall/testing': join(root, 'src/testing/index.ts'),
    };
    // Other tests run meanwhile.
    const patient = { testTimeout: 120_000, hookTimeout: 120_000 };
    const config = { resolve: { alias }, test: { exclude: [], root: folder, ...patient } };
    writeFileSync(join(folder, 'vitest.config.mjs'), `export default ${JSON.stringify(config)};`);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(blocks.map((block) => [block.line, block] as const))(
    'line %i runs',
    async (line, block) => {
      const cannot = block.text.includes('tunwall/lab') && (await Lab.obstacle()) !== undefined;
      writeFileSync(join(folder, `line-${line}.test.ts`), block.text);
      const vitest = join(root, 'node_modules/.bin/vitest');
      const { status, stdout, stderr } = spawnSync(vitest, ['run', `line-${line}`], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1' },
      });
      expect(status, `${document}:${line}\n${stdout}${stderr}`).toBe(0);
      expect(stdout).toMatch(cannot ? /Tests {2}[1-9]\d* skipped/ : /Tests {2}[1-9]\d* passed/);
    },
  );

  const inPlaces = blocksOf(readText(document)).blocks.filter(({ tag }) => tag === 'sh lab');
  it.each(inPlaces.map((block) => [block.line, block] as const))(
    'line %i runs',
    async (_, block) => {
      const obstacle = await whyNoPlace();
      if (obstacle !== undefined) {
        console.log(`${document}: ${block.text} does not run: ${obstacle.message}`);
        return;
      }
      const tunwall = `tunwall() { ${root}node_modules/.bin/tsx ${root}src/main.ts "$@"; }`;
      const { status, stdout, stderr } = spawnSync('bash', ['-ec', `${tunwall}\n${block.text}`], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1' },
      });
      expect({ status, stderr: status === 0 ? '' : stdout + stderr }).toEqual({
        status: 0,
        stderr: '',
      });
      expect(stdout).toMatch(/Tests {2}[1-9]\d* passed/);
    },
  );
});
