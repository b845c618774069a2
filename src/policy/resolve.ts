/**
 * What a policy means at one moment: which templates each server has, and which addresses each rule is about.
 *
 * This is the only place that knows the members of `server:`, `template:`, `set:`, `label:` and `appliesTo`. The compiler,
 * the explanation, the review and the exports ask it. Invariants: a resolver belongs to one source and one moment, and
 * never changes; a group that does not exist has no members; a circle of sets ends where it closes.
 */
import { isGroup } from './peers.ts';
import {
  allAddresses,
  equalRanges,
  intersectRanges,
  noRanges,
  rangesOf,
  subtractRanges,
  unionRanges,
} from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { ServerIndex, addressesOf } from './server-index.ts';
import type { Assignment } from './server-index.ts';
import type {
  AddressRange,
  AddressSet,
  GroupPeer,
  Peer,
  PolicySource,
  Rule,
  Selector,
  Server,
} from './types.ts';

/** Whether a rule's end has come. */
export function hasExpired({ expires }: Rule, nowMs: number): boolean {
  return expires !== undefined && nowMs >= Date.parse(expires);
}

/** Whether a rule allows anything at that moment. */
export function isLive(rule: Rule, nowMs: number): boolean {
  return rule.enabled !== false && !hasExpired(rule, nowMs);
}

/** Ranges, and what they were made of: the same parts give the same ranges. */
interface Combined {
  readonly parts: readonly Ranges[];
  readonly ranges: Ranges;
}

/** Addresses of a set that it has itself, or that it has of another one. */
export interface SetOrigin {
  readonly set: string;
  readonly ranges: Ranges;
}

type CombinedByName = Map<string, Combined>;

/** So many peers, and what is left when others are excepted, are put together in no time. */
const shortRule = 8;

/** What depends on nothing else, by what it is of. */
const rangesOfPlainRules = new WeakMap<Rule, Ranges>();
const rangesOfSets = new WeakMap<AddressSet, { readonly own: Ranges; readonly except: Ranges }>();

export class Resolver {
  readonly #source: PolicySource;
  readonly #servers: ServerIndex;
  readonly #sets: ReadonlyMap<string, AddressSet>;
  /** The moment at which rules have expired or not. */
  readonly nowMs: number;
  /** By index of the server. */
  readonly #assignments: readonly (readonly Assignment[])[];
  /** By the text of a group, of this resolver and the one before. */
  readonly #ranges: Map<string, Ranges> = new Map<string, Ranges>();
  readonly #rangesBefore: ReadonlyMap<string, Ranges> | undefined = undefined;
  /** By name. */
  readonly #setRanges: CombinedByName = new Map<string, Combined>();
  readonly #setRangesBefore: CombinedByName | undefined = undefined;
  /** Of rules that name groups, by what they name. */
  readonly #ruleRanges: CombinedByName = new Map<string, Combined>();
  readonly #ruleRangesBefore: CombinedByName | undefined = undefined;

  /** @param before of an earlier state: what means the same addresses in both is the same object */
  constructor(source: PolicySource, nowMs: number, before?: Resolver) {
    this.#source = source;
    this.nowMs = nowMs;
    if (before !== undefined) {
      this.#rangesBefore = before.#ranges;
      this.#setRangesBefore = before.#setRanges;
      this.#ruleRangesBefore = before.#ruleRanges;
    }
    this.#sets = new Map((source.sets ?? []).map((each) => [each.name, each]));
    this.#servers = ServerIndex.of(source.servers);
    this.#assignments = this.#servers.assignments(source.templates);
  }

  /** Servers that a group means; a set has none. */
  membersOf(group: GroupPeer): readonly Server[] {
    return this.#serversOf(group);
  }

