/**
 * Reading typed values out of a YAML document, with every problem in its place.
 *
 * A `Field` takes a node and gives a value, or `undefined` after it has reported what is wrong and what was expected.
 * Reading goes on after a problem, so that the user sees all of them at once.
 */
import { LineCounter, isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Node, Pair, Scalar } from 'yaml';
import { controlIn } from '../text/controls.ts';
import { parseYaml, targetsOf } from './parse-yaml.ts';
import { quickYaml } from './quick-yaml.ts';
import { ProblemList, didYouMean, shortened } from './problem.ts';
import type { Message } from './problem.ts';
import type { GroupPeer, Problem } from './types.ts';

/** Aliases may be used, but not to blow a small file up. */
const maxAliases = 100;

/** A group that a file names, in its place. */
export interface Reference extends Omit<Problem, 'severity' | 'message'> {
  readonly group: GroupPeer;
}

/** A file's text, or what a body says (`nodeOf`). */
export type Content = string | Node;

/** One file or body that is being read. */
export class YamlFile {
  readonly references: Reference[] = [];
  readonly #problems: ProblemList;
  readonly #name: string;
  readonly #lines: LineCounter = new LineCounter();
  readonly #resolve: (node: Node) => Node | undefined;
  readonly root: Node | null;

  constructor(name: string, content: Content) {
    this.#name = name;
    this.#problems = new ProblemList(name);
    const ready =
      typeof content === 'string' ? quickYaml(content, this.#lines.addNewLine) : content;
    if (ready !== undefined) {
      this.root = ready;
      this.#resolve = (node) => node;
      return;
    }
    const document = parseYaml(content as string, { lineCounter: this.#lines });
    for (const error of document.errors) {
      const message =
        error.code === 'MULTIPLE_DOCS' ? 'expected one document in a file' : error.message;
      this.#add('error', error.pos[0], '', `not valid YAML: ${message}`);
    }
    const { contents, errors } = document;
    // A file with comments only, or with nothing behind `---`, is an empty one.
    const empty = isScalar(contents) && contents.value === null;
    this.root = errors.length > 0 || empty ? null : contents;
    let aliases = 0;
    let targets: ReturnType<typeof targetsOf> | undefined;
    this.#resolve = (node) => {
      if (!isAlias(node)) return node;
      aliases++;
      targets ??= targetsOf(document);
      return aliases > maxAliases ? undefined : targets.get(node);
    };
  }

  get problems(): readonly Problem[] {
    return this.#problems.all;
  }

  /** Puts what an alias stands for in its place. Returns whether there is such a thing. */
  resolve(step: Step): boolean {
    const { node } = step;
    const resolved = this.#resolve(node);
    if (resolved === undefined) {
      this.report(node, step.path, 'an alias that leads nowhere, or too many of them');
      return false;
    }
    step.node = resolved;
    return true;
  }

  report(
    node: Node | null,
    path: string,
    message: Message,
    severity: Problem['severity'] = 'error',
  ): void {
    this.#add(severity, node?.range?.[0] ?? 0, path, message);
  }

  /** Remembers a group that the file names: whether it is there is known only with all files. */
  refer(node: Node, path: string, group: GroupPeer): void {
    // There may be very many: no copies.
    const { line, column } = this.placeOf(node);
    this.references.push({ file: this.#name, line, column, path, group });
  }

  placeOf(node: Node): Pick<Problem, 'file' | 'line' | 'column'> {
    return this.#place(node.range?.[0] ?? 0);
  }

  #place(offset: number): Pick<Problem, 'file' | 'line' | 'column'> {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#name, line: Math.max(1, line), column: Math.max(1, col) };
  }

  #add(severity: Problem['severity'], offset: number, path: string, message: Message): void {
    this.#problems.add(severity, () => ({ ...this.#place(offset), path }), message);
  }
}

/** Where a value stands. */
export interface Place {
  readonly file: YamlFile;
  readonly node: Node;
  readonly path: string;
}

/** A place below another one. Its path is put together when somebody asks: there may be very many places. */
class Step implements Place {
  readonly file: YamlFile;
  node: Node;
  readonly key: Node;
  readonly #parent: Place;
  readonly #own: string | number;

  /** @param own its key, or its index in a list; @param key the node of that */
  constructor(parent: Place, node: Node, own: string | number, key: Node) {
    this.file = parent.file;
    this.node = node;
    this.key = key;
    this.#parent = parent;
    this.#own = own;
  }

  get path(): string {
    const { path } = this.#parent;
    if (typeof this.#own === 'number') return `${path}[${this.#own}]`;
    const own = shortened(this.#own);
    return path === '' ? own : `${path}.${own}`;
  }
}

export type Field<T> = (place: Place) => T | undefined;

/** How a value looks in a message. */
export function describe(node: Node): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (isScalar(node)) {
    if (node.value === null) return 'nothing';
    const { value } = node;
    return JSON.stringify(typeof value === 'string' ? shortened(value) : value);
  }
  return 'something else';
}

function reportExpected(place: Place, what: string): void {
  place.file.report(place.node, place.path, `expected ${what}, found ${describe(place.node)}`);
}

/** A scalar that `parse` accepts; `parse` returns a message where it does not. */
export function scalar<T>(
  what: string,
  parse: (value: unknown) => { value: T } | { message: Message } | undefined,
): Field<T> {
  return (place) => {
    if (!isScalar(place.node)) {
      reportExpected(place, what);
      return undefined;
    }
    const result = parse(place.node.value);
    if (result === undefined) {
      reportExpected(place, what);
      return undefined;
    }
    if ('value' in result) return result.value;
    place.file.report(place.node, place.path, result.message);
    return undefined;
  };
}

export function text(what: string, pattern: RegExp = /^/): Field<string> {
  return scalar(what, (value) =>
    typeof value === 'string' && pattern.test(value) ? { value } : undefined,
  );
}

/** A text for people, which must not steer the terminal that it is printed on. */
function readable(what: string, withoutAllowed: (value: string) => string): Field<string> {
  return scalar(what, (value) => {
    if (typeof value !== 'string') return undefined;
    const control = controlIn(withoutAllowed(value));
    if (control === undefined) return { value };
    return { message: `expected ${what} without control characters, found ${control}` };
  });
}

/** A line: a comment, a region, a label. */
export const words: Field<string> = readable('a text', (value) => value);

/** Lines: a description, which may be a block of YAML. */
export const prose: Field<string> = readable('a text', (value) => value.replaceAll('\n', ''));

export function integer(min: number, max: number, unit = ''): Field<number> {
  const what = `a whole number${unit} from ${min} to ${max}`;
  return scalar(what, (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? { value: value as number }
      : undefined,
  );
}

export function number(min: number, max: number): Field<number> {
  return scalar(`a number from ${min} to ${max}`, (value) =>
    typeof value === 'number' && value >= min && value <= max ? { value } : undefined,
  );
}

export const boolean: Field<boolean> = scalar('true or false', (value) =>
  typeof value === 'boolean' ? { value } : undefined,
);

export function oneOf<const T extends string>(words: readonly T[]): Field<T> {
  const list = `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
  return scalar(words.length === 1 ? words[0]! : list, (value) => {
    const found = words.find((word) => word === value);
    if (found !== undefined) return { value: found };
    if (typeof value !== 'string') return undefined;
    return { message: `expected ${list}, found "${shortened(value)}"${didYouMean(value, words)}` };
  });
}

/**
 * A list of scalars, each read by `item`. One value stands for a list of one.
 *
 * @param whenEmpty message for an empty list, if it may not be empty
 */
export function list<T>(what: string, item: Field<T>, whenEmpty?: string): Field<T[]> {
  const whole = sequence(what, item, whenEmpty);
  return (place) => {
    if (!isScalar(place.node) || place.node.value === null) return whole(place);
    const value = item(place);
    return value === undefined ? undefined : [value];
  };
}

/** A list of mappings. */
export function mappings<T extends object>(what: string, item: Field<T>): Field<T[]> {
  return sequence(what, item);
}

function sequence<T>(what: string, item: Field<T>, whenEmpty?: string): Field<T[]> {
  return (place) => {
    if (!isSeq(place.node)) {
      reportExpected(place, `a list of ${what}`);
      return undefined;
    }
    if (place.node.items.length === 0 && whenEmpty !== undefined) {
      place.file.report(place.node, place.path, whenEmpty);
      return undefined;
    }
    const values: T[] = [];
    const { items } = place.node;
    for (let index = 0; index < items.length; index++) {
      const node = items[index] as Node;
      const step = new Step(place, node, index, node);
      const value = place.file.resolve(step) ? item(step) : undefined;
      // A list that grows has room for more: most are of one, and a large policy has many.
      if (items.length === 1) return value === undefined ? undefined : [value];
      if (value !== undefined) values.push(value);
    }
    return values.length === items.length ? values.slice() : undefined;
  };
}

/** A value of a mapping, and its key. */
export type Entry = Place & { readonly key: Node };

/** A mapping's entries by key. */
export function entries(place: Place, what: string): Map<string, Entry> | undefined {
  if (!isMap(place.node)) {
    reportExpected(place, what);
    return undefined;
  }
  const result = new Map<string, Entry>();
  for (const pair of place.node.items) {
    const entry = entryOf(place, pair);
    if (entry !== undefined) result.set(nameOf(entry), entry);
  }
  return result;
}

/** `undefined`: it has no key or value, which was reported. */
function entryOf(place: Place, { key, value }: Pair): Entry | undefined {
  if (!isScalar(key) || typeof key.value !== 'string') {
    const message = `expected a name as key, found ${describe(key as Node)}`;
    place.file.report(key as Node, place.path, message);
    return undefined;
  }
  const step = new Step(place, value as Node, key.value, key);
  if (value === null) {
    place.file.report(key, step.path, 'expected a value, found nothing');
    return undefined;
  }
  return place.file.resolve(step) ? step : undefined;
}

function nameOf({ key }: Entry): string {
  return (key as Scalar<string>).value;
}

type Fields<T> = { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> };

/**
 * A mapping with known keys. Unknown keys are errors; of the required ones each must be there. Absent optional keys are
 * absent in the result.
 */
export function mapping<T extends object>(
  what: string,
  fields: Fields<T>,
  required: readonly (keyof T & string)[],
): Field<T> {
  const known = Object.keys(fields) as (keyof T & string)[];
  return (place) => {
    if (!isMap(place.node)) {
      reportExpected(place, what);
      return undefined;
    }
    const result: Partial<T> = {};
    const found: string[] = [];
    let complete = true;
    for (const pair of place.node.items) {
      const child = entryOf(place, pair);
      if (child === undefined) continue;
      const key = nameOf(child);
      found.push(key);
      if (!known.includes(key as keyof T & string)) {
        place.file.report(
          child.key,
          child.path,
          () =>
            `unknown key "${shortened(key)}"${didYouMean(key, known)} (known: ${known.join(', ')})`,
        );
        complete = false;
        continue;
      }
      const value = fields[key as keyof T](child);
      if (value === undefined) complete = false;
      else result[key as keyof T] = value;
    }
    for (const key of required) {
      if (!found.includes(key)) {
        place.file.report(place.node, place.path, `the key "${key}" is missing`);
        complete = false;
      }
    }
    return complete ? (result as T) : undefined;
  };
}
