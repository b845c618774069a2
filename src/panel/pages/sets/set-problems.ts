/** What the firewall says is wrong with the files of a set: its own, and its list. */
import type { AddressSet, Status } from '../../data/types.ts';

export type ConfigurationProblem = Status['problems'][number];

export function problemsOf(
  { name, file }: Pick<AddressSet, 'name' | 'file'>,
  status: Status | undefined,
): readonly ConfigurationProblem[] {
  const own = [`sets/${name}.yaml`, `sets/${file ?? `${name}.txt`}`];
  return (status?.problems ?? []).filter((problem) =>
    own.some((each) => problem.file === each || problem.file.endsWith(`/${each}`)),
  );
}
