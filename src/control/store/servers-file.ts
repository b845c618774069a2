/**
 * A fast path for servers.yaml: with a thousand servers, parsing all of it takes longer than the rest of a change.
 *
 * A file in the usual layout is a list whose items stand one below the other. Such a file is cut into its items at the lines
 * that begin with the list's dash, and an item that was seen before is not parsed again. YAML allows the cut: within an item
 * every line is indented further than its dash, comments apart. Anchors, which could link items, and anything unusual
 * or wrong are left to the parser of whole files, which also reports the errors. So this is only a faster way to the
 * same result; a test compares the two.
 */
import { isDeepStrictEqual } from 'node:util';
import { isMap, isScalar, isSeq } from 'yaml';
import type { Scalar } from 'yaml';
import { parseYaml, yamlValue } from '../../policy/parse-yaml.ts';
import { serverBody } from '../../policy/bodies.ts';
import { complaintOf, isTurned, turnsOf } from '../../policy/observe.ts';
import type { ServerBody } from '../../policy/bodies.ts';
import type { Server } from '../../policy/types.ts';
import { validateServers } from '../../policy/validate.ts';
import type { Validated } from '../../policy/validate.ts';
import { editYaml, splice } from './yaml-edit.ts';
import { inlineText, itemText } from './yaml-text.ts';

interface Items {
  /** Everything before the first item. */
  readonly head: string;
  /** Each with the comment lines directly above, and everything up to the next one. */
  readonly texts: readonly string[];
  /** Column of the dashes. */
  readonly indent: number;
}

/** A placeholder for any name: the existence of templates is checked for all servers together. */
const anyName: ReadonlySet<string> = { has: () => true } as unknown as ReadonlySet<string>;

/** Characters with a special meaning outside of comments. */
const unusual = /[&*|>!\t\r\ufeff]/;

