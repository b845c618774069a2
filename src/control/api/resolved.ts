/**
 * What the peers of a rule mean at this moment: the ranges of each, and the server or set that they come from.
 *
 * It follows what is stored, not what is in force: usually the same. Long lists are cut, with the number of the rest.
 */
import { formatRange } from '../../policy/addresses.ts';
import { isGroup } from '../../policy/peers.ts';
import { allAddresses, rangesOf, subtractRanges } from '../../policy/ranges.ts';
import type { Ranges } from '../../policy/ranges.ts';
import { Resolver } from '../../policy/resolve.ts';
import type { Rule } from '../../policy/types.ts';
import type { Snapshot } from '../store/store.ts';

/** Ranges shown for one origin. */
const maxRanges = 100;

/** Servers, and origins of addresses, that one answer names. */
const maxNamed = 200;

/** Origins shown for one rule: a few groups of everybody in the largest network. */
const maxOfRule = 10_000;

export interface ResolvedPeer {
  /** As written. */
  readonly peer: string;
  /** Absent: the address, block or range itself, or a selector that matches nobody. */
  readonly server?: string;
  /** The set itself, or one that it includes. */
  readonly set?: string;
  /** Addresses, blocks and ranges, without what `except` takes away. */
  readonly ranges: readonly string[];
  /** How many more ranges there are. */
  readonly more?: number;
}

const known = new WeakMap<Snapshot, Resolver>();

/** One resolver for each snapshot: it keeps what it has found. */
export function resolverOf(snapshot: Snapshot): Resolver {
  let resolver = known.get(snapshot);
  if (resolver === undefined) {
    // Members do not depend on the time.
    resolver = new Resolver(snapshot, 0);
    known.set(snapshot, resolver);
  }
  return resolver;
}

/** The first ones; nothing for a rule that is for any address. */
export function resolvedPeers(
  resolver: Resolver,
  rule: Rule,
  most: number = maxOfRule,
): ResolvedPeer[] {
  const resolved: ResolvedPeer[] = [];
  for (const each of eachResolved(resolver, rule)) {
    if (resolved.length === most) break;
    resolved.push(each);
  }
  return resolved;
}

function* eachResolved(
  resolver: Resolver,
  { peers = [], except }: Rule,
): Generator<ResolvedPeer, void> {
  const taken = except && resolver.rangesOf({ protocol: 'all', peers: except });
  const remaining = (ranges: Ranges): Pick<ResolvedPeer, 'ranges' | 'more'> =>
    shownRanges(taken === undefined ? ranges : subtractRanges(ranges, taken));
  for (const peer of peers) {
    const { text } = peer;
    if (!isGroup(peer)) yield { peer: text, ...remaining(rangesOf([peer])) };
    else if (peer.kind === 'set') {
      const origins = resolver.originsOf(peer.name);
      if (origins.length === 0) yield { peer: text, set: peer.name, ranges: [] };
      for (const { set, ranges } of origins) yield { peer: text, set, ...remaining(ranges) };
    } else {
      const members = resolver.membersOf(peer);
      if (members.length === 0) yield { peer: text, ranges: [] };
      for (const { name, addresses } of members) {
        const own = rangesOf(addresses.map((address) => ({ from: address, to: address })));
        yield { peer: text, server: name, ...remaining(own) };
      }
    }
  }
}

/** What some peers mean together. */
export interface Meaning {
  /** How many servers are meant by name, template or label. */
  readonly serverCount: number;
  /** The first of them. */
  readonly servers: readonly string[];
  /** IPv4 addresses, without what `except` takes away. */
  readonly addressCount: number;
  /** The first origins of these addresses. */
  readonly resolved: readonly ResolvedPeer[];
}

export function meaningOf(resolver: Resolver, rule: Rule): Meaning {
  const groups = new Map((rule.peers ?? []).filter(isGroup).map((each) => [each.text, each]));
  const servers = new Set<string>();
  // Groups that mean the same have the same list of members.
  const lists = new Set([...groups.values()].map((group) => resolver.membersOf(group)));
  for (const members of lists) for (const { name } of members) servers.add(name);
  return {
    serverCount: servers.size,
    servers: [...servers].slice(0, maxNamed),
    addressCount: countAddresses(resolver.rangesOf(rule) ?? allAddresses),
    resolved: resolvedPeers(resolver, rule, maxNamed),
  };
}

const counts = new WeakMap<Ranges, number>();

export function countAddresses(ranges: Ranges): number {
  let count = counts.get(ranges);
  if (count === undefined) {
    count = 0;
    for (let at = 0; at < ranges.length; at += 2) count += ranges[at + 1]! - ranges[at]! + 1;
    counts.set(ranges, count);
  }
  return count;
}

function shownRanges(ranges: Ranges): Pick<ResolvedPeer, 'ranges' | 'more'> {
  const count = ranges.length / 2;
  const shown = Array.from({ length: Math.min(count, maxRanges) }, (_, index) =>
    formatRange(ranges[index * 2]!, ranges[index * 2 + 1]!),
  );
  return { ranges: shown, ...(count > maxRanges && { more: count - maxRanges }) };
}
