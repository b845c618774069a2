/**
 * A fast way to the same result for YAML as most people write it: nine tenths of the time in which a large configuration is read
 * are the YAML parser's, which keeps every blank.
 *
 * Taken are block mappings and lists, collections in braces and brackets that end on their line, scalars on one line, comments.
 * Whatever is unusual (anchors, tags, several lines, escapes, numbers that are no whole ones, tabs) or wrong is left to the parser,
 * which also reports the errors. `quick-yaml.test.ts` compares the two, positions too.
 */
import { Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import type { Node } from 'yaml';

/** Collections that are larger, or nested deeper, are left to the parser, which has limits. */
const mostItems = 100_000;
/** Among more keys a key is looked up in a set. One for each mapping would be more garbage than all that is in it. */
const comparedKeys = 32;
const deepest = 16;
const deepestValue = 64;

/** What the library's `isScalar` and the like look at; setting it for each node would take longer than all the rest. */
function kindOf(node: object): readonly [symbol, unknown] {
  const [key] = Object.getOwnPropertySymbols(node);
  return [key!, (node as Record<symbol, unknown>)[key!]];
}

/** As the parser's nodes have it. Made when somebody asks: only few places are. */
type Range = readonly [number, number, number];

class QuickScalar {
  readonly value: unknown;
  readonly #start: number;
  readonly #end: number;

  constructor(value: unknown, start: number, end: number) {
    this.value = value;
    this.#start = start;
    this.#end = end;
  }

  get range(): Range {
    return [this.#start, this.#end, this.#end];
  }

  toString(): string {
    return String(this.value);
  }
}

class QuickPair {
  readonly key: QuickScalar;
  readonly value: QuickNode;

  constructor(key: QuickScalar, value: QuickNode) {
    this.key = key;
    this.value = value;
  }
}

class QuickMap {
  readonly items: QuickPair[] = [];
  readonly #start: number;

  constructor(start: number) {
    this.#start = start;
  }

  get range(): Range {
    return [this.#start, this.#start, this.#start];
  }
}

class QuickSeq {
  readonly items: QuickNode[] = [];
  readonly #start: number;

  constructor(start: number) {
    this.#start = start;
  }

  get range(): Range {
    return [this.#start, this.#start, this.#start];
  }
}

type Keys = Set<unknown> | undefined;
type QuickNode = QuickScalar | QuickMap | QuickSeq;

for (const [prototype, like] of [
  [QuickScalar.prototype, new Scalar(0)],
  [QuickPair.prototype, new Pair(0)],
  [QuickMap.prototype, new YAMLMap()],
  [QuickSeq.prototype, new YAMLSeq()],
] as const) {
  const [key, value] = kindOf(like);
  Object.defineProperty(prototype, key, { value });
}

/** Thrown for a text that is left to the parser. Made once: it is no error. */
const unusual = new Error('unusual YAML');

/** `undefined`: something is unusual or wrong. @param newLine called with the start of each line */
export function quickYaml(text: string, newLine: (offset: number) => void): Node | undefined {
  try {
    const root = new Reader(text).root();
    newLine(0);
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) newLine(at + 1);
    return root as unknown as Node;
  } catch (error) {
    if (error === unusual) return undefined;
    throw error;
  }
}

const [newline, blank, hash, dash, colon, comma] = [10, 32, 35, 45, 58, 44];
const [openBrace, closeBrace, openBracket, closeBracket] = [123, 125, 91, 93];
const [doubleQuote, singleQuote, backslash] = [34, 39, 92];

/** By character code: what may begin a plain scalar or a key, and what may follow. */
const begins = new Uint8Array(128);
const follows = new Uint8Array(128);
const inKey = new Uint8Array(128);
for (let each = 33; each < 127; each++) {
  const character = String.fromCharCode(each);
  if (/[A-Za-z0-9_/]/.test(character)) begins[each] = 1;
  if (/[^[\]{},#]/.test(character)) follows[each] = 1;
  if (/[A-Za-z0-9_./-]/.test(character)) inKey[each] = 1;
}

/** Plain words that mean something else than their letters. */
const reserved = /^(?:true|false|null|yes|no|on|off|nan|inf)$/i;
/** What may be a number or a time in some schema; an address, a block or a range is none. */
const address = /^\d+(?:\.\d+){3}(?:\/\d+|-\d+(?:\.\d+){3})?$/;
const portRange = /^\d{1,5}-\d{1,5}$/;
const moment = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)$/;
const wholeNumber = /^(?:0|[1-9]\d{0,14})$/;

/** A value of JSON as nodes. Their positions are their numbers. @throws RangeError for one that is nested too deeply */
export function nodeOf(value: unknown): Node {
  let count = 0;
  const convert = (each: unknown, depth: number): QuickNode => {
    if (depth > deepestValue) throw new RangeError('nested too deeply');
    const at = count++;
    if (typeof each !== 'object' || each === null) return new QuickScalar(each, at, at);
    if (Array.isArray(each)) {
      const seq = new QuickSeq(at);
      for (const item of each) seq.items.push(convert(item, depth + 1));
      return seq;
    }
    const map = new QuickMap(at);
    for (const [key, child] of Object.entries(each)) {
      if (child === undefined) continue;
      map.items.push(
        new QuickPair(new QuickScalar(key, count, count++), convert(child, depth + 1)),
      );
    }
    return map;
  };
  return convert(value, 0) as unknown as Node;
}

class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  root(): QuickNode {
    // What else begins a line there is a directive or the end of a document.
    if (this.#nextLine() !== 0) throw unusual;
    const root = this.#map(0);
    if (this.#at < this.#text.length) throw unusual;
    return root;
  }

  /** Goes to the first character of the next line with content, from the start of a line. Returns its column, -1 at the end. */
  #nextLine(): number {
    const text = this.#text;
    for (;;) {
      let at = this.#at;
      while (text.charCodeAt(at) === blank) at++;
      const first = text.charCodeAt(at);
      if (first === hash) {
        at = text.indexOf('\n', at);
        if (at < 0) at = text.length;
      }
      if (at >= text.length) {
        this.#at = at;
        return -1;
      }
      if (text.charCodeAt(at) === newline) {
        this.#at = at + 1;
        continue;
      }
      const column = at - this.#at;
      this.#at = at;
      return column;
    }
  }

  /** Looks whether the next line with content has a column; if not, stays before it. */
  #continues(column: number): boolean {
    const start = this.#at;
    const next = this.#nextLine();
    if (next === column) return true;
    if (next > column) throw unusual;
    this.#at = next < 0 ? this.#at : start;
    return false;
  }

  /** Behind a value: nothing but blanks and a comment until the line ends. */
  #endLine(): void {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    while (text.charCodeAt(at) === blank) at++;
    if (text.charCodeAt(at) === hash && at > start) {
      at = text.indexOf('\n', at);
      if (at < 0) at = text.length;
    }
    if (at < text.length && text.charCodeAt(at) !== newline) throw unusual;
    this.#at = at < text.length ? at + 1 : at;
  }

  /** A block mapping, from its first key on. */
  #map(column: number): QuickMap {
    const map = new QuickMap(this.#at);
    let keys: Keys;
    this.#enter();
    do {
      const key = this.#key();
      keys = this.#keysWith(map, key, keys);
      map.items.push(new QuickPair(key, this.#valueOfKey(column)));
    } while (this.#continues(column));
    this.#depth--;
    return map;
  }

  /** From the colon on: a value on the line, or a collection below it. */
  #valueOfKey(column: number): QuickNode {
    const text = this.#text;
    let at = this.#at;
    while (text.charCodeAt(at) === blank) at++;
    const next = text.charCodeAt(at);
    if (next !== hash && next !== newline && at < text.length) {
      this.#at = at;
      const value = this.#inline(false);
      this.#endLine();
      return value;
    }
    this.#endLine();
    const below = this.#nextLine();
    const isItem = below >= 0 && this.#isItem();
    // A list may stand as far left as its key.
    if (below < column || (below === column && !isItem)) throw unusual;
    return isItem ? this.#seq(below) : this.#map(below);
  }

  #isItem(): boolean {
    const text = this.#text;
    return text.charCodeAt(this.#at) === dash && text.charCodeAt(this.#at + 1) === blank;
  }

  /** A block list, from its first dash on. */
  #seq(column: number): QuickSeq {
    const seq = new QuickSeq(this.#at);
    const text = this.#text;
    this.#enter();
    for (;;) {
      let at = this.#at + 1;
      while (text.charCodeAt(at) === blank) at++;
      const inner = column + at - this.#at;
      this.#at = at;
      if (this.#isKey()) {
        seq.items.push(this.#map(inner));
      } else {
        seq.items.push(this.#inline(false));
        this.#endLine();
      }
      if (seq.items.length > mostItems) throw unusual;
      const start = this.#at;
      const next = this.#nextLine();
      if (next > column) throw unusual;
      if (next === column && this.#isItem()) continue;
      if (next >= 0) this.#at = start;
      this.#depth--;
      return seq;
    }
  }

  /** Whether a key and its colon begin here. */
  #isKey(): boolean {
    const text = this.#text;
    let at = this.#at;
    if (begins[text.charCodeAt(at)] !== 1) return false;
    while (inKey[text.charCodeAt(at)] === 1) at++;
    if (text.charCodeAt(at) !== colon) return false;
    const behind = text.charCodeAt(at + 1);
    return behind === blank || behind === newline;
  }

  /** Leaves a mapping to the parser in which a key comes again. @param keys those before, if they are many */
  #keysWith({ items }: QuickMap, key: QuickScalar, keys: Keys): Keys {
    if (items.length < comparedKeys) {
      for (const { key: before } of items) if (before.value === key.value) throw unusual;
      return undefined;
    }
    const all = keys ?? new Set(items.map((item) => item.key.value));
    if (all.has(key.value) || all.size >= mostItems) throw unusual;
    return all.add(key.value);
  }

  /** A plain key, and goes behind its colon. */
  #key(): QuickScalar {
    if (!this.#isKey()) throw unusual;
    const start = this.#at;
    const end = this.#text.indexOf(':', start);
    const value = this.#text.slice(start, end);
    const first = value.charCodeAt(0);
    if ((first >= 48 && first <= 57) || reserved.test(value)) throw unusual;
    this.#at = end + 1;
    return new QuickScalar(value, start, end);
  }

  /** A value that ends on its line. @param inFlow within braces or brackets */
  #inline(inFlow: boolean): QuickNode {
    const first = this.#text.charCodeAt(this.#at);
    if (first === openBrace) return this.#flowMap();
    if (first === openBracket) return this.#flowSeq();
    if (first === doubleQuote || first === singleQuote) return this.#quoted(first, inFlow);
    return this.#plain(inFlow);
  }

  #flowMap(): QuickMap {
    const map = new QuickMap(this.#at);
    this.#enter();
    this.#at++;
    let keys: Keys;
    this.#skipBlanks();
    while (!this.#closes(closeBrace, map.items.length)) {
      const key = this.#key();
      keys = this.#keysWith(map, key, keys);
      this.#skipBlanks();
      map.items.push(new QuickPair(key, this.#inline(true)));
    }
    return map;
  }

  #flowSeq(): QuickSeq {
    const seq = new QuickSeq(this.#at);
    this.#enter();
    this.#at++;
    this.#skipBlanks();
    while (!this.#closes(closeBracket, seq.items.length)) {
      seq.items.push(this.#inline(true));
      if (seq.items.length > mostItems) throw unusual;
    }
    return seq;
  }

  /** Goes behind the end of a collection, or to its next item. @param items that were read */
  #closes(end: number, items: number): boolean {
    this.#skipBlanks();
    const next = this.#text.charCodeAt(this.#at);
    if (next === end) {
      this.#at++;
      this.#depth--;
      return true;
    }
    if (items === 0) return false;
    if (next !== comma) throw unusual;
    this.#at++;
    this.#skipBlanks();
    if (this.#text.charCodeAt(this.#at) === end) throw unusual;
    return false;
  }

  #quoted(quote: number, inFlow: boolean): QuickScalar {
    const text = this.#text;
    const start = this.#at;
    let at = start + 1;
    for (let each = text.charCodeAt(at); each !== quote; each = text.charCodeAt(++at)) {
      // Escapes, other lines and the end of the text.
      if (!(each >= 32 && each < 127) || each === backslash) throw unusual;
    }
    const behind = text.charCodeAt(at + 1);
    if (behind === quote || behind === colon) throw unusual;
    if (inFlow && behind === hash) throw unusual;
    this.#at = at + 1;
    return new QuickScalar(text.slice(start + 1, at), start, at + 1);
  }

  #plain(inFlow: boolean): QuickScalar {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    if (begins[text.charCodeAt(at)] !== 1) throw unusual;
    let end = at;
    for (;;) {
      const each = text.charCodeAt(at);
      if (follows[each] === 1) {
        // A key, or a colon that some reader may take for one.
        if (each === colon && begins[text.charCodeAt(at + 1)] !== 1) throw unusual;
        end = ++at;
      } else if (each === blank) {
        at++;
      } else if (each === newline || at >= text.length || (each === hash && at > end)) {
        break;
      } else if (inFlow && (each === comma || each === closeBrace || each === closeBracket)) {
        break;
      } else if (each === comma) {
        end = ++at;
      } else {
        throw unusual;
      }
    }
    this.#at = end;
    return new QuickScalar(plainValue(text.slice(start, end)), start, end);
  }

  #skipBlanks(): void {
    while (this.#text.charCodeAt(this.#at) === blank) this.#at++;
  }

  #enter(): void {
    if (++this.#depth > deepest) throw unusual;
  }
}

function plainValue(text: string): unknown {
  const first = text.charCodeAt(0);
  if (first >= 48 && first <= 57) {
    if (wholeNumber.test(text)) return Number(text);
    if (address.test(text) || portRange.test(text) || moment.test(text)) return text;
    throw unusual;
  }
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text.length <= 5 && reserved.test(text)) throw unusual;
  return text;
}