  /**
   * Which sets have the addresses of one: itself, and those that it includes, directly or not. Each address stands with the first
   * set that has it.
   *
   * @param within only these addresses
   */
  originsOf(set: string, within: Ranges = this.#rangesOfSet(set)): readonly SetOrigin[] {
    const seen = new Set<string>();
    const find = (name: string, asked: Ranges): SetOrigin[] => {
      const found = this.#sets.get(name);
      if (found === undefined || seen.has(name) || asked.length === 0) return [];
      seen.add(name);
      const had = intersectRanges(asked, this.#rangesOfSet(name));
      if (found.include.length === 0) return had.length === 0 ? [] : [{ set: name, ranges: had }];
      const { own } = plainRangesOf(found);
      const ranges = intersectRanges(had, unionRanges([own, found.list ?? noRanges]));
      const origins: SetOrigin[] = ranges.length === 0 ? [] : [{ set: name, ranges }];
      let left = subtractRanges(had, ranges);
      for (const each of found.include) {
        const included = find(each, left);
        origins.push(...included);
        left = subtractRanges(left, unionRanges(included.map((origin) => origin.ranges)));
      }
      return origins;
    };
    return find(set, within);
  }

  /** Index of a server in the source. */
  indexOf(name: string): number | undefined {
    return this.#servers.indexOf(name);
  }

  /** Templates of a server, those that it names first. @param server its index in the source */
  assignmentsOf(server: number): readonly Assignment[] {
    return this.#assignments[server]!;
  }

  /** Indices of the servers whose labels match. */
  selected(selector: Selector): readonly number[] {
    return this.#servers.selected(selector);
  }

  isLive(rule: Rule): boolean {
    return isLive(rule, this.nowMs);
  }

  /** Addresses that a rule is about; `undefined`: any. */
  rangesOf(rule: Rule): Ranges | undefined {
    const { peers, except = [] } = rule;
    if (peers === undefined && except.length === 0) return undefined;
    if (peers?.some(isGroup) !== true && !except.some(isGroup)) {
      return plainRangesOfRule(rule, () => this.#subtract(peers, except));
    }
    const key = `${peers?.map(meaningOf).join('\n') ?? 'any'}\n\n${except.map(meaningOf).join('\n')}`;
    const known = this.#ruleRanges.get(key);
    if (known !== undefined) return known.ranges;
    const groups = [...(peers ?? []), ...except].filter(isGroup);
    const parts = groups.map((group) => this.#rangesOfGroup(group));
    const combined = combine(this.#ruleRangesBefore?.get(key), parts, () =>
      this.#subtract(peers, except),
    );
    this.#ruleRanges.set(key, combined);
    return combined.ranges;
  }

  #subtract(peers: readonly Peer[] | undefined, except: readonly Peer[]): Ranges {
    const from = peers === undefined ? allAddresses : this.#union(peers);
    return subtractRanges(from, this.#union(except));
  }

  #union(peers: readonly Peer[]): Ranges {
    const plain = peers.filter((peer): peer is AddressRange => !isGroup(peer));
    const groups = peers.filter(isGroup).map((group) => this.#rangesOfGroup(group));
    const different = groups.length > shortRule ? [...new Set(groups)] : groups;
    return unionRanges(plain.length === 0 ? different : [rangesOf(plain), ...different]);
  }

  #rangesOfGroup(group: GroupPeer): Ranges {
    let ranges = this.#ranges.get(group.text);
    if (ranges === undefined) {
      const before = this.#rangesBefore?.get(group.text);
      ranges = this.#findRanges(group, before);
      if (before !== undefined && equalRanges(before, ranges)) ranges = before;
      this.#ranges.set(group.text, ranges);
    }
    return ranges;
  }

  #findRanges(group: GroupPeer, before: Ranges | undefined): Ranges {
    switch (group.kind) {
      case 'set':
        return this.#rangesOfSet(group.name);
      case 'label':
        return this.#servers.rangesOf(group.selector, before);
      default:
        return addressesOf(this.#serversOf(group));
    }
  }

  #serversOf(group: GroupPeer): readonly Server[] {
    const { servers } = this.#source;
    switch (group.kind) {
      case 'server': {
        const index = this.#servers.indexOf(group.name);
        return index === undefined ? [] : [servers[index]!];
      }
      case 'template':
        return servers.filter((_, index) =>
          this.#assignments[index]!.some(({ template }) => template === group.name),
        );
      case 'label':
        return this.#servers.serversOf(group.selector);
      case 'set':
        return [];
    }
  }

  #rangesOfSet(name: string): Ranges {
    const known = this.#setRanges.get(name);
    if (known !== undefined) return known.ranges;
    // Until it is known: here a circle ends.
    this.#setRanges.set(name, { parts: [], ranges: noRanges });
    const set = this.#sets.get(name);
    if (set === undefined) return noRanges;
    const { own, except } = plainRangesOf(set);
    const added = [...set.include.map((each) => this.#rangesOfSet(each)), own];
    if (set.list !== undefined) added.push(set.list);
    const combined = combine(this.#setRangesBefore?.get(name), [...added, except], () =>
      subtractRanges(unionRanges(added), except),
    );
    this.#setRanges.set(name, combined);
    return combined.ranges;
  }
}

/** Of a rule without groups. Those of short ones are found anew: to remember them for very many rules costs more than that. */
function plainRangesOfRule(rule: Rule, find: () => Ranges): Ranges {
  const { peers = [], except = [] } = rule;
  if (peers.length + except.length <= shortRule && rule.expires === undefined) return find();
  let ranges = rangesOfPlainRules.get(rule);
  if (ranges === undefined) rangesOfPlainRules.set(rule, (ranges = find()));
  return ranges;
}

function plainRangesOf(set: AddressSet): { readonly own: Ranges; readonly except: Ranges } {
  let ranges = rangesOfSets.get(set);
  if (ranges === undefined) {
    ranges = { own: rangesOf(set.addresses), except: rangesOf(set.except) };
    rangesOfSets.set(set, ranges);
  }
  return ranges;
}

/** What was made before, if it was made of the same parts. */
function combine(
  before: Combined | undefined,
  parts: readonly Ranges[],
  make: () => Ranges,
): Combined {
  const same =
    before?.parts.length === parts.length &&
    parts.every((part, index) => part === before.parts[index]);
  return same ? before : { parts, ranges: make() };
}

/** Equal for peers that mean the same addresses whatever the servers are. */
function meaningOf(peer: Peer): string {
  return isGroup(peer) ? peer.text : `${peer.from}-${peer.to}`;
}
