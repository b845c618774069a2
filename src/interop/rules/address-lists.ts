/**
 * Lists of addresses as sets: plain lists, as the public block lists come, and what `ipset save` and `ipset list` print.
 *
 * A plain list is taken as it is, with its comments; whoever stores it checks its lines. Of an ipset this is what matches
 * IPv4 addresses: `hash:ip`, `hash:net`, `bitmap:ip`, and `list:set` as the sets that it includes. `nomatch` follows
 * ipset(8): of the blocks that contain an address, the longest decides.
 */
import { formatRange, parsePeer as parseRange } from '../../policy/addresses.ts';
import { noRanges, rangesOf, subtractRanges, unionRanges } from '../../policy/ranges.ts';
import { namePattern, nameWords } from '../../policy/validate.ts';

export const listFormats = ['list', 'ipset'] as const;
export type ListFormat = (typeof listFormats)[number];

export interface ImportedSet {
  readonly name: string;
  /** One address, block or range a line. */
  readonly list: string;
  /** `set:NAME` */
  readonly include: readonly string[];
}

export interface ListRemark {
  /** `line 12`, or a set's name. */
  readonly place: string;
  readonly message: string;
}

export interface ImportedLists {
  readonly format: ListFormat;
  readonly sets: readonly ImportedSet[];
  readonly remarks: readonly ListRemark[];
}

export interface ListOptions {
  /** Default: detected. */
  readonly format?: ListFormat | undefined;
  /** Of the one set; default: as in the file. */
  readonly name?: string | undefined;
  /** Where the file has no names; default: `imported`. */
  readonly fallback?: string | undefined;
}

/** @returns the sets, or why there are none */
export function importAddressLists(
  text: string,
  { format = detect(text), name, fallback = 'imported' }: ListOptions,
): ImportedLists | { readonly problem: string } {
  if (format === 'ipset') return importIpset(text, name);
  if (!/^[^\S\n]*[^#;\s]/m.test(text)) {
    return { problem: 'there is no address in it: nothing was changed' };
  }
  const set = {
    name: name ?? (nameFor(fallback) || 'imported'),
    list: text.endsWith('\n') ? text : `${text}\n`,
    include: [],
  };
  return { format, sets: [set], remarks: [] };
}

function detect(text: string): ListFormat {
  const first = /^[^\S\n]*([^#;\s][^\n]*)/m.exec(text)?.[1] ?? '';
  return /^(create|add|Name:|-N|-A|-exist) ?/.test(first) ? 'ipset' : 'list';
}

/** A set while it is read. */
interface Ipset {
  readonly name: string;
  readonly type: string;
  /** Of `hash:ip` and `bitmap:ip` with `netmask`: each entry stands for a block of this length. */
  readonly netmask: number;
  /** Ranges by length of block, in two kinds: what matches and, with `nomatch`, what does not. */
  readonly entries: Entry[];
  readonly members: string[];
}

interface Entry {
  readonly from: number;
  readonly to: number;
  readonly nomatch: boolean;
}

const addressTypes = new Set(['hash:ip', 'hash:net', 'bitmap:ip']);

/** Remarks on lines that are shown one by one. */
const maxRemarks = 20;

class IpsetReader {
  readonly sets: Map<string, Ipset> = new Map<string, Ipset>();
  readonly remarks: ListRemark[] = [];
  #problem: string | undefined;
  #left = new Set<string>();
  #lineRemarks = 0;
  #timeouts = 0;
  /** Of `ipset list`: the set of the lines that follow. */
  #name = '';
  #type = '';
  #inMembers = false;

  read(text: string): string | undefined {
    let line = 0;
    for (const each of text.split('\n')) {
      line++;
      const words = each.trim();
      if (words !== '' && !words.startsWith('#')) this.#line(words, line);
      if (this.#problem !== undefined) return this.#problem;
    }
    if (this.#lineRemarks > maxRemarks) {
      this.#remark('', `${this.#lineRemarks - maxRemarks} more entries could not be expressed`);
    }
    if (this.#timeouts > 0) {
      this.#remark('', `entries with a timeout: ${this.#timeouts}. Here they stay`);
    }
    return undefined;
  }

  #line(words: string, line: number): void {
    const heading =
      /^(Name|Type|Header|Members|Revision|Size in memory|References|Number of entries):\s*(.*)$/.exec(
        words,
      );
    if (heading !== null) {
      this.#heading(heading[1]!, heading[2]!);
      return;
    }
    const [verb = '', name = '', ...rest] = words.split(/\s+/);
    if (verb === 'create' || verb === '-N') {
      this.#create(name, rest[0] ?? '', rest.slice(1).join(' '));
    } else if (verb === 'add' || verb === '-A') {
      this.#add(name, rest, line);
    } else if (this.#inMembers) {
      this.#add(
        this.#name,
        [verb, name, ...rest].filter((each) => each !== ''),
        line,
      );
    } else if (!['flush', 'destroy', 'COMMIT', 'quit'].includes(verb)) {
      this.#problem = `line ${line}: expected what "ipset save" or "ipset list" prints`;
    }
  }

  #heading(key: string, value: string): void {
    if (key === 'Name') {
      this.#name = value;
      this.#inMembers = false;
    } else if (key === 'Type') this.#type = value;
    else if (key === 'Header') this.#create(this.#name, this.#type, value);
    else if (key === 'Members') this.#inMembers = true;
  }

  #create(name: string, type: string, options: string): void {
    const why =
      !addressTypes.has(type) && type !== 'list:set'
        ? `its type ${type} matches more than addresses`
        : /\bfamily inet6\b/.test(options)
          ? 'it is for IPv6: the firewall is IPv4 only'
          : /\bbitmask\b/.test(options)
            ? 'it has a bitmask'
            : undefined;
    if (why !== undefined) {
      this.#left.add(name);
      this.#remark(name, `left out: ${why}`);
      return;
    }
    const netmask = Number(/\bnetmask (\d+)\b/.exec(options)?.[1] ?? 32);
    this.sets.set(name, { name, type, netmask, entries: [], members: [] });
  }

  #add(name: string, [entry = '', ...options]: readonly string[], line: number): void {
    if (this.#left.has(name)) return;
    const set = this.sets.get(name);
    if (set === undefined) {
      this.#problem = `line ${line}: the set "${name}" was not created before`;
      return;
    }
    const timeout = options.indexOf('timeout');
    if (timeout >= 0 && options[timeout + 1] !== '0') this.#timeouts++;
    if (set.type === 'list:set') {
      set.members.push(entry);
      return;
    }
    const parsed = parseRange(entry);
    if ('message' in parsed || entry === 'any') {
      if (++this.#lineRemarks <= maxRemarks) {
        this.#remark(
          `line ${line}`,
          `not expressed: ${'message' in parsed ? parsed.message : 'any'}`,
        );
      }
      return;
    }
    const { from, to } = parsed.value;
    const size = 2 ** (32 - set.netmask);
    set.entries.push({
      from: from - (from % size),
      to: to - (to % size) + size - 1,
      nomatch: options.includes('nomatch'),
    });
  }

  #remark(place: string, message: string): void {
    this.remarks.push({ place, message });
  }
}

