/** `tunwall test`: the tests beside a configuration, judged by the code of `tunwall explain`, without privileges and traffic. */
import { Option } from 'commander';
import { explanationLines } from '../policy/explanation-text.ts';
import { failureOf } from '../policy/policy-tests.ts';
import type { JudgedTest } from '../policy/policy-tests.ts';
import { formatProblem } from '../policy/problem.ts';
import type { Problem } from '../policy/types.ts';
import { visible } from '../text/controls.ts';
import { line } from '../text/line.ts';
import { ExitCode, UserError } from './errors.ts';
import { githubAnnotation } from './github-annotations.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import { defaultConfigDirectory, usualDirectory } from './run-command.ts';

/** The tests of a directory; problems are those of the configuration, of the tests' files, and of tests that failed. */
export interface TestedDirectory {
  readonly judged: readonly JudgedTest[];
  readonly problems: readonly Problem[];
}

const formats = ['list', 'tap', 'junit', 'github'] as const;
type Format = (typeof formats)[number];

export function testCommand(run: (directory: string) => Promise<TestedDirectory>): Verb {
  return (program, output, finish) => {
    program
      .command('test')
      .description(
        'judge the tests beside a configuration (tests/*.yaml), by the code of `tunwall explain`.\n' +
          'Needs no privileges and sends nothing. Exit code 1: a test is not as expected.',
      )
      .argument(
        '[dir]',
        `configuration directory (default: TUNWALL_CONFIG or ${defaultConfigDirectory})`,
      )
      .addOption(
        new Option('--format <format>', 'how results are printed').choices(formats).default('list'),
      )
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        examples([
          ['tunwall test ./config', 'each test with its result; a failure is explained'],
          ['tunwall test ./config --format junit > report.xml', 'for continuous integration'],
          ['tunwall test ./config --format github', 'failures as annotations of a pull request'],
        ]),
      )
      .action((given: string | undefined, { format, json }: { format: Format; json?: boolean }) =>
        finish(
          (async () => {
            const directory = given ?? usualDirectory();
            const tested = await run(directory);
            requireTests(directory, tested, format, output);
            if (json === true) output.json(asJson(tested));
            else print[format](tested, directory, output);
            return tested.problems.some(isError) ? ExitCode.failed : ExitCode.ok;
          })(),
        ),
      );
  };
}

const isError = ({ severity }: Problem): boolean => severity === 'error';

/** @throws UserError when there is nothing to judge: a wrong path must not look like success */
function requireTests(
  directory: string,
  { judged, problems }: TestedDirectory,
  format: Format,
  output: Output,
): void {
  if (judged.length > 0) return;
  const errors = problems.filter(isError);
  if (format === 'github') output.print(errors.map(githubAnnotation));
  else output.error(errors.map(formatProblem));
  throw errors.length > 0
    ? new UserError('no test was judged: the configuration or its tests have errors')
    : new UserError(
        `there are no tests in ${directory}/tests`,
        'a test is an item like - { from: 198.51.100.2, to: server:web-1, tcp: 443, expect: pass } in tests/NAME.yaml',
      );
}

function asJson({ judged, problems }: TestedDirectory): object {
  return {
    ok: !problems.some(isError),
    tests: judged.map((each) => {
      const { file, line: at, text, expect } = each.test;
      const message = failureOf(each);
      return {
        ...{ file, line: at, test: text, expect, ok: message === undefined },
        ...(message !== undefined && { message }),
        ...(each.failure !== undefined && { explanation: each.failure }),
      };
    }),
  };
}

const placeOf = ({ test }: JudgedTest): string => `${test.file}:${test.line}`;
const failedOf = (judged: readonly JudgedTest[]): JudgedTest[] =>
  judged.filter((each) => failureOf(each) !== undefined);

/** What `explain` says of the answer that is not as expected. */
function detailsOf({ failure, problem }: JudgedTest, directory: string): readonly string[] {
  if (failure === undefined) return [problem ?? ''];
  const fileOf = (template: string): string => `${directory}/templates/${template}.yaml`;
  return explanationLines({ explanation: failure, fileOf }, (_, text) => text).map(
    ({ plain }) => plain,
  );
}

type Print = (tested: TestedDirectory, directory: string, output: Output) => void;

const printList: Print = ({ judged }, directory, output) => {
  for (const each of judged) {
    const failed = failureOf(each) !== undefined;
    const word = failed ? output.style('red', 'FAILED') : output.style('green', 'ok    ');
    output.print(line`${word}  ${placeOf(each)}  ${each.test.text}`);
    if (!failed) continue;
    for (const detail of detailsOf(each, directory)) output.print(`        ${detail}`.trimEnd());
  }
  const failed = failedOf(judged).length;
  const count = `${judged.length} test${judged.length === 1 ? '' : 's'}`;
  output.print(failed === 0 ? `${count}, all as expected` : `${count}, ${failed} failed`);
};

/** https://testanything.org/tap-version-14-specification.html */
const printTap: Print = ({ judged }, directory, output) => {
  output.print(['TAP version 14', `1..${judged.length}`]);
  judged.forEach((each, index) => {
    const failed = failureOf(each) !== undefined;
    const name = `${placeOf(each)} ${each.test.text}`.replace(/[\\#]/g, '\\$&');
    output.print(`${failed ? 'not ok' : 'ok'} ${index + 1} - ${name}`);
    if (!failed) return;
    const details = detailsOf(each, directory).map((detail) => `    ${detail}`.trimEnd());
    output.print(['  ---', '  message: |', ...details, '  ...']);
  });
};

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};
/** XML has no way to write most control characters, nor these two. */
const xml = (text: string): string =>
  visible(text)
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replace(/[&<>"]/g, (each) => entities[each]!);

const printJunit: Print = ({ judged }, directory, output) => {
  const failures = failedOf(judged).length;
  const cases = judged.flatMap((each) => {
    const { file, text } = each.test;
    const message = failureOf(each);
    const open = `    <testcase classname="${xml(file)}" name="${xml(`${each.test.line}: ${text}`)}"`;
    if (message === undefined) return [`${open}/>`];
    return [
      `${open}>`,
      `      <failure message="${xml(message)}">${detailsOf(each, directory).map(xml).join('\n')}</failure>`,
      '    </testcase>',
    ];
  });
  const counts = `tests="${judged.length}" failures="${failures}"`;
  output.document(
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      `<testsuites ${counts}>`,
      `  <testsuite name="tunwall test" ${counts}>`,
      ...cases,
      '  </testsuite>',
      '</testsuites>',
    ].join('\n'),
  );
};

const printGithub: Print = ({ problems }, _, output) =>
  output.print(problems.map(githubAnnotation));

const print: Readonly<Record<Format, Print>> = {
  list: printList,
  tap: printTap,
  junit: printJunit,
  github: printGithub,
};
