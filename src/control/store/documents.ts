/**
 * The files of one kind in a draft, templates or sets: their texts, and what these say.
 *
 * A text is edited towards its new value (`editYaml`), so that comments stay wherever possible. It is edited when it is next
 * asked for: a thousand changes of one file would otherwise read and write all of it a thousand times. Until then each item of a
 * list knows its place in the text, so that a comment follows what is moved, and then changed.
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
import { LayoutError, editYaml } from './yaml-edit.ts';
import type { Places } from './yaml-edit.ts';
import { documentText } from './yaml-text.ts';

/** For the history: the operation that changed or removed a file. */
export type Cause = Pick<Version, 'action' | 'from' | 'to'>;

/** The content of a file, as plain values. */
export type Content = Record<string, unknown>;

interface Document<T> {
  readonly text: string;
  /** `undefined`: the file has errors. */
  readonly value: T | undefined;
  readonly edit?: DueEdit;
}

/** An item of a list, and its place in that of the text; none if it is new. */
export interface Item {
  readonly value: unknown;
  readonly place?: number;
}

/** What a file is to say, when its text is next asked for. */
interface DueEdit {
  readonly content: Content;
  /** In the place of those of the content. */
  readonly items?: ReadonlyMap<string, readonly Item[]>;
  readonly cause: Cause;
  readonly operation: number;
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
  /** The one that is being applied. */
  operation = 0;
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

  /** Texts of the files, by name. @throws LayoutError */
  get texts(): ReadonlyMap<string, string> {
    return new Map([...this.names].map((name) => [name, this.text(name)]));
  }

  get names(): ReadonlySet<string> {
    return new Set(this.#files.keys());
  }

  /** Those without errors. @throws LayoutError */
  get values(): readonly T[] {
    return [...this.#files.keys()].flatMap((name) => this.value(name) ?? []);
  }

  fileOf(name: string): string {
    return `${this.#form.folder}/${name}.yaml`;
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** @throws LayoutError */
  text(name: string): string {
    return this.#current(name)!.text;
  }

  /** @throws LayoutError */
  value(name: string): T | undefined {
    return this.#current(name)?.value;
  }

  /** Whether it can be edited: a file with errors says more than is known of it. */
  isSound(name: string): boolean {
    const file = this.#files.get(name);
    return file?.edit !== undefined || file?.value !== undefined;
  }

  content(name: string): Content {
    const { text, edit } = this.#files.get(name)!;
    return edit === undefined ? readContent(text) : contentOf(edit);
  }

  /** A file as it is after all edits. @throws LayoutError once, with the operation */
  #current(name: string): Document<T> | undefined {
    const file = this.#files.get(name);
    if (file?.edit === undefined) return file;
    const { text, value, edit } = file;
    this.#files.set(name, { text, value });
    try {
      this.#put(name, editYaml(text, contentOf(edit), placesOf(edit)), edit.cause);
    } catch (error) {
      if (error instanceof LayoutError) error.operation = edit.operation;
      throw error;
    }
    return this.#files.get(name);
  }

  judge(name: string, body: unknown): Judged<T> {
    return this.#form.judge(name, body);
  }

  /** @returns false if the file has this text already */
  write(name: string, text: string, cause: Cause): boolean {
    const file = this.#files.get(name);
    if (file?.text === text && file.edit === undefined) return false;
    this.#put(name, text, cause);
    this.#edits++;
    return true;
  }

  #put(name: string, text: string, cause: Cause): void {
    const before = this.#files.get(name);
    if (before?.text === text) {
      this.#files.set(name, { text, value: before.value });
      return;
    }
    const { value } = this.#form.validate(name, this.fileOf(name), text);
    this.#files.set(name, { text, value });
    this.causes.set(name, cause);
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
    const { text, value } = this.#current(name)!;
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
  edit(name: string, content: Content, cause?: Cause): void {
    // One step after the other: only so does a comment follow what is moved, and then changed.
    this.#current(name);
    this.editLater(name, content, cause);
    this.#current(name);
  }

  /** Edits the text when it is next asked for, together with what comes until then. */
  editLater(name: string, content: Content, cause: Cause = { action: 'edit' }): void {
    const { operation } = this;
    const { text, value } = this.#files.get(name)!;
    this.#files.set(name, { text, value, edit: { content, cause, operation } });
    this.#edits++;
  }

  /** The items of a list, to be changed and given to `editItems`. @throws LayoutError */
  items(name: string, list: string): Item[] {
    const { edit } = this.#files.get(name)!;
    const known = edit?.items?.get(list);
    if (known !== undefined) return [...known];
    // What is due of another kind has no places.
    if (edit !== undefined && edit.items === undefined) this.#current(name);
    return asList(this.content(name)[list]).map((value, place) => ({ value, place }));
  }

  /** As `editLater`, for what `items` has returned. */
  editItems(name: string, list: string, changed: readonly Item[]): void {
    const { operation } = this;
    const { text, value, edit } = this.#files.get(name)!;
    const content = edit?.content ?? readContent(text);
    const items = new Map(edit?.items).set(list, changed);
    const next = { content, items, cause: { action: 'edit' }, operation } as const;
    this.#files.set(name, { text, value, edit: next });
    this.#edits++;
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

function contentOf({ content, items = new Map() }: DueEdit): Content {
  const lists = [...items].map(([list, own]) => [list, own.map(({ value }) => value)] as const);
  return { ...content, ...Object.fromEntries(lists) };
}

function placesOf({ items = new Map() }: DueEdit): Places {
  return new Map([...items].map(([list, own]) => [list, own.map(({ place }) => place)]));
}

function readContent(text: string): Content {
  return JSON.parse(JSON.stringify(yamlValue(text) ?? {})) as Content;
}