function importIpset(
  text: string,
  wanted: string | undefined,
): ImportedLists | { readonly problem: string } {
  const reader = new IpsetReader();
  const problem = reader.read(text);
  if (problem !== undefined) return { problem };
  const found = [...reader.sets.values()];
  if (found.length === 0)
    return { problem: 'there is no set of IPv4 addresses in it: nothing was changed' };
  if (wanted !== undefined && found.length > 1) {
    return { problem: `there are ${found.length} sets in it, which cannot have one name` };
  }
  const remarks = [...reader.remarks];
  const names = new Map<string, string>();
  for (const { name } of found) {
    const own = wanted ?? nameFor(name);
    if (!namePattern.test(own))
      return { problem: `"${name}" cannot be a set's name: expected ${nameWords}` };
    if ([...names.values()].includes(own))
      return { problem: `two sets would both be named "${own}"` };
    if (own !== name && wanted === undefined) {
      remarks.push({ place: name, message: `it is named "${own}" here` });
    }
    names.set(name, own);
  }
  const sets = found.map(({ name, entries, members }): ImportedSet => {
    const include = members.flatMap((member) => {
      const own = names.get(member);
      if (own === undefined) remarks.push({ place: name, message: `"${member}" was left out` });
      return own === undefined ? [] : `set:${own}`;
    });
    return { name: names.get(name)!, list: listOf(entries), include };
  });
  return { format: 'ipset', sets, remarks };
}

/** A name of ipset in the characters of ours. */
function nameFor(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]/g, '-')
    .replace(/^[._-]+/, '')
    .slice(0, 63);
}

function listOf(entries: readonly Entry[]): string {
  const some = entries.some(({ nomatch }) => nomatch);
  const ranges = some ? decided(entries) : entries;
  return ranges.map(({ from, to }) => `${formatRange(from, to)}\n`).join('');
}

/** The shortest blocks first; a longer one decides over what they have said. */
function decided(entries: readonly Entry[]): { from: number; to: number }[] {
  const bySize = new Map<number, Entry[]>();
  for (const entry of entries) {
    const size = entry.to - entry.from;
    const same = bySize.get(size);
    if (same === undefined) bySize.set(size, [entry]);
    else same.push(entry);
  }
  let ranges = noRanges;
  for (const [, same] of [...bySize].sort(([a], [b]) => b - a)) {
    ranges = unionRanges([ranges, rangesOf(same.filter(({ nomatch }) => !nomatch))]);
    ranges = subtractRanges(ranges, rangesOf(same.filter(({ nomatch }) => nomatch)));
  }
  return Array.from({ length: ranges.length / 2 }, (_, index) => ({
    from: ranges[index * 2]!,
    to: ranges[index * 2 + 1]!,
  }));
}
