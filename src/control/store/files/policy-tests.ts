/**
 * The tests of a configuration directory: `tests/*.yaml`. They are no part of the policy: nothing changes when they change, and
 * whoever wants to know reads and judges them then.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  judgePolicyTests,
  testProblems,
  validatePolicyTests,
} from '../../../policy/policy-tests.ts';
import type { JudgedTest, PolicyTest } from '../../../policy/policy-tests.ts';
import { checkReferences } from '../../../policy/references.ts';
import type { Problem } from '../../../policy/types.ts';
import type { Reference } from '../../../policy/yaml-fields.ts';
import { asOwnerOf } from '../../../system/privileges.ts';
import type { Snapshot } from '../store.ts';
import { readConfigDirectory } from './config-directory.ts';
import { readText } from './config-files.ts';

export interface DirectoryTests {
  readonly judged: readonly JudgedTest[];
  /** What is wrong with the files, and, as errors, each test that has failed. */
  readonly problems: readonly Problem[];
}

/** Judges the tests of a directory on a state of it without errors. Never throws. */
export function judgeDirectoryTests(directory: string, snapshot: Snapshot): DirectoryTests {
  const tests: PolicyTest[] = [];
  const problems: Problem[] = [];
  const references: Reference[] = [];
  const fail = (file: string, message: string): void =>
    void problems.push({ severity: 'error', file, line: 0, column: 0, path: '', message });
  try {
    asOwnerOf([directory], () => {
      for (const name of testFiles(directory)) {
        const path = join(directory, name);
        const raw = readText(directory, name);
        if (raw?.text === undefined) {
          fail(path, `cannot be read: ${raw?.problem ?? 'it does not exist'}`);
          continue;
        }
        const read = validatePolicyTests(path, raw.text);
        tests.push(...(read.value ?? []));
        problems.push(...read.problems);
        references.push(...(read.references ?? []));
      }
    });
  } catch (error) {
    fail(join(directory, 'tests'), `cannot be read: ${(error as Error).message}`);
  }
  problems.push(...checkReferences(snapshot, references));
  if (problems.some(({ severity }) => severity === 'error')) return { judged: [], problems };
  const judged = judgePolicyTests(snapshot, tests);
  return { judged, problems: [...problems, ...testProblems(judged)] };
}

/** What the tests of a directory say of a state without errors; empty: all is as expected. */
export function failedTests(directory: string, snapshot: Snapshot): readonly Problem[] {
  const { problems } = judgeDirectoryTests(directory, snapshot);
  return problems.filter(({ severity }) => severity === 'error');
}

/**
 * A directory with its tests, as `check` and `test` want it: with errors in the policy, no test is judged.
 *
 * @param read where the policy comes from. Default: the directory
 */
export async function checkDirectory(
  directory: string,
  read: (directory: string) => Promise<Snapshot> = readConfigDirectory,
): Promise<Snapshot & DirectoryTests> {
  const snapshot = await read(directory);
  if (snapshot.problems.some(({ severity }) => severity === 'error')) {
    return { ...snapshot, judged: [] };
  }
  const { judged, problems } = judgeDirectoryTests(directory, snapshot);
  return { ...snapshot, problems: [...snapshot.problems, ...problems], judged };
}

function testFiles(directory: string): string[] {
  try {
    const names = readdirSync(join(directory, 'tests'));
    return names
      .filter((name) => /^[^.#].*\.yaml$/.test(name))
      .sort()
      .map((name) => `tests/${name}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
