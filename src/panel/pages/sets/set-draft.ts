/** A set while it is edited: text as it is typed or pasted, and what the API says is wrong with it. */
import type { ApiProblem } from '../../data/api-problem.ts';
import { locate } from '../../data/changes.ts';
import type { Operation } from '../../data/changes.ts';
import type { AddressSet } from '../../data/types.ts';

export interface SetDraft {
  readonly name: string;
  readonly description: string;
  /** As typed: several in a line, or one a line. */
  readonly addresses: string;
  readonly except: string;
  /** Names of other sets. */
  readonly include: readonly string[];
}

export type SetField = keyof SetDraft;

export const emptySet: SetDraft = {
  ...{ name: '', description: '', addresses: '', except: '', include: [] },
};

const prefix = 'set:';

export function setDraft({ name, description, addresses, except, include }: AddressSet): SetDraft {
  return {
    name,
    description: description ?? '',
    addresses: addresses.join('\n'),
    except: except.join('\n'),
    include: include.map((each) => each.replace(prefix, '')),
  };
}

/** Addresses, blocks and ranges of a text, as lists come: comments begin with `#` or `;`, blanks and commas part. */
export function pasted(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.replace(/[#;].*$/, '').replaceAll(/\s*-\s*/g, '-'))
    .flatMap((line) => line.split(/[,\s]+/))
    .filter((part) => part !== '');
}

function bodyOf(draft: SetDraft, file: string | undefined): object {
  const description = draft.description.trim();
  return {
    ...(description !== '' && { description }),
    addresses: pasted(draft.addresses),
    except: pasted(draft.except),
    include: draft.include.map((name) => prefix + name),
    ...(file !== undefined && { file }),
  };
}

/** @param base what is edited; none: the set is new */
export function setChange(draft: SetDraft, base: AddressSet | undefined): readonly Operation[] {
  const body = bodyOf(draft, base?.file);
  if (base === undefined) return [{ kind: 'create-set', name: draft.name.trim(), body }];
  return [{ kind: 'replace-set', name: base.name, body, ifRevision: base.revision }];
}

export type SetErrors = ReadonlyMap<SetField, string>;

/** What is wrong, by field. An entry of a list is named. @returns nothing if it is of no field */
export function setErrors(problem: ApiProblem, draft: SetDraft): SetErrors {
  const found = new Map<SetField, string>();
  if (problem.kind === 'exists') found.set('name', problem.message);
  for (const error of problem.errors) {
    const path = locate(error)?.path ?? error.path;
    const [, key = '', index] = /^(\w+)(?:\[(\d+)\])?/.exec(path) ?? [];
    if (!(key in draft)) continue;
    const field = key as SetField;
    const text = named(entryOf(draft, field, index), error.message);
    const before = found.get(field);
    found.set(field, before === undefined ? text : `${before}; ${text}`);
  }
  return found;
}

/** A message that does not name its entry by itself. */
export function named(entry: string | undefined, message: string): string {
  return entry === undefined || message.includes(entry) ? message : `${entry}: ${message}`;
}

function entryOf(draft: SetDraft, field: SetField, index: string | undefined): string | undefined {
  const value = draft[field];
  return (typeof value === 'string' ? pasted(value) : value)[Number(index)];
}
