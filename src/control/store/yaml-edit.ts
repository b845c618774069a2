/**
 * Edits a YAML text to have other values, changing only the lines that have to change.
 *
 * `yaml` can write a changed document itself and keep its comments, but rewrites all of it: `[80, 443]` becomes
 * `[ 80, 443 ]` on every line, aligned comments move, long lines are folded. That would be noise for a person who keeps
 * these files in git. So the document is only parsed here, and the text is edited at the positions of its nodes:
 *
 *     old text --parse--> nodes with places     nodes + wanted value --> splices     text + splices --> new text
 *
 * Lists are matched item by item (by name, else by content), so that a comment moves with its item: comment lines
 * directly above an item, and the one after it on its line, belong to the item. The result is parsed again and compared
 * with the wanted value; anchors and aliases, which link two places, are expanded when they are in the way.
 */
import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isScalar, isSeq, visit } from 'yaml';
import { parseYaml } from '../../policy/parse-yaml.ts';
import type { CST, Document, Node, Pair, YAMLMap, YAMLSeq } from 'yaml';
import { isObject, planOf } from './list-plan.ts';
import type { Plan } from './list-plan.ts';
import { documentText, inlineText, itemText, pairText } from './yaml-text.ts';

interface Splice {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** The layout of the text is one that cannot be edited safely. */
export class LayoutError extends Error {
  override name = 'LayoutError';
  /** Which of several operations it is that cannot be carried out. */
  operation: number | undefined;
}

/** By the name of a list of the whole document. */
export type Places = ReadonlyMap<string, Plan>;

/**
 * @param places of lists whose items are known; those of others are found
 * @returns `text` changed so that it says `wanted`. @throws LayoutError; by then every known layout has been tried
 */
export function editYaml(text: string, wanted: object, places: Places = new Map()): string {
  const bom = text.startsWith('\ufeff') ? '\ufeff' : '';
  const windows = text.includes('\r\n');
  let body = text.slice(bom.length);
  if (windows) body = body.replaceAll('\r\n', '\n');
  if (body !== '' && !body.endsWith('\n')) body += '\n';
  const edited = edit(body, wanted, places);
  return bom + (windows ? edited.replaceAll('\n', '\r\n') : edited);
}

function edit(text: string, wanted: object, places: Places): string {
  for (const source of [text, withoutAliases(text)]) {
    const result = tryEdit(source, wanted, places);
    if (result !== undefined && isDeepStrictEqual(valueOf(parse(result)), plainValue(wanted))) {
      return result;
    }
  }
  throw new LayoutError('the layout of this file cannot be edited: change it by hand');
}

function parse(text: string): Document.Parsed {
  return parseYaml(text, { keepSourceTokens: true });
}

/** The values of a document; `undefined` when it is not valid. */
function valueOf(document: Document.Parsed): unknown {
  if (document.errors.length > 0) return undefined;
  return (document.toJS({ maxAliasCount: -1 }) as unknown) ?? {};
}

/** Without keys that are `undefined`. */
function plainValue(value: object): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown;
}

/** The text with every alias expanded. Anchors stay: nothing refers to them. */
function withoutAliases(text: string): string {
  const document = parse(text);
  const splices: Splice[] = [];
  visit(document, {
    Alias(_key, node) {
      const target = node.resolve(document);
      if (target === undefined || !node.range) return;
      const value = target.toJS(document, { maxAliasCount: -1 }) as unknown;
      splices.push({ from: node.range[0], to: node.range[1], text: inlineText(value) });
    },
  });
  return splice(text, splices);
}

/** The text with some of its parts replaced. @param offset where the text begins in what the places count */
export function splice(text: string, splices: readonly Splice[], offset = 0): string {
  let result = '';
  let at = 0;
  for (const { from, to, text: replacement } of [...splices].sort((a, b) => a.from - b.from)) {
    result += text.slice(at, from - offset) + replacement;
    at = to - offset;
  }
  return result + text.slice(at);
}

