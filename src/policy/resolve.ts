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
import { selects } from './selector.ts';
import type { Labels } from './selector.ts';
import type {
  AddressRange,
  AddressSet,
  GroupPeer,
  Peer,
  PolicySource,
  Requirement,
  Rule,
  Selector,
  Server,
} from './types.ts';

/** A template that a server has, and the selector of the template that gave it; none if the server names it. */
export interface Assignment {
  readonly template: string;
  readonly selector?: Selector;
}

/** Labels of a server; its region is one of them. */
export function labelsOf(server: Server): Labels {
  const { labels = noLabels, region } = server;
  if (region === undefined) return labels;
  let all = labelsWithRegion.get(server);
  if (all === undefined) labelsWithRegion.set(server, (all = { ...labels, region }));
  return all;
}

const noLabels: Labels = {};
const nobody: readonly number[] = [];
const labelsWithRegion = new WeakMap<Server, Labels>();

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
const namedBy = new WeakMap<Server, readonly Assignment[]>();

export class Resolver {
  readonly #source: PolicySource;
  #serversByName: ReadonlyMap<string, Server> | undefined;
  readonly #sets: ReadonlyMap<string, AddressSet>;
  /** The moment at which rules have expired or not. */
  readonly nowMs: number;
  readonly #labels: readonly Labels[];
  /** By index of the server. */
  readonly #assignments: readonly (readonly Assignment[])[];
  /** By the text of a selector. */
  readonly #selected: Map<string, readonly number[]> = new Map<string, readonly number[]>();
  /** By what is left of a selector: those that mean the same have the same list, and so on. */
  readonly #selectedByMeaning = new Map<string, readonly number[]>();
  readonly #serversBySelected = new Map<readonly number[], readonly Server[]>();
  readonly #rangesByServers = new Map<readonly Server[], Ranges>();
  /** Servers by label and its value. */
  #byLabel: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>> | undefined;
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
    this.#labels = source.servers.map(labelsOf);
    const applied = this.#appliedAssignments();
    this.#assignments = source.servers.map((server, index) => {
      const named = namedAssignments(server);
      const more = applied.get(index);
      return more === undefined ? named : [...named, ...more];
    });
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

  /** Templates of a server, those that it names first. @param server its index in the source */
  assignmentsOf(server: number): readonly Assignment[] {
    return this.#assignments[server]!;
  }

  /** Indices of the servers whose labels match. */
  selected(selector: Selector): readonly number[] {
    const known = this.#selected.get(selector.text);
    if (known !== undefined) return known;
    const requirements = this.#telling(selector);
    const found = requirements === undefined ? nobody : this.#meeting(requirements);
    this.#selected.set(selector.text, found);
    return found;
  }

  #meeting(requirements: readonly Requirement[]): readonly number[] {
    const meaning = requirements.map(meaningOfRequirement).sort().join('\n');
    let found = this.#selectedByMeaning.get(meaning);
    if (found === undefined) {
      const matches = (index: number): boolean => selects({ requirements }, this.#labels[index]!);
      found = this.#candidates(requirements).filter(matches);
      this.#selectedByMeaning.set(meaning, found);
    }
    return found;
  }

  /** The conditions that are not true of all servers; `undefined`: one is true of none. Labels that nobody has tell nothing apart. */
  #telling({ requirements }: Selector): Requirement[] | undefined {
    this.#byLabel ??= this.#indexLabels();
    const telling: Requirement[] = [];
    for (const { key, test, values } of requirements) {
      const byValue = this.#byLabel.get(key);
      const known = byValue === undefined ? [] : values.filter((value) => byValue.has(value));
      const tells =
        test === 'exists' || test === 'absent' ? byValue !== undefined : known.length > 0;
      if (tells) telling.push({ key, test, values: known });
      else if (test === 'exists' || test === 'in') return undefined;
    }
    return telling;
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
      ranges =
        group.kind === 'set'
          ? this.#rangesOfSet(group.name)
          : this.#rangesOfServers(this.#serversOf(group));
      const before = this.#rangesBefore?.get(group.text);
      if (before !== undefined && equalRanges(before, ranges)) ranges = before;
      this.#ranges.set(group.text, ranges);
    }
    return ranges;
  }

  #rangesOfServers(servers: readonly Server[]): Ranges {
    let ranges = this.#rangesByServers.get(servers);
    if (ranges === undefined) {
      ranges = rangesOf(servers.flatMap(addressRanges));
      this.#rangesByServers.set(servers, ranges);
    }
    return ranges;
  }

  /** Templates that servers have by their labels, and by which selector first; by index of the server. */
  #appliedAssignments(): ReadonlyMap<number, readonly Assignment[]> {
    const { templates, servers } = this.#source;
    const applied = new Map<number, Assignment[]>();
    for (const { name: template, appliesTo = [] } of templates) {
      const seen = new Set<number>();
      const lists = new Set<readonly number[]>();
      for (const selector of appliesTo) {
        if (seen.size === servers.length) break;
        const selected = this.selected(selector);
        if (lists.has(selected)) continue;
        lists.add(selected);
        for (const index of selected) {
          if (seen.has(index)) continue;
          seen.add(index);
          if (servers[index]!.templates.includes(template)) continue;
          const assignments = applied.get(index);
          if (assignments === undefined) applied.set(index, [{ template, selector }]);
          else assignments.push({ template, selector });
        }
      }
    }
    return applied;
  }

  /** Indices of servers, among them all that can match: never looks at all of them where a label must be there. */
  #candidates(requirements: readonly Requirement[]): readonly number[] {
    const required =
      requirements.find(({ test }) => test === 'in') ??
      requirements.find(({ test }) => test === 'exists');
    if (required === undefined) return [...this.#labels.keys()];
    const { key, test, values } = required;
    const byValue = (this.#byLabel ??= this.#indexLabels()).get(key);
    if (byValue === undefined) return [];
    if (test === 'in' && values.length === 1) return byValue.get(values[0]!) ?? [];
    const wanted = test === 'in' ? [...new Set(values)] : [...byValue.keys()];
    return wanted.flatMap((value) => byValue.get(value) ?? []).sort((a, b) => a - b);
  }

  #indexLabels(): Map<string, Map<string, number[]>> {
    const byLabel = new Map<string, Map<string, number[]>>();
    for (const [index, labels] of this.#labels.entries()) {
      for (const [key, value] of Object.entries(labels)) {
        let byValue = byLabel.get(key);
        if (byValue === undefined) byLabel.set(key, (byValue = new Map<string, number[]>()));
        const servers = byValue.get(value);
        if (servers === undefined) byValue.set(value, [index]);
        else servers.push(index);
      }
    }
    return byLabel;
  }

  #serversOf(group: GroupPeer): readonly Server[] {
    const { servers } = this.#source;
    switch (group.kind) {
      case 'server': {
        this.#serversByName ??= new Map(servers.map((each) => [each.name, each]));
        const server = this.#serversByName.get(group.name);
        return server === undefined ? [] : [server];
      }
      case 'template':
        return servers.filter((_, index) =>
          this.#assignments[index]!.some(({ template }) => template === group.name),
        );
      case 'label': {
        const selected = this.selected(group.selector);
        let members = this.#serversBySelected.get(selected);
        if (members === undefined) {
          members = selected.map((index) => servers[index]!);
          this.#serversBySelected.set(selected, members);
        }
        return members;
      }
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

/** The templates that a server names. */
function namedAssignments(server: Server): readonly Assignment[] {
  let named = namedBy.get(server);
  if (named === undefined) {
    named = server.templates.map((template) => ({ template }));
    namedBy.set(server, named);
  }
  return named;
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

/** Equal for conditions that mean the same. No part of one has a blank, a comma or a line break. */
function meaningOfRequirement({ key, test, values }: Requirement): string {
  return `${key} ${test} ${[...values].sort().join(',')}`;
}

/** Equal for peers that mean the same addresses whatever the servers are. */
function meaningOf(peer: Peer): string {
  return isGroup(peer) ? peer.text : `${peer.from}-${peer.to}`;
}

function addressRanges({ addresses }: Server): { from: number; to: number }[] {
  return addresses.map((address) => ({ from: address, to: address }));
}
