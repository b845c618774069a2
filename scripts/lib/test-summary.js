/**
 * Sums up what scripts/test ran: `node test-summary.js DIRECTORY REASON NO_BROWSER PAGE`.
 *
 * DIRECTORY holds vitest's JSON reports: unit.json, and netns.json (with the tests in a browser) or, where the tests with
 * network namespaces could not run for the REASON, the list of them, netns.list.json; and e2e.list.json where there is no
 * browser, for the reason NO_BROWSER. A file NAME.failed says that the run NAME ended with an error. What failed without
 * being a test (a check, a file that could not be loaded, a run without a report) counts as one failed test, so that
 * "0 failed" means that nothing did. With a PAGE (test/service-page.md) each of its sentences is proved by tests that have
 * passed, or counts as failed, too. Exit code 1 if anything failed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { unproved } from './service-page.js';

const [directory, noNamespaces = '', noBrowser = noNamespaces, page] = process.argv.slice(2);
const sum = { passed: 0, failed: 0, skipped: 0 };
const tests = [];

/** Lines of a failure that are repeated at the end, where whoever has only the end of a log finds them. */
const repeatedLines = 15;

/** How vitest's report names what did not run; the reason is printed where the test stands. */
const absent = new Set(['skipped', 'pending', 'todo']);

function fail(what, messages = []) {
  console.log(`failed: ${what}`);
  for (const message of messages) {
    const lines = stripVTControlCharacters(message).trimEnd().split('\n');
    for (const line of lines.slice(0, repeatedLines)) console.log(`    ${line}`);
  }
  sum.failed += 1;
}

function readJson(name) {
  try {
    return JSON.parse(readFileSync(join(directory, name), 'utf8'));
  } catch (error) {
    fail(`vitest left no report ${name} (${error.message})`);
    return undefined;
  }
}

function addTests(report, run) {
  sum.passed += report.numPassedTests;
  sum.skipped += report.numPendingTests + report.numTodoTests;
  for (const file of report.testResults) {
    const name = relative('.', file.name);
    for (const { ancestorTitles = [], title, status } of file.assertionResults) {
      tests.push({ file: name, titles: [...ancestorTitles, title], status });
    }
    for (const { fullName, status } of file.assertionResults) {
      if (absent.has(status)) console.log(`skipped: ${name} (${run}): ${fullName}`);
    }
    const failed = file.assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName, failureMessages } of failed) {
      fail(`${name} (${run}): ${fullName}`, failureMessages);
    }
    if (file.status === 'failed' && failed.length === 0) fail(`${name} (${run})`, [file.message]);
  }
}

function addRun(name, what) {
  const before = sum.failed;
  const report = readJson(`${name}.json`);
  if (report !== undefined) addTests(report, name);
  if (existsSync(join(directory, `${name}.failed`)) && sum.failed === before) fail(what);
}

function addList(name, reason) {
  const tests = readJson(`${name}.list.json`) ?? [];
  sum.skipped += tests.length;
  console.log(`Not run (${name}), because ${reason}:`);
  for (const { file, name: title } of tests) console.log(`  ${relative('.', file)}: ${title}`);
}

/** Tests that could not run on this machine are named with the reason, and prove nothing that day. */
function isAbsent(file) {
  if (file.startsWith('test/netns/')) return noNamespaces !== '';
  return file.startsWith('test/e2e/') && (noNamespaces !== '' || noBrowser !== '');
}

addRun('unit', 'scripts/check, see above');
if (noNamespaces === '') addRun('netns', 'the tests in network namespaces, see above');
else addList('netns', noNamespaces);
if (noBrowser !== '') addList('e2e', noBrowser);
if (page !== undefined) {
  for (const what of unproved(readFileSync(page, 'utf8'), tests, isAbsent)) fail(what);
}
console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed === 0 ? 0 : 1;