function tryEdit(text: string, wanted: object, places: Places): string | undefined {
  const document = parse(text);
  if (document.errors.length > 0) return undefined;
  const { contents } = document;
  const value = plainValue(wanted) as Record<string, unknown>;
  if (contents === null || (isScalar(contents) && contents.value === null)) {
    // Comments only, or nothing.
    return Object.keys(value).length === 0 ? text : text + documentText(value);
  }
  if (!isMap(contents)) return undefined;
  try {
    return splice(text, new Editor(text, document).map(contents, value, 0, places));
  } catch (error) {
    if (error instanceof LayoutError) return undefined;
    throw error;
  }
}

/** An entry of a collection, with its position in the text. */
interface Entry {
  /** Where the entry's own text begins (in a block: its line, with the comment lines above) and ends. */
  readonly from: number;
  readonly to: number;
}

/** An entry of the new collection: an unchanged one, one with another value, or a new one. */
type Step =
  { readonly entry: number; readonly splices: readonly Splice[] } | { readonly text: string };

class Editor {
  readonly #text: string;
  readonly #document: Document.Parsed;

  constructor(text: string, document: Document.Parsed) {
    this.#text = text;
    this.#document = document;
  }

  #value(node: unknown): unknown {
    if (node === null || node === undefined) return null;
    return (node as Node).toJS(this.#document, { maxAliasCount: -1 }) as unknown;
  }

