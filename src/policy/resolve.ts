/**
 * What a policy means at one moment: which templates each server has, and which addresses each rule is about.
 *
 * This is the only place that knows the members of `server:`, `template:`, `set:`, `label:` and `appliesTo`. The compiler,
 * the explanation, the review and the exports ask it. Invariants: a resolver belongs to one source and one moment, and
 * never changes; a group that does not exist has no members; a circle of sets ends where it closes.
 */
import { isGroup } from './peers.ts';
import { allAddresses, noRanges, rangesOf, subtractRanges, unionRanges } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { selects } from './selector.ts';
import type { Labels } from './selector.ts';
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

/** A template that a server has, and the selector of the template that gave it; none if the server names it. */
export interface Assignment {
  readonly template: string;
  readonly selector?: Selector;
}

/** Labels of a server; its region is one of them. */
export function labelsOf({ labels, region }: Server): Labels {
  return region === undefined ? (labels ?? {}) : { ...labels, region };
}

/** Whether a rule's end has come. */
export function hasExpired({ expires }: Rule, nowMs: number): boolean {
  return expires !== undefined && nowMs >= Date.parse(expires);
}

/** Whether a rule allows anything at that moment. */
export function isLive(rule: Rule, nowMs: number): boolean {
  return rule.enabled !== false && !hasExpired(rule, nowMs);
}

export class Resolver {
  readonly #source: PolicySource;
  readonly #servers: ReadonlyMap<string, Server>;
  readonly #sets: ReadonlyMap<string, AddressSet>;
  readonly #nowMs: number;
  readonly #labels: readonly Labels[];
  /** By index of the server. */
  readonly #assignments: readonly (readonly Assignment[])[];
  /** By the text of a group. */
  readonly #ranges: Map<string, Ranges> = new Map<string, Ranges>();
  readonly #setRanges: Map<string, Ranges> = new Map<string, Ranges>();

  constructor(source: PolicySource, nowMs: number) {
    this.#source = source;
    this.#nowMs = nowMs;
    this.#servers = new Map(source.servers.map((each) => [each.name, each]));
    this.#sets = new Map((source.sets ?? []).map((each) => [each.name, each]));
    this.#labels = source.servers.map(labelsOf);
    const applying = source.templates.filter(({ appliesTo }) => appliesTo !== undefined);
    this.#assignments = source.servers.map(({ templates }, index) => {
      const named = templates.map((template): Assignment => ({ template }));
      const applied = applying.flatMap(({ name, appliesTo }): Assignment[] => {
        if (templates.includes(name)) return [];
        const selector = appliesTo!.find((each) => selects(each, this.#labels[index]!));
        return selector === undefined ? [] : [{ template: name, selector }];
      });
      return [...named, ...applied];
    });
  }

  /** Servers that a group means; a set has none. */
  membersOf(group: GroupPeer): readonly Server[] {
    return this.#serversOf(group);
  }

  /** Templates of a server, those that it names first. @param server its index in the source */
  assignmentsOf(server: number): readonly Assignment[] {
    return this.#assignments[server]!;
  }

  /** Indices of the servers whose labels match. */
  selected(selector: Selector): number[] {
    return this.#labels.flatMap((labels, index) => (selects(selector, labels) ? [index] : []));
  }

  isLive(rule: Rule): boolean {
    return isLive(rule, this.#nowMs);
  }

  /** Addresses that a rule is about; `undefined`: any. */
  rangesOf({ peers, except }: Rule): Ranges | undefined {
    if (except === undefined) return peers === undefined ? undefined : this.#union(peers);
    const from = peers === undefined ? allAddresses : this.#union(peers);
    return subtractRanges(from, this.#union(except));
  }

  #union(peers: readonly Peer[]): Ranges {
    const plain = peers.filter((peer): peer is AddressRange => !isGroup(peer));
    const groups = peers.filter(isGroup).map((group) => this.#rangesOfGroup(group));
    return unionRanges(plain.length === 0 ? groups : [rangesOf(plain), ...groups]);
  }

  #rangesOfGroup(group: GroupPeer): Ranges {
    let ranges = this.#ranges.get(group.text);
    if (ranges === undefined) {
      ranges =
        group.kind === 'set'
          ? this.#rangesOfSet(group.name)
          : rangesOf(this.#serversOf(group).flatMap(addressRanges));
      this.#ranges.set(group.text, ranges);
    }
    return ranges;
  }

  #serversOf(group: GroupPeer): readonly Server[] {
    const { servers } = this.#source;
    switch (group.kind) {
      case 'server': {
        const server = this.#servers.get(group.name);
        return server === undefined ? [] : [server];
      }
      case 'template':
        return servers.filter((_, index) =>
          this.#assignments[index]!.some(({ template }) => template === group.name),
        );
      case 'label':
        return this.selected(group.selector).map((index) => servers[index]!);
      case 'set':
        return [];
    }
  }

  #rangesOfSet(name: string): Ranges {
    const known = this.#setRanges.get(name);
    if (known !== undefined) return known;
    // Until it is known: here a circle ends.
    this.#setRanges.set(name, noRanges);
    const set = this.#sets.get(name);
    if (set === undefined) return noRanges;
    const parts = set.include.map((each) => this.#rangesOfSet(each));
    parts.push(rangesOf(set.addresses));
    if (set.list !== undefined) parts.push(set.list);
    const ranges = subtractRanges(unionRanges(parts), rangesOf(set.except));
    this.#setRanges.set(name, ranges);
    return ranges;
  }
}

function addressRanges({ addresses }: Server): { from: number; to: number }[] {
  return addresses.map((address) => ({ from: address, to: address }));
}
