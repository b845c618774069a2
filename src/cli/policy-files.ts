/** The files of a policy in a directory that somebody names: a git checkout, say. */
import { formatProblem } from '../policy/problem.ts';
import { filesOf, placeOf } from '../control/store/config-texts.ts';
import type { ConfigFiles } from '../control/store/config-texts.ts';
import { ConfigReader } from '../control/store/files/config-directory.ts';
import { failedTests } from '../control/store/files/policy-tests.ts';
import { UserError } from './errors.ts';

/** The files of a policy in a directory. @throws UserError when it has errors */
export function filesIn(directory: string): Map<string, string> {
  const { snapshot, raw } = new ConfigReader(directory).read();
  const errors = snapshot.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0 || raw === undefined) {
    const lines = [`${directory} has errors:`, ...errors.map(formatProblem)];
    throw new UserError(lines.join('\n'), `correct them; tunwall check --config ${directory}`);
  }
  const failed = failedTests(directory, snapshot);
  if (failed.length > 0) {
    const lines = [`tests beside ${directory} have failed:`, ...failed.map(formatProblem)];
    throw new UserError(lines.join('\n'), `see them: tunwall test --config ${directory}`);
  }
  return textsIn(raw);
}

export function textsIn(raw: ConfigFiles): Map<string, string> {
  return new Map(
    filesOf({ ...raw, gateway: undefined }).flatMap(({ name, text }): [string, string][] =>
      text !== undefined && (name === 'servers.yaml' || placeOf(name) !== undefined)
        ? [[name, text]]
        : [],
    ),
  );
}