  /** Splices that give `node` the value `wanted`; `undefined`: it has to be replaced as a whole. */
  #node(node: unknown, wanted: unknown, plan?: Plan): Splice[] | undefined {
    if (isDeepStrictEqual(this.#value(node), wanted)) return [];
    if (
      isMap(node) &&
      isObject(wanted) &&
      Object.keys(wanted).length > 0 &&
      node.items.length > 0
    ) {
      // All of a text may be one line: nobody looks for its start once for each item.
      const column = node.flow === true ? 0 : this.#columnOf(keyOf(node.items[0]!).range![0]);
      return this.map(node, wanted, column);
    }
    if (isSeq(node) && Array.isArray(wanted)) {
      // An empty flow list may become lines; a block list cannot be empty.
      const lines = node.flow === true ? node.items.length > 0 || !wanted.every(isObject) : true;
      if (wanted.length > 0 && lines) return this.#sequence(node, wanted, plan);
    }
    return undefined;
  }

  /** @param places of the items of its lists, where they are known */
  map(node: YAMLMap, wanted: Record<string, unknown>, indent: number, places?: Places): Splice[] {
    const flow = node.flow === true;
    const token = node.srcToken as CST.BlockMap | CST.FlowCollection | undefined;
    const sources = (token?.items ?? []).filter(({ key, sep }) => key ?? sep);
    const pairs = node.items.map((pair, index) => {
      const key = keyOf(pair);
      const source = sources[index];
      const colon = source?.sep?.find(({ type }) => type === 'map-value-ind');
      if (!key.range || colon === undefined || source!.start.some(isExplicitKey)) {
        throw new LayoutError('a key in an unusual form');
      }
      return { name: String(key.value), value: pair.value, at: key.range[0], colon: colon.offset };
    });
    const steps: Step[] = [];
    const place = new Map(pairs.map(({ name }, index) => [name, index]));
    pairs.forEach(({ name, value, colon }, entry) => {
      if (!(name in wanted)) return;
      const splices =
        this.#node(value, wanted[name], places?.get(name)) ??
        this.#replacePair(colon, value, pairText(name, wanted[name], indent), flow, wanted[name]);
      steps.push({ entry, splices });
    });
    // A new key goes after the one that it follows in `wanted`.
    let previous = -1;
    for (const [name, value] of Object.entries(wanted)) {
      const found = place.get(name);
      if (found !== undefined) {
        previous = steps.findIndex((step) => 'entry' in step && step.entry === found);
        continue;
      }
      const text = flow
        ? `${inlineText(name)}: ${inlineText(value)}`
        : `${' '.repeat(indent)}${pairText(name, value, indent)}\n`;
      steps.splice(++previous, 0, { text });
    }
    if (flow) {
      const entries = pairs.map(({ at, value, colon }) => ({
        from: at,
        to: Math.max(colon + 1, this.#endOf(value, colon + 1)),
      }));
      return this.#arrangeFlow(node, entries, steps);
    }
    return this.#arrangeBlock(
      pairs.map(({ at, value, colon }) => this.#lines(at, this.#endOf(value, colon + 1))),
      steps,
    );
  }

  #replacePair(
    colon: number,
    value: unknown,
    block: string,
    flow: boolean,
    wanted: unknown,
  ): Splice[] {
    const to = this.#endOf(value, colon + 1);
    const text = flow ? ` ${inlineText(wanted)}` : block.slice(block.indexOf(':') + 1);
    return [{ from: colon + 1, to, text: this.#endsLine(to) ? `${text}\n` : text }];
  }

  #sequence(node: YAMLSeq, wanted: readonly unknown[], known: Plan | undefined): Splice[] {
    const plan =
      known ??
      planOf(
        node.items.map((item) => this.#value(item)),
        wanted,
      );
    if (node.flow === true) {
      const entries = node.items.map((item) => this.#flowEntry(item));
      const steps = plan.map((entry, index): Step => {
        if (entry === undefined) return { text: inlineText(wanted[index]) };
        const { from, to } = entries[entry]!;
        const whole = [{ from, to, text: inlineText(wanted[index]) }];
        return { entry, splices: this.#node(node.items[entry], wanted[index]) ?? whole };
      });
      return this.#arrangeFlow(node, entries, steps);
    }
    const token = node.srcToken as CST.BlockSequence | undefined;
    const dashes = (token?.items ?? []).flatMap(
      ({ start }) => start.find(({ type }) => type === 'seq-item-ind')?.offset ?? [],
    );
    if (dashes.length !== node.items.length) throw new LayoutError('a list in an unusual form');
    const indent = this.#columnOf(dashes[0]!);
    const entries = node.items.map((item, index) =>
      this.#lines(dashes[index]!, this.#endOf(item, dashes[index]! + 1)),
    );
    const steps = plan.map((entry, index): Step => {
      const value = wanted[index];
      const text = isObject(value)
        ? itemText(value, indent)
        : `${' '.repeat(indent)}- ${inlineText(value)}`;
      if (entry === undefined) return { text: `${text}\n` };
      const from = dashes[entry]! + 1;
      const to = this.#endOf(node.items[entry], from);
      const inline = text.slice(indent + 1) + (this.#endsLine(to) ? '\n' : '');
      const splices = this.#node(node.items[entry], value) ?? [{ from, to, text: inline }];
      return { entry, splices };
    });
    return this.#arrangeBlock(entries, steps);
  }

  /** Entries that own whole lines. Text between two of them stays after the first. */
  #arrangeBlock(entries: readonly Entry[], steps: readonly Step[]): Splice[] {
    const kept = steps.flatMap((step) => ('entry' in step ? step.entry : []));
    const same = kept.length === entries.length && kept.length === steps.length;
    if (same && kept.every((entry, index) => entry === index)) {
      return steps.flatMap((step) => ('entry' in step ? step.splices : []));
    }
    entries.forEach(({ from }, index) => {
      const own = index === 0 || from >= entries[index - 1]!.to;
      if (!own) throw new LayoutError('two things in one line');
    });
    if (this.#lineStart(entries[0]!.from) !== entries[0]!.from) {
      return this.#arrangeBehindDash(entries, steps);
    }
    const gaps = entries.map(({ to }, index) =>
      index + 1 < entries.length ? this.#text.slice(to, entries[index + 1]!.from) : '',
    );
    // Entries that are all separated by empty lines stay so; where only some are, nothing is added.
    const isApart = gaps.slice(0, -1).every((gap) => /^\n|\n\n$/.test(gap));
    const apart = gaps.length > 1 && isApart ? (/^\n+/.exec(gaps[0]!)?.[0] ?? '\n') : '';
    const keeps = new Set(kept);
    const lost = (entry: number): boolean => !keeps.has(entry);
    let result = '';
    // To look at the end of the result itself would copy all of it for each entry.
    let end = '';
    const add = (text: string): void => {
      result += text;
      end = (end + text).slice(-2);
    };
    // Comments after a removed entry that did not belong to it.
    if (entries.length > 0 && lost(0) && gaps[0]!.trim() !== '') add(gaps[0]!);
    steps.forEach((step, index) => {
      const last = index === steps.length - 1;
      if (index > 0 && end !== '\n\n') add(apart);
      if (!('entry' in step)) {
        add(step.text);
        return;
      }
      const { from, to } = entries[step.entry]!;
      add(splice(this.#text.slice(from, to), step.splices, from));
      let gap = gaps[step.entry]!;
      for (let next = step.entry + 1; next < entries.length && lost(next); next++) {
        if (gaps[next]!.trim() !== '') gap += gaps[next]!;
      }
      add(last && gap.trim() === '' ? '' : gap);
    });
    return [{ from: entries[0]!.from, to: entries.at(-1)!.to, text: result }];
  }

  /** The keys of a mapping whose first one stands behind a dash: `- name: a`. */
  #arrangeBehindDash(entries: readonly Entry[], steps: readonly Step[]): Splice[] {
    const from = entries[0]!.from;
    const margin = ' '.repeat(this.#columnOf(from));
    const gaps = entries.map(({ to }, index) =>
      index + 1 < entries.length ? this.#text.slice(to, entries[index + 1]!.from) : '',
    );
    const text = steps
      .map((step) => {
        if (!('entry' in step)) return step.text;
        const entry = entries[step.entry]!;
        const own = splice(this.#text.slice(entry.from, entry.to), step.splices, entry.from);
        return (step.entry === 0 ? margin : '') + own + gaps[step.entry]!;
      })
      .join('');
    if (!text.startsWith(margin) || text[margin.length] === ' ') {
      throw new LayoutError('a comment where a key has to stand');
    }
    return [{ from, to: entries.at(-1)!.to, text: text.slice(margin.length) }];
  }

  /**
   * Entries between brackets. Each has a head (what stands before it, from the line break on) and a tail (the rest of its
   * line, where its comment is); commas are rewritten.
   */
  #arrangeFlow(
    node: YAMLMap | YAMLSeq,
    entries: readonly Entry[],
    steps: readonly Step[],
  ): Splice[] {
    const [open, end] = [node.range![0] + 1, node.range![1] - 1];
    const heads: string[] = [];
    const tails: string[] = [];
    let trailingComma = false;
    let at = open;
    for (const entry of [...entries, { from: end, to: end }]) {
      const { tail, head, comma } = splitGap(this.#text.slice(at, entry.from));
      if (heads.length > 0) tails.push(tail);
      heads.push(heads.length > 0 ? head : tail + head);
      trailingComma = comma;
      at = entry.to;
    }
    const closing = heads.pop()!;
    const margin = (): string => `\n${' '.repeat(this.#columnOf(entries[0]?.from ?? open))}`;
    const usual =
      heads.length < 2
        ? heads[0]?.includes('\n') === true
          ? margin()
          : ' '
        : headWithoutComment(heads[1]!);
    let result = '';
    let commented = false;
    const add = (head: string): void => {
      result += commented && !head.startsWith('\n') ? margin() + head.trimStart() : head;
    };
    steps.forEach((step, index) => {
      const entry = 'entry' in step ? step.entry : undefined;
      const own = entry === undefined ? usual : heads[entry]!;
      const edge = index === 0 ? headWithoutComment(heads[0] ?? '') : usual;
      add(own.trim() === '' ? edge : own);
      if ('entry' in step) {
        const { from, to } = entries[step.entry]!;
        result += splice(this.#text.slice(from, to), step.splices, from);
      } else {
        result += step.text;
      }
      if (index < steps.length - 1 || (trailingComma && entries.length > 1)) result += ',';
      const tail = entry === undefined ? '' : tails[entry]!.trimEnd();
      result += tail;
      commented = tail.includes('#');
    });
    const pad = entries.length === 0 && isMap(node) ? ' ' : closing;
    add(pad);
    const padded = entries.length === 0 && isMap(node) ? ` ${result}` : result;
    return [{ from: open, to: end, text: steps.length === 0 ? '' : padded }];
  }

  #flowEntry(item: unknown): Entry {
    const { range, anchor, tag, flow } = item as Node & {
      anchor?: string;
      tag?: string;
      flow?: boolean;
    };
    const pairWithoutBraces = isMap(item) && flow === true && this.#text[range?.[0] ?? -1] !== '{';
    if (!range || anchor !== undefined || tag !== undefined || pairWithoutBraces) {
      throw new LayoutError('an item in an unusual form');
    }
    return { from: range[0], to: range[1] };
  }

  /** The lines from `at` to the end of the line that `end` is in, with the comment lines right above. */
  #lines(at: number, end: number): Entry {
    const to = this.#endsLine(end) ? end : this.#text.indexOf('\n', end) + 1 || this.#text.length;
    let from = this.#lineStart(at);
    if (this.#text.slice(from, at).trim() !== '') return { from: at, to };
    while (from > 0) {
      const above = this.#lineStart(from - 1);
      if (!/^ *#/.test(this.#text.slice(above, from))) break;
      from = above;
    }
    return { from, to };
  }

  #lineStart(at: number): number {
    return this.#text.lastIndexOf('\n', at - 1) + 1;
  }

  #endsLine(end: number): boolean {
    return end > 0 && this.#text[end - 1] === '\n';
  }

  #columnOf(at: number): number {
    return at - this.#lineStart(at);
  }

  /** Where the text of a node ends: after its last leaf. */
  #endOf(node: unknown, otherwise: number): number {
    if (isMap(node) && node.flow !== true) {
      const last = node.items.at(-1);
      if (last === undefined) return otherwise;
      return this.#endOf(last.value ?? last.key, otherwise);
    }
    if (isSeq(node) && node.flow !== true) return this.#endOf(node.items.at(-1), otherwise);
    const range = (node as Node | null | undefined)?.range;
    if (!range) return otherwise;
    return isAlias(node) || isScalar(node) || isMap(node) || isSeq(node) ? range[1] : otherwise;
  }
}

function keyOf(pair: Pair): { value: unknown; range?: Node['range'] } {
  if (!isScalar(pair.key)) throw new LayoutError('a key that is not a name');
  return pair.key;
}

function isExplicitKey({ type }: CST.SourceToken): boolean {
  return type === 'explicit-key-ind';
}

/** The text between two entries in brackets, without its comma: the rest of the first one's line, and what follows. */
function splitGap(gap: string): { tail: string; head: string; comma: boolean } {
  let comma = -1;
  for (let at = 0; at < gap.length && comma < 0; at++) {
    if (gap[at] === '#') at = gap.indexOf('\n', at);
    else if (gap[at] === ',') comma = at;
    if (at < 0) break;
  }
  const bare = comma < 0 ? gap : gap.slice(0, comma) + gap.slice(comma + 1);
  const line = bare.indexOf('\n');
  const [tail, head] = line < 0 ? ['', bare] : [bare.slice(0, line), bare.slice(line)];
  return { tail, head, comma: comma >= 0 };
}

/** ` `, or a line break and the margin behind it. */
function headWithoutComment(head: string): string {
  const line = head.lastIndexOf('\n');
  return line < 0 ? head : head.slice(line);
}
