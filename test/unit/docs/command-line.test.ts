/** docs/command-line.md is what the program says of itself; commands in other documents are among its own. */
import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { blocksOf, documents, exists, readText, root } from '../../support/documents.ts';

/** Never called: it tells `vitest --changed` that the reference depends on the whole program. */
export const dependsOn = (): Promise<unknown> => import('../../../src/main.ts');

const page = readText('docs/command-line.md');

/** Help by command: `tunwall template add-rule`. */
const helps = new Map(
  [...page.matchAll(/^#+ (tunwall .+)\n\n```text\n([^]*?)\n```$/gm)].map(([, command, help]) => [
    command!,
    help!,
  ]),
);

describe('the reference', () => {
  let written = '';
  beforeAll(() => {
    const { stdout } = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'src/main.ts', 'reference'],
      { cwd: root, encoding: 'utf8' },
    );
    written = stdout;
  });

  it('is as scripts/docs writes it', () => {
    const [, generated] = page.split(/^<!-- scripts\/docs .*-->\n\n/m);
    expect(generated, 'run scripts/docs').toBe(written);
  });

  it('has every verb of --help', () => {
    const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', 'src/main.ts', '--help'], {
      cwd: root,
      encoding: 'utf8',
    });
    const verbs = [...stdout.matchAll(/^ {2}([a-z]+)(?= .* {2}|$)/gm)]
      .map(([, verb]) => verb!)
      .filter((verb) => verb !== 'help');
    expect(verbs.length).toBeGreaterThan(15);
    expect([...helps.keys()]).toEqual(
      expect.arrayContaining(verbs.map((verb) => `tunwall ${verb}`)),
    );
  });
});

/** Commands of shell blocks, one a line, without what a pipe leads on to. */
function commandsOf(document: string): string[] {
  return blocksOf(readText(document))
    .blocks.filter(({ tag }) => /^sh\b/.test(tag))
    .flatMap(({ text }) => text.replaceAll('\\\n', ' ').split('\n'))
    .map((line) => line.replace(/ # .*$/, '').trim())
    .filter((line) => line !== '');
}

describe.each(documents.filter((document) => commandsOf(document).length > 0))('%s', (document) => {
  it('shows commands of tunwall that exist, with options that exist', () => {
    for (const [call] of commandsOf(document)
      .join('\n')
      .matchAll(/\btunwall [a-z][^|)\n]*/g)) {
      const words = call.trim().split(/\s+/);
      const path = [3, 2, 1]
        .map((count) => ['tunwall', ...words.slice(1, count + 1)].join(' '))
        .find((each) => helps.has(each));
      expect(path, call).toBeDefined();
      for (const [option] of call.matchAll(/(?<=\s)-{1,2}[a-z][\w-]*/g)) {
        expect(helps.get(path!), call).toMatch(new RegExp(`(^|[\\s,])${option}\\b`, 'm'));
      }
    }
  });

  it('shows scripts that exist', () => {
    const known = (JSON.parse(readText('package.json')) as { scripts: object }).scripts;
    for (const command of commandsOf(document)) {
      for (const [path] of command.matchAll(/(?<![\w./])(scripts|test)\/[\w./-]+/g)) {
        expect(exists(path), path).toBe(true);
      }
      for (const [, name] of command.matchAll(/npm run ([\w:]+)/g)) {
        expect(known).toHaveProperty([name!]);
      }
    }
  });
});
