/**
 * Sums up what scripts/test ran: `node test-summary.js DIRECTORY REASON`.
 *
 * DIRECTORY holds vitest's JSON reports: unit.json, and netns.json or, where the tests with network
 * namespaces could not run for the REASON, the list of them, netns.list.json. A run that left no report did not end
 * properly, a file that could not be loaded has no tests: each counts as one failed test, so that "0
 * failed" means that nothing failed. Exit code 1 if anything did.
 */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const [directory, reason] = process.argv.slice(2);

const sum = { passed: 0, failed: 0, skipped: 0 };

function readJson(name) {
  try {
    return JSON.parse(readFileSync(join(directory, name), 'utf8'));
  } catch (error) {
    console.log(`no report of vitest in ${name}: ${error.message}`);
    sum.failed += 1;
    return undefined;
  }
}

function addReport(name) {
  const report = readJson(name);
  if (report === undefined) return;
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  for (const file of report.testResults) {
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName } of failed)
      console.log(`failed: ${relative('.', file.name)}: ${fullName}`);
    if (file.status === 'failed' && failed.length === 0) {
      console.log(`failed: ${relative('.', file.name)} as a whole`);
      sum.failed += 1;
    }
  }
}

function addList(name) {
  const tests = readJson(name) ?? [];
  sum.skipped += tests.length;
  console.log(`Not run, because ${reason}:`);
  for (const { file, name: title } of tests) console.log(`  ${relative('.', file)}: ${title}`);
}

addReport('unit.json');
if (reason === '') addReport('netns.json');
else addList('netns.list.json');
console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed === 0 ? 0 : 1;
