/** Every sentence of the service's page is proved by tests that have passed, which scripts/lib/service-page.js finds out. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { readText } from '../../support/documents.ts';
import { brokenProofs } from '../../support/proofs.ts';

interface Checker {
  rowsOf: (page: string) => { sentence: string; proofs: { file: string; title: string }[] }[];
  unproved: (
    page: string,
    tests: readonly { file: string; titles: string[]; status: string }[],
    isAbsent: (file: string) => boolean,
  ) => string[];
}

const { rowsOf, unproved } = (await import(
  new URL('../../../scripts/lib/service-page.js', import.meta.url).href
)) as Checker;
const page = readText('test/service-page.md');

describe("the service's page", () => {
  it('is there', () => {
    expect(rowsOf(page).length).toBeGreaterThan(20);
  });

  it.each(rowsOf(page))('$sentence', ({ proofs }) => {
    expect(proofs.flatMap(({ file, title }) => brokenProofs(`\`${file}\` ${title}`))).toEqual([]);
  });
});

describe('a proof', () => {
  const rows = (...proofs: string[]): string =>
    ['| sentence | proved by |', '| -- | -- |', `| It works. | ${proofs.join(' <br> ')} |`].join(
      '\n',
    );
  const ran = (status: string, ...titles: string[]) => ({ file: 'a.test.ts', titles, status });
  const problemsOf = (proof: string, ...tests: ReturnType<typeof ran>[]): string[] =>
    unproved(rows(proof), tests, (file) => file.startsWith('absent/'));

  it.each([
    ['a test', '`a.test.ts` works', [ran('passed', 'group', 'works')]],
    [
      'a group',
      '`a.test.ts` group',
      [ran('passed', 'group', 'one'), ran('passed', 'group', 'two')],
    ],
    ['a title with a value', '`a.test.ts` as %s (x)', [ran('passed', 'as owner (x)')]],
    ['in a file that cannot run here', '`absent/b.test.ts` works', []],
  ])('is %s that has passed', (_, proof, tests) => {
    expect(problemsOf(proof, ...tests)).toEqual([]);
  });

  it.each([
    [
      'has not run',
      '`a.test.ts` works',
      [ran('passed', 'group', 'works not')],
      'no such test has run',
    ],
    ['is in another file', '`b.test.ts` works', [ran('passed', 'works')], 'no such test has run'],
    ['was skipped', '`a.test.ts` works', [ran('skipped', 'works')], 'skipped'],
    [
      'has failed once of two times',
      '`a.test.ts` works',
      [ran('passed', 'works'), ran('failed', 'works')],
      'failed',
    ],
  ])('is none that %s', (_, proof, tests, why) => {
    const [file, title] = [proof.slice(1, 10), 'works'];
    expect(problemsOf(proof, ...tests)).toEqual([`"It works.": ${file}: ${title}: ${why}`]);
  });
});

test('what is not proved counts as failed, in the reports of vitest', () => {
  const directory = mkdtempSync(join(tmpdir(), 'twc-page-'));
  try {
    const script = new URL('../../../scripts/lib/test-summary.js', import.meta.url).pathname;
    const results = ['works', 'holds'].map((title) => ({
      ...{ ancestorTitles: ['group'], title, fullName: `group ${title}` },
    }));
    const report = (status: string): string =>
      JSON.stringify({
        ...{ numPassedTests: 2, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 },
        testResults: [
          {
            name: join(process.cwd(), 'test/a.test.ts'),
            status: 'passed',
            assertionResults: results.map((each, at) => ({
              ...each,
              status: at === 0 ? 'passed' : status,
            })),
          },
        ],
      });
    writeFileSync(join(directory, 'netns.json'), report('passed').replaceAll('a.test', 'b.test'));
    writeFileSync(
      join(directory, 'page'),
      '| It works. | `test/a.test.ts` works |\n| It holds. | `test/a.test.ts` holds |\n',
    );
    const summarize = (status: string): string => {
      writeFileSync(join(directory, 'unit.json'), report(status));
      const args = [script, directory, '', '', join(directory, 'page')];
      return spawnSync(process.execPath, args, { encoding: 'utf8' }).stdout;
    };
    expect(summarize('passed')).toBe('4 passed, 0 failed, 0 skipped\n');
    expect(summarize('skipped')).toBe(
      [
        'skipped: test/a.test.ts (unit): group holds',
        'failed: "It holds.": test/a.test.ts: holds: skipped',
        '4 passed, 1 failed, 0 skipped\n',
      ].join('\n'),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
