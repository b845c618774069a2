/** Examples in documents: configuration is valid, and what can run is run. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfigDirectory } from '../../../src/control/store/files/config-directory.ts';
import { formatProblem } from '../../../src/policy/problem.ts';
import { blocksOf, documents, readText, root } from '../../support/documents.ts';
import type { Block } from '../../support/documents.ts';

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
  const { problems } = await readConfigDirectory(folder);
  const errors = problems.filter(({ severity }) => severity === 'error');
  expect(errors.map(formatProblem)).toEqual([]);
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