/** `undefined`: not in the usual layout. */
function split(text: string): Items | undefined {
  const top = /^(?: *(?:#.*)?\n)*servers: *(?:#.*)?\n/.exec(text)?.[0];
  if (top === undefined || !text.endsWith('\n')) return undefined;
  const starts: number[] = [];
  let indent = -1;
  /** Where the comment lines directly above begin, if there are any. */
  let comments = -1;
  for (let at = top.length; at < text.length; at = text.indexOf('\n', at) + 1) {
    let first = at;
    while (text[first] === ' ') first++;
    if (text[first] === '#') {
      if (comments < 0) comments = at;
      continue;
    }
    const column = first - at;
    if (text[first] !== '\n') {
      const dash = text[first] === '-' && (text[first + 1] === ' ' || text[first + 1] === '\n');
      if (indent < 0 && dash) indent = column;
      if (indent < 0 || column < indent || (column === indent && !dash)) return undefined;
      if (column === indent) starts.push(comments < 0 ? at : comments);
    }
    comments = -1;
  }
  if (starts.length === 0) return undefined;
  const texts = starts.map((start, index) => text.slice(start, starts[index + 1]));
  return { head: text.slice(0, starts[0]), texts, indent };
}

/** Whether comments follow an item that do not belong to it. */
function hasRemarksBehind(item: string): boolean {
  const lines = item.split('\n');
  const last = lines.findLastIndex((line) => !/^ *(?:#.*)?$/.test(line));
  return lines.slice(Math.max(last + 1, 1)).some((line) => line.includes('#'));
}

/** The last result, and all that it depends on. */
interface Checked {
  readonly fileName: string;
  readonly text: string;
  readonly templates: ReadonlySet<string>;
  readonly nowMs: number;
  readonly result: Validated<readonly Server[]>;
}

function areSame(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  if (a.size !== b.size) return false;
  for (const each of a) if (!b.has(each)) return false;
  return true;
}

/** Reads servers.yaml, and remembers the items of the last text. */
export class ServersFile {
  #known: ReadonlyMap<string, Server> = new Map();
  #last: Checked | undefined;

  /** The same as `validateServers`. */
  validate(
    fileName: string,
    text: string,
    templates: ReadonlySet<string>,
    nowMs: number = Date.now(),
  ): Validated<readonly Server[]> {
    const last = this.#last;
    if (
      last?.text === text &&
      last.fileName === fileName &&
      areSame(last.templates, templates) &&
      !isTurned(last.result.turns ?? [], last.nowMs, nowMs)
    ) {
      return last.result;
    }
    const servers = this.#quick(text, nowMs);
    const result: Validated<readonly Server[]> =
      servers !== undefined && fitTogether(servers, templates, nowMs)
        ? { value: servers, problems: [], turns: turnsOf(servers, nowMs) }
        : validateServers(fileName, text, templates, nowMs);
    this.#last = { fileName, text, templates, nowMs, result };
    return result;
  }

  /** `undefined`: something is unusual or wrong. */
  #quick(text: string, nowMs: number): Server[] | undefined {
    const items = split(text);
    if (items === undefined) return undefined;
    const known = new Map<string, Server>();
    const servers: Server[] = [];
    for (const item of items.texts) {
      const server = this.#known.get(item) ?? known.get(item) ?? readItem(item, nowMs);
      if (server === undefined) return undefined;
      known.set(item, server);
      servers.push(server);
    }
    this.#known = known;
    return servers;
  }
}

function readItem(text: string, nowMs?: number): Server | undefined {
  if (unusual.test(text.replace(/(?:^| )#.*$/gm, ''))) return undefined;
  const { value, problems } = validateServers('', `servers:\n${text}`, anyName, nowMs);
  return problems.length > 0 || value?.length !== 1 ? undefined : value[0];
}

/** The checks of `validateServers` across all servers, and those that the clock decides. */
function fitTogether(
  servers: readonly Server[],
  templates: ReadonlySet<string>,
  nowMs: number,
): boolean {
  const names = new Set<string>();
  const addresses = new Set<number>();
  let count = 0;
  for (const server of servers) {
    if (!server.templates.every((name) => templates.has(name))) return false;
    if (complaintOf(server, nowMs) !== undefined) return false;
    names.add(server.name);
    for (const address of server.addresses) addresses.add(address);
    count += server.addresses.length;
  }
  return names.size === servers.length && addresses.size === count;
}

/**
 * servers.yaml with other names of servers; everything else, comments too, stays as it is.
 *
 * @param names new ones by old ones
 */
export function renameServers(text: string, names: ReadonlyMap<string, string>): string {
  if (names.size === 0) return text;
  const items = split(text);
  if (items === undefined) return renameItems(text, names);
  // Only what may have such a name is parsed.
  const own = items.texts.map((item) =>
    [...names.keys()].some((name) => item.includes(name))
      ? renameItems(`servers:\n${item}`, names).slice('servers:\n'.length)
      : item,
  );
  return items.head + own.join('');
}

function renameItems(text: string, names: ReadonlyMap<string, string>): string {
  const places: { from: number; to: number; text: string }[] = [];
  const servers = parseYaml(text).get('servers');
  for (const item of isSeq(servers) ? servers.items : []) {
    const name = isMap(item) ? item.get('name', true) : undefined;
    const next = isScalar(name) ? names.get(String(name.value)) : undefined;
    if (next === undefined) continue;
    const [from, to] = (name as Scalar).range!;
    places.push({ from, to, text: inlineText(next) });
  }
  return splice(text, places);
}

/**
 * servers.yaml with other servers.
 *
 * @param before the content of `text`
 * @throws LayoutError
 */
export function editServers(
  text: string,
  before: readonly Server[],
  after: readonly ServerBody[],
): string {
  const old = new Map(before.map((server, index) => [server.name, { server, index }]));
  const same = (body: ServerBody, server: Server): boolean =>
    isDeepStrictEqual(serverBody(server), body);
  const quick = editItems(text, before, after, (body) => {
    const found = old.get(body.name);
    return found && { ...found, same: same(body, found.server) };
  });
  if (quick !== undefined) return quick;
  const raw = ((yamlValue(text) as { servers?: { name: string }[] } | null)?.servers ?? []).map(
    (each) => [each.name, each] as const,
  );
  const written = new Map(raw);
  const servers = after.map((body) => {
    const found = old.get(body.name);
    return found !== undefined && same(body, found.server) ? written.get(body.name)! : body;
  });
  return editYaml(text, { servers });
}

function editItem(text: string, body: ServerBody): string {
  return editYaml(`servers:\n${text}`, { servers: [body] }).slice('servers:\n'.length);
}

/** A list of plain names on one line. */
const templatesLine = /^( *(?:- )?templates: *\[)( *)((?:[\w.-]+(?:, *[\w.-]+)*)?)( *\])/m;

/**
 * `editItem` where only templates were assigned or removed, and stand as a list on one line: a bulk assignment edits a thousand
 * items, and their parsing would take most of its time. `undefined`: it is something else.
 */
function editTemplates(text: string, before: Server, body: ServerBody): string | undefined {
  const { templates } = body;
  const isOther = !isDeepStrictEqual({ ...serverBody(before), templates }, body);
  const line = templatesLine.exec(text);
  if (isOther || line === null || templates.length === 0) return undefined;
  const [whole, start = '', margin = '', names = '', end = ''] = line;
  if (names !== before.templates.join(', ') || (names === '' && margin !== '')) return undefined;
  const had = new Set(before.templates);
  // A name that stands there stays as it is written.
  const list = templates.map((name) => (had.has(name) ? name : inlineText(name))).join(', ');
  const edited =
    text.slice(0, line.index) + start + margin + list + end + text.slice(line.index + whole.length);
  const server = readItem(edited);
  return server !== undefined && isDeepStrictEqual(serverBody(server), body) ? edited : undefined;
}

/** `editServers` for the usual layout and usual changes; `undefined` for others. */
function editItems(
  text: string,
  before: readonly Server[],
  after: readonly ServerBody[],
  find: (body: ServerBody) => { index: number; server: Server; same: boolean } | undefined,
): string | undefined {
  const items = split(text);
  if (items?.texts.length !== before.length || after.length === 0) return undefined;
  const { head, texts, indent } = items;
  const apart = texts.length > 1 && texts[0]!.endsWith('\n\n');
  const lost = new Set(texts.keys());
  const parts: string[] = [];
  let last = -1;
  for (const body of after) {
    const found = find(body);
    if (found === undefined) {
      if (hasRemarksBehind(texts.at(-1)!)) return undefined;
      if (apart && parts.at(-1)?.endsWith('\n\n') === false) parts.push('\n');
      parts.push(`${itemText(body, indent)}\n`);
      last = texts.length;
      continue;
    }
    const { index, server, same } = found;
    // Remaining ones keep their order, and new ones come last.
    if (index < last) return undefined;
    last = index;
    lost.delete(index);
    const own = texts[index]!;
    parts.push(same ? own : (editTemplates(own, server, body) ?? editItem(own, body)));
  }
  for (const index of lost) if (hasRemarksBehind(texts[index]!)) return undefined;
  const joined = head + parts.join('');
  return lost.has(texts.length - 1) ? joined.replace(/\n+$/, '\n') : joined;
}
