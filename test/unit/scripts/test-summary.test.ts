/** The last line of scripts/test: what it counts, and that nothing that failed is lost. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const script = fileURLToPath(new URL('../../../scripts/lib/test-summary.js', import.meta.url));
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'twc-summary-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function write(files: Record<string, unknown>): void {
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory, name), JSON.stringify(content));
  }
}

/** A report as vitest's JSON reporter writes it, of one file per list of test results. */
function report(...files: string[][]): unknown {
  const all = files.flat();
  const count = (status: string): number => all.filter((one) => one === status).length;
  return {
    numPassedTests: count('passed'),
    numFailedTests: count('failed'),
    numPendingTests: count('pending'),
    numTodoTests: count('todo'),
    testResults: files.map((statuses, index) => ({
      name: `${process.cwd()}/test/${index}.test.ts`,
      status: statuses.includes('failed') || statuses.length === 0 ? 'failed' : 'passed',
      message: statuses.length === 0 ? 'Error: no such module' : '',
      assertionResults: statuses.map((status) => ({
        status,
        fullName: `a ${status} test`,
        failureMessages: status === 'failed' ? ['Error: \u001b[31m1\u001b[39m is not 2'] : [],
      })),
    })),
  };
}

function summarize(reason = '', noBrowser = reason): { code: number | null; lines: string[] } {
  const { status, stdout } = spawnSync(process.execPath, [script, directory, reason, noBrowser], {
    encoding: 'utf8',
  });
  return { code: status, lines: stdout.trimEnd().split('\n') };
}

test('sums over all runs, and names what did not run', () => {
  write({
    'unit.json': report(['passed', 'passed', 'pending']),
    'netns.json': report(['passed', 'todo']),
  });
  expect(summarize()).toEqual({
    code: 0,
    lines: [
      'skipped: test/0.test.ts (unit): a pending test',
      'skipped: test/0.test.ts (netns): a todo test',
      '3 passed, 0 failed, 2 skipped',
    ],
  });
});

test('names the tests that failed, with what they say, without colours', () => {
  write({
    'unit.json': report(['passed', 'failed']),
    'netns.json': report(['failed']),
  });
  expect(summarize()).toEqual({
    code: 1,
    lines: [
      'failed: test/0.test.ts (unit): a failed test',
      '    Error: 1 is not 2',
      'failed: test/0.test.ts (netns): a failed test',
      '    Error: 1 is not 2',
      '1 passed, 2 failed, 0 skipped',
    ],
  });
});

test.each<[what: string, files: Record<string, unknown>, line: RegExp]>([
  ['a file that could not be loaded', { 'unit.json': report(['passed'], []) }, /^failed: test\/1/],
  ['a run without a report', { 'netns.json': undefined }, /^failed: vitest left no report netns/],
  ['half a report', { 'unit.json': '{' }, /^failed: /],
  ['a check that is no test', { 'unit.failed': '' }, /^failed: scripts\/check/],
  ['an error outside of tests', { 'netns.failed': '' }, /^failed: the tests in network/],
])('%s counts as one failed test', (_, files, line) => {
  const all = {
    'unit.json': report(['passed']),
    'netns.json': report(['passed']),
    ...files,
  };
  for (const [name, content] of Object.entries(all)) {
    if (content === undefined) continue;
    writeFileSync(join(directory, name), content === '{' ? '{' : JSON.stringify(content));
  }
  const { code, lines } = summarize();
  expect(lines[0]).toMatch(line);
  expect(lines.at(-1)).toMatch(/^[12] passed, 1 failed, 0 skipped$/);
  expect(code).toBe(1);
});

test('repeats what a file says that could not be loaded, and no more than the beginning of it', () => {
  const said = Array.from({ length: 40 }, (_, index) => `line ${index}`).join('\n');
  write({
    'unit.json': report(['passed'], []),
    'netns.json': { ...(report() as object), testResults: [failedFile(said)] },
  });
  const { lines } = summarize();
  expect(lines[1]).toBe('    Error: no such module');
  expect(lines.filter((line) => line.startsWith('    line '))).toHaveLength(15);
});

function failedFile(message: string): unknown {
  return {
    name: `${process.cwd()}/test/9.test.ts`,
    status: 'failed',
    message,
    assertionResults: [],
  };
}

test('a failed test explains that its run failed', () => {
  write({
    'unit.json': report(['failed']),
    'netns.json': report(['passed']),
    'unit.failed': '',
  });
  expect(summarize().lines.at(-1)).toBe('1 passed, 1 failed, 0 skipped');
});

test('names what could not run, and why', () => {
  write({
    'unit.json': report(['passed']),
    'netns.list.json': [{ name: 'a > b', file: `${process.cwd()}/test/netns/x.test.ts` }],
    'e2e.list.json': [{ name: 'd', file: `${process.cwd()}/test/e2e/z.test.ts` }],
  });
  expect(summarize('they need root')).toEqual({
    code: 0,
    lines: [
      'Not run (netns), because they need root:',
      '  test/netns/x.test.ts: a > b',
      'Not run (e2e), because they need root:',
      '  test/e2e/z.test.ts: d',
      '1 passed, 0 failed, 2 skipped',
    ],
  });
});

test('the tests of the panel have a reason of their own', () => {
  write({
    'unit.json': report(['passed']),
    'netns.json': report(['passed']),
    'e2e.list.json': [{ name: 'd', file: `${process.cwd()}/test/e2e/z.test.ts` }],
  });
  expect(summarize('', 'chromium is missing')).toEqual({
    code: 0,
    lines: [
      'Not run (e2e), because chromium is missing:',
      '  test/e2e/z.test.ts: d',
      '2 passed, 0 failed, 1 skipped',
    ],
  });
});
