/**
 * The sets of a configuration directory: `sets/NAME.yaml`, and the lists of addresses beside them.
 *
 * A list belongs to the sets that name it, usually one. A set with its list is one object for as long as neither has
 * changed, so that a reload knows what is unchanged without looking at a million addresses.
 */
import { parseAddressList, validateSet } from '../../policy/address-set.ts';
import type { AddressList, SetPlace } from '../../policy/address-set.ts';
import { didYouMean } from '../../policy/problem.ts';
import type { AddressSet, Problem } from '../../policy/types.ts';
import { nameWords } from '../../policy/validate.ts';
import type { Validated } from '../../policy/validate.ts';
import { placeOf } from './config-texts.ts';
import type { RawFile } from './config-texts.ts';

/** What the reader of the directory gives. */
export interface Examiner {
  /** Checks a file, unless its text is known; its problems are reported. `undefined`: it cannot be read. */
  readonly examine: <V extends Validated<unknown>>(
    file: RawFile,
    check: (name: string, text: string) => V,
  ) => V | undefined;
  readonly fileProblem: (name: string, message: string, severity?: Problem['severity']) => void;
  readonly report: (problem: Problem) => void;
}

export class ConfigSets {
  /** By set as it was read from its own file: its list, and both as one. */
  readonly #whole: WeakMap<AddressSet, { list: AddressList; set: AddressSet }> = new WeakMap<
    AddressSet,
    { list: AddressList; set: AddressSet }
  >();

  /** @param files of the folder, in order. @returns the valid sets */
  judge(files: readonly RawFile[], tools: Examiner): AddressSet[] {
    const lists = new Map(
      files.filter(({ name }) => placeOf(name)?.kind === 'list').map((file) => [file.name, file]),
    );
    const used = new Set<string>();
    const sets: AddressSet[] = [];
    for (const file of files) {
      const place = placeOf(file.name);
      if (place === undefined) tools.fileProblem(file.name, misnamed(file.name), 'warning');
      if (place?.kind !== 'set') continue;
      const read = tools.examine(file, (path, text) => validateSet(place.name, path, text));
      if (read?.value === undefined) continue;
      const { value: set, listPlace } = read;
      if (set.file === undefined) {
        sets.push(set);
        continue;
      }
      const listName = `sets/${set.file}`;
      used.add(listName);
      const list = listOf(set.file, lists, listPlace!, tools);
      if (list !== undefined) sets.push(this.#withList(set, list));
    }
    for (const name of lists.keys()) {
      if (used.has(name)) continue;
      const message = `no set names this list: write "file: ${name.slice('sets/'.length)}" into a set's file`;
      tools.fileProblem(name, message, 'warning');
    }
    return sets;
  }

  #withList(set: AddressSet, list: AddressList): AddressSet {
    const last = this.#whole.get(set);
    if (last?.list === list) return last.set;
    const whole = { ...set, list: list.ranges, listEntries: list.entries };
    this.#whole.set(set, { list, set: whole });
    return whole;
  }
}

function listOf(
  name: string,
  lists: ReadonlyMap<string, RawFile>,
  place: SetPlace,
  { examine, report }: Examiner,
): AddressList | undefined {
  const file = lists.get(`sets/${name}`);
  if (file === undefined) {
    const known = [...lists.keys()].map((each) => each.slice('sets/'.length));
    const message = `there is no list sets/${name}${didYouMean(name, known)}`;
    report({ severity: 'error', ...place, message });
    return undefined;
  }
  return examine(file, (path, text) => {
    const list = parseAddressList(path, Buffer.from(text));
    const { problems } = list;
    return { value: problems.length > 0 ? undefined : list, problems };
  })?.value;
}

function misnamed(fileName: string): string {
  const base = fileName.slice('sets/'.length);
  return base.endsWith('.yml')
    ? `is no set: its name would have to end in .yaml (${base.replace(/\.yml$/, '.yaml')})`
    : `is no set: a set's file is named NAME.yaml, its list NAME.txt, and NAME is ${nameWords}`;
}
