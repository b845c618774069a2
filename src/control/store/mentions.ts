/**
 * Who names what: the places where a template, server or set is named by others, and the same files with another name
 * or without it.
 *
 * What is named cannot go away under those that name it. When it is taken from them by force, nothing gets wider that
 * was about it alone: a rule whose sources or destinations were all removed would be for any address, so the rule goes
 * too. An `except` that is left empty takes nothing away, as one that names nobody.
 */
import { isGroup, parsePeer } from '../../policy/peers.ts';
import { andMore } from '../../policy/problem.ts';
import type { AddressSet, Peer, Rule, Server, Template } from '../../policy/types.ts';
import { directions, peersKey } from '../../text/rule-text.ts';

export interface Named {
  readonly kind: 'template' | 'server' | 'set';
  readonly name: string;
}

/** A place where something is named. */
export interface Mention {
  /** What names it. */
  readonly kind: Named['kind'];
  readonly name: string;
  /** Where in it: `inbound[0].sources[1]`, `templates[0]`, `include[0]`. */
  readonly path: string;
}

export interface Naming {
  readonly templates: Iterable<Pick<Template, 'name' | 'inbound' | 'outbound'>>;
  readonly servers: Iterable<Pick<Server, 'name' | 'templates'>>;
  readonly sets: Iterable<Pick<AddressSet, 'name' | 'include'>>;
}

export type Mentions = ReadonlyMap<string, readonly Mention[]>;

/** All mentions, by what is named: see {@link mentionsOf}. */
export function findMentions({ templates, servers, sets }: Naming): Mentions {
  const found = new Map<string, Mention[]>();
  const add = (named: Named, by: Mention): void => {
    // That it names itself keeps nothing from going away.
    if (named.kind === by.kind && named.name === by.name) return;
    const list = found.get(keyOf(named));
    if (list === undefined) found.set(keyOf(named), [by]);
    else list.push(by);
  };
  for (const { name, templates: own } of servers) {
    own.forEach((template, index) => {
      add(
        { kind: 'template', name: template },
        { kind: 'server', name, path: `templates[${index}]` },
      );
    });
  }
  for (const template of templates) {
    forEachPeer(template, (peer, path) => {
      if (!isGroup(peer) || peer.kind === 'label') return;
      add({ kind: peer.kind, name: peer.name }, { kind: 'template', name: template.name, path });
    });
  }
  for (const { name, include } of sets) {
    include.forEach((each, index) => {
      add({ kind: 'set', name: each }, { kind: 'set', name, path: `include[${index}]` });
    });
  }
  return found;
}

export function mentionsOf(mentions: Mentions, named: Named): readonly Mention[] {
  return mentions.get(keyOf(named)) ?? [];
}

function keyOf({ kind, name }: Named): string {
  return `${kind}:${name}`;
}

function forEachPeer(
  template: Pick<Template, 'inbound' | 'outbound'>,
  visit: (peer: Peer, path: string) => void,
): void {
  for (const direction of directions) {
    const key = peersKey(direction);
    template[direction].forEach(({ peers, except }: Rule, index) => {
      const rule = `${direction}[${index}]`;
      peers?.forEach((peer, at) => visit(peer, `${rule}.${key}[${at}]`));
      except?.forEach((peer, at) => visit(peer, `${rule}.except[${at}]`));
    });
  }
}

/** How many places a sentence names. */
const placesShown = 20;

/** `is assigned to web-1, and is named by set vpn (include[0])` */
export function usedByWords(usedBy: readonly Mention[]): string {
  const servers = usedBy.flatMap(({ kind, name }) => (kind === 'server' ? name : []));
  const others = usedBy.flatMap(({ kind, name, path }) =>
    kind === 'server' ? [] : `${kind} ${name} (${path})`,
  );
  const list = (words: readonly string[]): string => {
    const more = words.length - placesShown;
    return [...words.slice(0, placesShown), ...(more > 0 ? [andMore(more)] : [])].join(', ');
  };
  return [
    ...(servers.length > 0 ? [`is assigned to ${list(servers)}`] : []),
    ...(others.length > 0 ? [`is named by ${list(others)}`] : []),
  ].join(', and ');
}

/** The content of a file, as plain values. */
type Content = Readonly<Record<string, unknown>>;

/** The content with `to` instead of a name; `undefined`: without it. */
export function withoutName(content: Content, named: Named, to: string | undefined): Content {
  const peers = (value: unknown): unknown => renamedPeers(value, named, to);
  const result: Record<string, unknown> = { ...content };
  if (named.kind === 'set') replace(result, 'include', peers);
  for (const direction of directions) {
    if (result[direction] === undefined) continue;
    // One rule may stand for a list of one.
    const rules = [result[direction]].flat() as Content[];
    result[direction] = rules.flatMap((rule) => {
      const next: Record<string, unknown> = { ...rule };
      for (const key of ['sources', 'destinations']) {
        if (!replace(next, key, peers)) return [];
      }
      replace(next, 'except', peers);
      return [next];
    });
  }
  return result;
}

/** Replaces a list; one that becomes empty goes. @returns false if it went */
function replace(
  content: Record<string, unknown>,
  key: string,
  change: (value: unknown) => unknown,
): boolean {
  if (content[key] === undefined) return true;
  const next = change(content[key]);
  if (next !== undefined) content[key] = next;
  else Reflect.deleteProperty(content, key);
  return next !== undefined;
}

/** @param value a list, or one value that stands for a list of one. @returns `undefined` when nothing is left */
function renamedPeers(value: unknown, named: Named, to: string | undefined): unknown {
  const renamed = (text: unknown): unknown[] => {
    if (typeof text !== 'string') return [text];
    const peer = parsePeer(text);
    const same =
      'value' in peer &&
      isGroup(peer.value) &&
      peer.value.kind === named.kind &&
      peer.value.name === named.name;
    if (!same) return [text];
    return to === undefined ? [] : [`${named.kind}:${to}`];
  };
  if (!Array.isArray(value)) return renamed(value)[0];
  const next = value.flatMap(renamed);
  return next.length === 0 && value.length > 0 ? undefined : next;
}
