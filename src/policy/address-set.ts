/**
 * Named sets of addresses: `sets/NAME.yaml`, and the list of addresses that may stand beside it as `file: NAME.txt`.
 *
 * Public block lists come as such lists, with up to a million lines. They are read by hand, byte by byte: a regular
 * expression and a string for each line take five times as long.
 */
import { parsePeer as parseRange } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import { maxPairs, rangesOfPairs } from './ranges.ts';
import type { Range, Ranges } from './ranges.ts';
import type { AddressRange, AddressSet, Problem } from './types.ts';
import { nameWords, namePattern, read } from './validate.ts';
import type { Validated } from './validate.ts';
import { YamlFile, list, mapping, prose, scalar, text } from './yaml-fields.ts';
import type { Content, Field } from './yaml-fields.ts';

const address: Field<AddressRange> = scalar('an address', (value) =>
  typeof value === 'string' ? parseRange(value) : undefined,
);

const include: Field<string> = (place) => {
  const name = scalar('a set like set:office', parseSetName)(place);
  if (name === undefined) return undefined;
  place.file.refer(place.node, place.path, { kind: 'set', name, text: `set:${name}` });
  return name;
};

function parseSetName(value: unknown): Parsed<string> | undefined {
  const match = typeof value === 'string' ? /^set:\s*(\S+)$/i.exec(value) : null;
  return match === null ? undefined : { value: match[1]! };
}

/** The name of a list, beside its set: not a path. */
export const listPattern: RegExp = /^[a-z0-9][a-z0-9._-]{0,62}\.txt$/;

export type SetPlace = Omit<Problem, 'severity' | 'message'>;

/** A set without its list, and where it names that. */
export interface ValidatedSet extends Validated<AddressSet> {
  readonly listPlace?: SetPlace;
}

/**
 * Reads `sets/NAME.yaml`. The list that it names as `file` is read by its owner (`parseAddressList`).
 *
 * @param setName from the file's name, @param fileName as the user knows it
 */
export function validateSet(setName: string, fileName: string, content: Content): ValidatedSet {
  const file = new YamlFile(fileName, content);
  if (!namePattern.test(setName)) {
    file.report(null, '', `"${setName}" cannot be a set's name: expected ${nameWords}`);
  }
  const empty = { name: setName, addresses: [], except: [], include: [] };
  let listPlace: SetPlace | undefined;
  const listName: Field<string> = (place) => {
    listPlace = { ...place.file.placeOf(place.node), path: place.path };
    return text('the name of a .txt file beside it', listPattern)(place);
  };
  const fields = mapping<Partial<Omit<AddressSet, 'name' | 'list' | 'listEntries'>>>(
    'a set with the key addresses',
    {
      description: prose,
      addresses: list('addresses', address),
      except: list('addresses', address),
      include: list('sets', include),
      file: listName,
    },
    [],
  );
  const set: Field<AddressSet> = (place) => {
    const value = fields(place);
    return value && { ...empty, ...value };
  };
  const result = read(file, set, empty);
  return listPlace === undefined ? result : { ...result, listPlace };
}

/** Bad lines that are reported one by one; the rest is a number. */
const reportedLines = 20;
/** With more bad lines it is no list of addresses, and is not read on: a message for each costs many times what an address does. */
const maxBadLines = 1000;

/** What a list of addresses says. */
export interface AddressList {
  readonly ranges: Ranges;
  /** Addresses, blocks and ranges in it. */
  readonly entries: number;
  readonly problems: readonly Problem[];
}

/**
 * Reads one address, block or range a line; `#` and `;` begin a comment, blank lines are skipped.
 *
 * @param file its name, for problems
 */
export function parseAddressList(file: string, bytes: Uint8Array): AddressList {
  const problems: Problem[] = [];
  const cursor = { at: 0 };
  let pairs = new Uint32Array(1024);
  let [entries, bad, line] = [0, 0, 0];
  const report = (message: string): void => {
    problems.push({ severity: 'error', file, line, column: 1, path: '', message });
  };
  for (let start = 0; start < bytes.length;) {
    line++;
    let end = bytes.indexOf(newline, start);
    if (end < 0) end = bytes.length;
    if (entries * 2 === pairs.length) {
      const grown = new Uint32Array(pairs.length * 2);
      grown.set(pairs);
      pairs = grown;
    }
    const wrong = readLine(bytes, start, end, cursor, pairs, entries * 2);
    if (wrong === undefined) entries++;
    else if (wrong !== '' && ++bad <= reportedLines) report(wrong);
    if (entries > maxPairs) {
      report(`more than ${maxPairs} entries`);
      return { ranges: new Uint32Array(0), entries, problems };
    }
    start = end + 1;
    if (bad > maxBadLines) {
      line = 0;
      report(`more than ${maxBadLines} lines are wrong: the rest was not read`);
      return { ranges: new Uint32Array(0), entries, problems };
    }
  }
  if (bad > reportedLines) {
    line = 0;
    report(`${bad - reportedLines} more lines are wrong`);
  }
  return { ranges: rangesOfPairs(pairs.subarray(0, entries * 2)), entries, problems };
}

