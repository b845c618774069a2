/**
 * The files of one kind in a draft, templates or sets: their texts, and what these say.
 *
 * A text is edited towards its new value (`editYaml`), so that comments stay wherever possible.
 */
import { isDeepStrictEqual } from 'node:util';
import { validateSet } from '../../policy/address-set.ts';
import { judgeSet, judgeTemplate, setBody } from '../../policy/bodies.ts';
import type { Judged } from '../../policy/bodies.ts';
import { yamlValue } from '../../policy/parse-yaml.ts';
import { ruleBody } from '../../policy/template-body.ts';
import type { AddressRange, AddressSet, Rule, Template } from '../../policy/types.ts';
import { validateTemplate } from '../../policy/validate.ts';
import { directions } from '../../text/rule-text.ts';
import type { Version } from './store.ts';
import { editYaml } from './yaml-edit.ts';
import { documentText } from './yaml-text.ts';

/** For the history: the operation that changed or removed a file. */
export type Cause = Pick<Version, 'action' | 'from' | 'to'>;

/** The content of a file, as plain values. */
export type Content = Record<string, unknown>;

interface Document<T> {
  readonly text: string;
  /** `undefined`: the file has errors. */
  readonly value: T | undefined;
}

/** What templates and sets have of their own. */
interface Form<T> {
  readonly folder: 'templates' | 'sets';
  readonly validate: (name: string, fileName: string, text: string) => { value: T | undefined };
  readonly judge: (name: string, body: unknown) => Judged<T>;
  /** Keys of a file, in order; lists are left out while they are empty and not in the file already. */
  readonly keys: readonly string[];
  readonly lists: readonly string[];
  /** Entries of a list that mean the same have equal values here. */
  readonly meanings: (value: T, list: string) => readonly unknown[];
}

export const templateForm: Form<Template> = {
  folder: 'templates',
  validate: validateTemplate,
  judge: judgeTemplate,
  keys: ['description', 'appliesTo', 'inbound', 'outbound'],
  lists: directions,
  meanings: (template, list) =>
    directions.flatMap((direction) =>
      direction === list ? template[direction].map((rule: Rule) => ruleBody(rule, direction)) : [],
    ),
};

export const setForm: Form<AddressSet> = {
  folder: 'sets',
  validate: validateSet,
  judge: judgeSet,
  keys: ['description', 'addresses', 'except', 'include', 'file'],
  lists: ['addresses', 'except', 'include'],
  meanings: (set, list) => {
    if (list === 'include') return setBody(set).include;
    const ranges: readonly AddressRange[] = list === 'addresses' ? set.addresses : set.except;
    return ranges.map(({ from, to }) => [from, to]);
  },
};

export class Documents<T> {
  readonly #form: Form<T>;
  readonly #files: Map<string, Document<T>>;
  readonly causes: Map<string, Cause> = new Map<string, Cause>();
  #edits = 0;

  constructor(
    form: Form<T>,
    texts: ReadonlyMap<string, string>,
    valid: Iterable<T & { readonly name: string }>,
  ) {
    this.#form = form;
    const values = new Map([...valid].map((each) => [each.name, each]));
    this.#files = new Map(
      [...texts].map(([name, text]) => [name, { text, value: values.get(name) }]),
    );
  }

  /** Texts of the files, by name. */
  get texts(): ReadonlyMap<string, string> {
    return new Map([...this.#files].map(([name, { text }]) => [name, text]));
  }

  /** Those without errors. */
  get values(): readonly T[] {
    return [...this.#files.values()].flatMap(({ value }) => value ?? []);
  }

  fileOf(name: string): string {
    return `${this.#form.folder}/${name}.yaml`;
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  text(name: string): string {
    return this.#files.get(name)!.text;
  }

  value(name: string): T | undefined {
    return this.#files.get(name)?.value;
  }

  content(name: string): Content {
    return readContent(this.text(name));
  }

  judge(name: string, body: unknown): Judged<T> {
    return this.#form.judge(name, body);
  }

  /** @returns false if the file has this text already */
  write(name: string, text: string, cause: Cause): boolean {
    if (this.#files.get(name)?.text === text) return false;
    const { value } = this.#form.validate(name, this.fileOf(name), text);
    this.#files.set(name, { text, value });
    this.causes.set(name, cause);
    this.#edits++;
    return true;
  }

  /** Grows with every change. */
  get edits(): number {
    return this.#edits;
  }

  remove(name: string, cause: Cause): void {
    this.#edits++;
    this.#files.delete(name);
    this.causes.set(name, cause);
  }

  create(name: string, body: unknown): void {
    this.write(name, documentText(this.#contentOf(body, {})), { action: 'create' });
  }

  /** @param wanted the judged body */
  replace(name: string, body: unknown, wanted: T): void {
    const { text, value } = this.#files.get(name)!;
    // Nothing of a file with errors is kept.
    if (value === undefined) {
      this.write(name, documentText(this.#contentOf(body, {})), { action: 'edit' });
      return;
    }
    const before = readContent(text);
    const content = this.#keepSpelling(this.#contentOf(body, before), wanted, before, value);
    this.edit(name, content);
  }

  /** @throws LayoutError */
  edit(name: string, content: Content, cause: Cause = { action: 'edit' }): void {
    this.write(name, editYaml(this.text(name), content), cause);
  }

  /** A body as written to a file: without its name, and without empty lists that the file does not have already. */
  #contentOf(body: unknown, before: Content): Content {
    const own = body as Content;
    const result: Content = {};
    for (const key of this.#form.keys) {
      const value = own[key];
      if (value === undefined) continue;
      const empty = Array.isArray(value) && value.length === 0;
      if (empty && this.#form.lists.includes(key) && before[key] === undefined) continue;
      result[key] = value;
    }
    return result;
  }

  /** An entry that equals one in the file keeps its notation there (for example `"80"`). */
  #keepSpelling(content: Content, wanted: T, before: Content, value: T): Content {
    const result = { ...content };
    for (const list of this.#form.lists) {
      const [written, spelled] = [asList(content[list]), asList(before[list])];
      if (content[list] === undefined) continue;
      const places = new Map(
        this.#form.meanings(value, list).map((each, index) => [JSON.stringify(each), index]),
      );
      const entries = this.#form.meanings(wanted, list).map((each, index) => {
        const same = places.get(JSON.stringify(each));
        return same === undefined ? written[index] : spelled[same];
      });
      // One value may stand for a list of one.
      const unchanged = isDeepStrictEqual(entries, spelled) && before[list] !== undefined;
      result[list] = unchanged ? before[list] : entries;
    }
    return result;
  }
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

function readContent(text: string): Content {
  return JSON.parse(JSON.stringify(yamlValue(text) ?? {})) as Content;
}
