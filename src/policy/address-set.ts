/**
 * Named sets of addresses: `sets/NAME.yaml`, and the list of addresses that may stand beside it as `file: NAME.txt`.
 *
 * Public block lists come as such lists, with up to a million lines. They are read by hand, byte by byte: a regular
 * expression and a string for each line take five times as long.
 */
import { parsePeer as parseRange } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import { maxPairs, rangesOfPairs } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import type { AddressRange, AddressSet, Problem } from './types.ts';
import { nameWords, namePattern, read } from './validate.ts';
import type { Validated } from './validate.ts';
import { YamlFile, list, mapping, prose, scalar, text } from './yaml-fields.ts';
import type { Field } from './yaml-fields.ts';

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

/**
 * Reads `sets/NAME.yaml`. The list that it names as `file` is read by its owner (`parseAddressList`).
 *
 * @param setName from the file's name, @param fileName as the user knows it
 */
export function validateSet(
  setName: string,
  fileName: string,
  content: string,
): Validated<AddressSet> {
  const file = new YamlFile(fileName, content);
  if (!namePattern.test(setName)) {
    file.report(null, '', `"${setName}" cannot be a set's name: expected ${nameWords}`);
  }
  const empty = { name: setName, addresses: [], except: [], include: [] };
  const fields = mapping<Partial<Omit<AddressSet, 'name' | 'list'>>>(
    'a set with the key addresses',
    {
      description: prose,
      addresses: list('addresses', address),
      except: list('addresses', address),
      include: list('sets', include),
      file: text('the name of a .txt file beside it', /^[a-z0-9][a-z0-9._-]{0,62}\.txt$/),
    },
    [],
  );
  const set: Field<AddressSet> = (place) => {
    const value = fields(place);
    return value && { ...empty, ...value };
  };
  return read(file, set, empty);
}

/** Bad lines that are reported one by one; the rest is a number. */
const reportedLines = 20;

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
    if (readBlock(bytes, start, end, pairs, entries * 2)) {
      entries++;
    } else {
      const text = textOf(bytes, start, end);
      const range = text === '' ? undefined : parseRange(text);
      if (range !== undefined && 'value' in range && text !== 'any') {
        pairs[entries * 2] = range.value.from;
        pairs[entries * 2 + 1] = range.value.to;
        entries++;
      } else if (range !== undefined && ++bad <= reportedLines) {
        report('message' in range ? range.message : 'expected an address, a block or a range');
      }
    }
    if (entries > maxPairs) {
      report(`more than ${maxPairs} entries`);
      return { ranges: new Uint32Array(0), entries, problems };
    }
    start = end + 1;
  }
  if (bad > reportedLines) {
    line = 0;
    report(`${bad - reportedLines} more lines are wrong`);
  }
  return { ranges: rangesOfPairs(pairs.subarray(0, entries * 2)), entries, problems };
}

const newline = 10;
const [zero, nine, dot, slash, carriageReturn] = [48, 57, 46, 47, 13];

/** Reads a plain `a.b.c.d` or `a.b.c.d/n` that fills the line. Everything else is left to the slow reader. */
function readBlock(
  bytes: Uint8Array,
  start: number,
  lineEnd: number,
  pairs: Uint32Array,
  at: number,
): boolean {
  const end = bytes[lineEnd - 1] === carriageReturn ? lineEnd - 1 : lineEnd;
  let address = 0;
  let position = start;
  let bits = 32;
  for (let part = 0; part < 5; part++) {
    const first = position;
    let value = 0;
    while (position < end && bytes[position]! >= zero && bytes[position]! <= nine) {
      value = value * 10 + bytes[position]! - zero;
      position++;
    }
    const digits = position - first;
    if (digits === 0 || digits > 3 || (digits > 1 && bytes[first] === zero)) return false;
    if (part === 4) {
      bits = value;
    } else {
      if (value > 255) return false;
      address = address * 256 + value;
    }
    if (part >= 3 && position === end) break;
    if (part === 4 || bytes[position] !== (part < 3 ? dot : slash)) return false;
    position++;
  }
  if (bits > 32) return false;
  const size = 2 ** (32 - bits);
  if (address % size !== 0) return false;
  pairs[at] = address;
  pairs[at + 1] = address + size - 1;
  return true;
}

const decoder = new TextDecoder();

/** A line without comment and blanks around it. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  // A line that is longer than any address with its comment is shown in part.
  const text = decoder.decode(bytes.subarray(start, Math.min(end, start + 200)));
  return text.replace(/[#;].*$/s, '').trim();
}