/**
 * A list without some of its entries; the lines of the others stay as they are.
 *
 * @returns `found`: which of them it had
 */
export function withoutEntries(
  list: string,
  entries: readonly Range[],
): { readonly text: string; readonly found: readonly boolean[] } {
  const bytes = new TextEncoder().encode(list);
  const wanted = new Map(entries.map(({ from, to }, index) => [`${from}-${to}`, index]));
  const firsts = new Set(entries.map(({ from }) => from));
  const found = entries.map(() => false);
  const cursor = { at: 0 };
  const pair = new Uint32Array(2);
  let text = '';
  let kept = 0;
  for (let start = 0; start < bytes.length;) {
    const newlineAt = bytes.indexOf(newline, start);
    const end = newlineAt < 0 ? bytes.length : newlineAt;
    const isEntry = readLine(bytes, start, end, cursor, pair, 0) === undefined;
    const index =
      isEntry && firsts.has(pair[0]!) ? wanted.get(`${pair[0]!}-${pair[1]!}`) : undefined;
    if (index !== undefined) {
      found[index] = true;
      text += decoder.decode(bytes.subarray(kept, start));
      kept = end + 1;
    }
    start = end + 1;
  }
  return { text: text + decoder.decode(bytes.subarray(kept)), found };
}

/** Reads an entry. @returns `undefined`; empty if there is none in the line; else what is wrong */
function readLine(
  bytes: Uint8Array,
  start: number,
  end: number,
  cursor: Cursor,
  pairs: Uint32Array,
  at: number,
): string | undefined {
  cursor.at = start;
  if (readEntry(bytes, cursor, end, pairs, at)) return undefined;
  const text = textOf(bytes, start, end);
  if (text === '') return '';
  const range = parseRange(text);
  if ('message' in range) return range.message;
  if (text === 'any') return 'expected an address, a block or a range';
  pairs[at] = range.value.from;
  pairs[at + 1] = range.value.to;
  return undefined;
}

const newline = 10;
const [zero, nine, dot, slash, dash] = [48, 57, 46, 47, 45];
const [tab, carriageReturn, space, hash, semicolon] = [9, 13, 32, 35, 59];

/** A place in the bytes. Returned numbers would need an object for each. */
interface Cursor {
  at: number;
}

/**
 * Reads an address, a block or a range with blanks and a comment around it, in the usual notation. Everything else, and all
 * that is wrong, is left to the slow reader.
 */
function readEntry(
  bytes: Uint8Array,
  cursor: Cursor,
  end: number,
  pairs: Uint32Array,
  at: number,
): boolean {
  skipBlanks(bytes, cursor, end);
  const from = readAddress(bytes, cursor, end);
  if (from < 0) return false;
  let to = from;
  if (cursor.at < end && bytes[cursor.at] === slash) {
    cursor.at++;
    const bits = readNumber(bytes, cursor, end);
    if (bits < 0 || bits > 32) return false;
    const size = 2 ** (32 - bits);
    if (from % size !== 0) return false;
    to = from + size - 1;
    skipBlanks(bytes, cursor, end);
  } else {
    skipBlanks(bytes, cursor, end);
    if (cursor.at < end && bytes[cursor.at] === dash) {
      cursor.at++;
      skipBlanks(bytes, cursor, end);
      to = readAddress(bytes, cursor, end);
      if (to < from) return false;
      skipBlanks(bytes, cursor, end);
    }
  }
  const next = bytes[cursor.at]!;
  if (cursor.at < end && next !== hash && next !== semicolon) return false;
  pairs[at] = from;
  pairs[at + 1] = to;
  return true;
}

function skipBlanks(bytes: Uint8Array, cursor: Cursor, end: number): void {
  for (; cursor.at < end; cursor.at++) {
    const byte = bytes[cursor.at]!;
    if (byte !== space && byte !== tab && byte !== carriageReturn) return;
  }
}

/** -1: no address in four decimal parts. */
function readAddress(bytes: Uint8Array, cursor: Cursor, end: number): number {
  let address = 0;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && (cursor.at >= end || bytes[cursor.at++] !== dot)) return -1;
    const value = readNumber(bytes, cursor, end);
    if (value < 0 || value > 255) return -1;
    address = address * 256 + value;
  }
  return address;
}

/** -1: no number of one to three digits without a leading zero. */
function readNumber(bytes: Uint8Array, cursor: Cursor, end: number): number {
  const first = cursor.at;
  let value = 0;
  for (; cursor.at < end; cursor.at++) {
    const byte = bytes[cursor.at]!;
    if (byte < zero || byte > nine) break;
    value = value * 10 + byte - zero;
  }
  const digits = cursor.at - first;
  return digits === 0 || digits > 3 || (digits > 1 && bytes[first] === zero) ? -1 : value;
}

const decoder = new TextDecoder();

/** A line without comment and blanks around it. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  // A line that is longer than any address with its comment is shown in part.
  const text = decoder.decode(bytes.subarray(start, Math.min(end, start + 200)));
  return text.replace(/[#;].*$/s, '').trim();
}
