/**
 * What a change lets servers open, or be opened, that they could not before; in sentences: `web-1, web-2: TCP, every port, from
 * the whole Internet`.
 *
 * It is exact: what another rule has allowed before is no opening. Addresses and ports are computed as ranges. Asked the other
 * way round, it says what closes.
 */
import { formatRange } from './addresses.ts';
import { isObserving } from './observe.ts';
import { rulesWithGroups } from './peers.ts';
import {
  allAddresses,
  equalRanges,
  noRanges,
  overlap,
  rangesOf,
  sizeOfRanges,
  subtractRanges,
  unionRanges,
} from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { Resolver } from './resolve.ts';
import type { Peer, PolicySource, Rule, Server, Template } from './types.ts';
import { directions } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';

/** What one rule lets through at one moment. */
export interface Gate {
  readonly protocol: Rule['protocol'];
  readonly ports: Ranges;
  readonly addresses: Ranges;
  /** As the rule has them; none: any. */
  readonly peers: string | undefined;
}

/** What a rule lets through that no rule did before. */
export interface Opening {
  readonly protocol: Protocol;
  readonly ports: Ranges;
  readonly addresses: Ranges;
  /** Of the rule, if it is about exactly these addresses. */
  readonly peers: string | undefined;
}

const protocols = ['tcp', 'udp', 'icmp'] as const;
export type Protocol = (typeof protocols)[number];

const allPorts: Ranges = Uint32Array.of(0, 0xffff);

/** Servers with the same templates are compared once; of so many kinds, what they open is reported. */
const maxKinds = 200;
const maxSentences = 100;
const maxServers = 10;
const maxRanges = 5;
const half = 2 ** 31;

/** Rules of one state and moment. */
class State {
  readonly resolver: Resolver;
  readonly #source: PolicySource;
  readonly #templates: ReadonlyMap<string, Template>;
  #owners: ReadonlyMap<number, string> | undefined;

  constructor(source: PolicySource, nowMs: number, before?: Resolver) {
    this.#source = source;
    this.resolver = new Resolver(source, nowMs, before);
    this.#templates = new Map(source.templates.map((each) => [each.name, each]));
  }

  server(name: string): Server | undefined {
    return this.#source.servers[this.resolver.indexOf(name) ?? -1];
  }

  addressesOf(server: string): readonly number[] {
    return this.server(server)?.addresses ?? [];
  }

  /** Who has all of these addresses, by whatever name: a server that is renamed opens nothing. */
  ownerOf(addresses: readonly number[]): string | undefined {
    this.#owners ??= new Map(
      this.#source.servers.flatMap(({ name, addresses: own }) =>
        own.map((address): [number, string] => [address, name]),
      ),
    );
    const owner = this.#owners.get(addresses[0] ?? -1);
    if (owner === undefined) return undefined;
    const own = this.addressesOf(owner);
    return addresses.every((address) => own.includes(address)) ? owner : undefined;
  }

  templatesOf(server: string): readonly string[] {
    const index = this.resolver.indexOf(server);
    if (index === undefined) return [];
    return this.resolver.assignmentsOf(index).map(({ template }) => template);
  }

  template(name: string): Template | undefined {
    return this.#templates.get(name);
  }

  liveRules(template: Template | undefined, direction: RuleDirection): readonly Rule[] {
    return template?.[direction].filter((rule) => this.resolver.isLive(rule)) ?? [];
  }

  addresses(rule: Rule): Ranges {
    return this.resolver.rangesOf(rule) ?? allAddresses;
  }

  gate(rule: Rule): Gate {
    return {
      protocol: rule.protocol,
      ports: rule.ports === undefined ? allPorts : rangesOf(rule.ports),
      addresses: this.addresses(rule),
      peers: rule.peers?.map(({ text }) => text).join(', '),
    };
  }
}

/**
 * Two states. What a template has as before opens nothing where it was before, and there may be very many such rules: so the
 * others are found first, once for each template, and compared with what is about their ports.
 */
class Comparison {
  readonly old: State;
  readonly next: State;
  readonly #fresh: Map<string, readonly Gate[]> = new Map<string, readonly Gate[]>();

  constructor(before: PolicySource, after: PolicySource, nowMs: number) {
    this.old = new State(before, nowMs);
    this.next = new State(after, nowMs, this.old.resolver);
  }

  /** @param had, @param has templates of a server */
  opened(had: readonly string[], has: readonly string[], direction: RuleDirection): Opening[] {
    const fresh = has.flatMap((name) =>
      had.includes(name) ? this.#freshOf(name, direction) : this.#allOf(name, direction),
    );
    if (fresh.length === 0) return [];
    const ports = unionRanges(fresh.map((gate) => gate.ports));
    const near = had.flatMap((name) =>
      this.old
        .liveRules(this.old.template(name), direction)
        .filter((rule) => isAbout(rule, ports))
        .map((rule) => this.old.gate(rule)),
    );
    return opened(near, fresh);
  }

  #allOf(name: string, direction: RuleDirection): readonly Gate[] {
    const { next } = this;
    return next.liveRules(next.template(name), direction).map((rule) => next.gate(rule));
  }

  /** Of rules that the template did not have, or that are about other addresses now. */
  #freshOf(name: string, direction: RuleDirection): readonly Gate[] {
    const key = `${direction} ${name}`;
    let fresh = this.#fresh.get(key);
    if (fresh === undefined) {
      const rules = this.#freshRules(name, direction);
      this.#fresh.set(key, (fresh = rules.map((rule) => this.next.gate(rule))));
    }
    return fresh;
  }

  #freshRules(name: string, direction: RuleDirection): readonly Rule[] {
    const { old, next } = this;
    const [was, is] = [old.template(name), next.template(name)];
    const differs = (before: Rule, after: Rule): boolean =>
      !equalRanges(old.addresses(before), next.addresses(after));
    if (was === is && is !== undefined) {
      return rulesWithGroups(is).flatMap(({ direction: own, rule }) =>
        own === direction && next.resolver.isLive(rule) && differs(rule, rule) ? rule : [],
      );
    }
    const known = new Map(old.liveRules(was, direction).map((rule) => [wordsOf(rule), rule]));
    return next.liveRules(is, direction).filter((rule) => {
      const same = known.get(wordsOf(rule));
      return same === undefined || differs(same, rule);
    });
  }
}

/** Equal for rules that are written alike. */
function wordsOf({ protocol, ports, peers, except }: Rule): string {
  const texts = (list: readonly Peer[] | undefined): unknown => list?.map(({ text }) => text);
  return JSON.stringify([protocol, ports, texts(peers), texts(except)]);
}

/** Whether a rule is about any of these ports. ICMP has none, and `all` is about it as well. */
function isAbout({ protocol, ports }: Rule, among: Ranges): boolean {
  if (ports === undefined || protocol === 'icmp' || protocol === 'all') return true;
  return ports.some(({ from, to }) => overlap(Uint32Array.of(from, to), among));
}

/**
 * @param servers whose rules may differ between the two states
 * @returns sentences, servers that share one together
 */
export function openings(
  before: PolicySource,
  after: PolicySource,
  servers: readonly string[],
  nowMs: number,
): string[] {
  const states = new Comparison(before, after, nowMs);
  const { old, next } = states;
  const kinds = new Map<string, { had: readonly string[]; has: readonly string[]; of: string[] }>();
  for (const server of servers) {
    const has = next.templatesOf(server);
    // At an address that is new, all is.
    const addresses = next.addressesOf(server);
    const known = old.addressesOf(server);
    const isMoved = addresses.some((address) => !known.includes(address));
    const had = old.templatesOf((isMoved ? old.ownerOf(addresses) : server) ?? '');
    const key = `${had.join()}|${has.join()}`;
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { had, has, of: [server] });
    else kind.of.push(server);
  }
  const found = new Map<string, string[]>();
  for (const { had, has, of } of [...kinds.values()].slice(0, maxKinds)) {
    for (const direction of directions) {
      for (const text of texts(direction, states.opened(had, has, direction))) {
        const same = found.get(text);
        if (same === undefined) found.set(text, [...of]);
        else same.push(...of);
      }
    }
  }
  const observed = newlyObserved(old, after, nowMs);
  if (observed.length > 0) {
    found.set('all that no rule allows passes, in both directions: observed', [...observed]);
  }
  const sentences = [...found].map(([text, of]) => `${shortList(of, maxServers)}: ${text}`);
  return sentences.length <= maxSentences && kinds.size <= maxKinds
    ? sentences
    : [...sentences.slice(0, maxSentences), 'and more'];
}

/** Servers that observe, and did not before. */
function newlyObserved(old: State, after: PolicySource, nowMs: number): string[] {
  const did = ({ name, addresses }: Server): boolean => {
    const was = old.server(name) ?? old.server(old.ownerOf(addresses) ?? '');
    return was !== undefined && isObserving(was, nowMs);
  };
  return after.servers
    .filter((server) => isObserving(server, nowMs) && !did(server))
    .map(({ name }) => name);
}

/** What the later rules let through, and none of the earlier ones. */
export function opened(before: readonly Gate[], after: readonly Gate[]): Opening[] {
  return protocols.flatMap((protocol) => {
    const meant = (gates: readonly Gate[]): Gate[] =>
      gates
        .filter((gate) => gate.protocol === 'all' || gate.protocol === protocol)
        .map((gate) => (protocol === 'icmp' ? { ...gate, ports: allPorts } : gate));
    const olds = meant(before);
    return meant(after).flatMap((gate) =>
      parts(gate.ports, olds).flatMap(({ range, gates }): Opening[] => {
        const had = unionRanges(gates.map(({ addresses }) => addresses));
        const left = had.length === 0 ? gate.addresses : subtractRanges(gate.addresses, had);
        if (left.length === 0) return [];
        const peers = equalRanges(left, gate.addresses) ? gate.peers : undefined;
        return [{ protocol, ports: range, addresses: left, peers }];
      }),
    );
  });
}

/** Ports in parts, each with the gates that are about all of it. */
function parts(
  ports: Ranges,
  gates: readonly Gate[],
): { readonly range: Ranges; readonly gates: readonly Gate[] }[] {
  const edges = new Set<number>();
  const near = gates.filter((gate) => overlap(gate.ports, ports));
  for (const each of [ports, ...near.map((gate) => gate.ports)]) {
    for (let at = 0; at < each.length; at += 2) edges.add(each[at]!).add(each[at + 1]! + 1);
  }
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(0, -1).flatMap((first, index) => {
    if (!holds(ports, first)) return [];
    const range = Uint32Array.of(first, sorted[index + 1]! - 1);
    return [{ range, gates: near.filter((gate) => holds(gate.ports, first)) }];
  });
}

function holds(ranges: Ranges, value: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    if (value >= ranges[at]! && value <= ranges[at + 1]!) return true;
  }
  return false;
}

/** Openings that differ in ports or protocol only are one sentence. */
function texts(direction: RuleDirection, all: readonly Opening[]): string[] {
  const byPeers = new Map<string, Map<Protocol, Ranges>>();
  for (const { protocol, ports, addresses, peers } of all) {
    const words = addressWords(addresses, peers);
    const known = byPeers.get(words) ?? new Map<Protocol, Ranges>();
    known.set(protocol, unionRanges([known.get(protocol) ?? noRanges, ports]));
    byPeers.set(words, known);
  }
  const way = direction === 'inbound' ? 'from' : 'to';
  return [...byPeers].flatMap(([words, ports]) =>
    trafficWords(ports).map((traffic) => `${traffic}, ${way} ${words}`),
  );
}

/** `TCP, ports 80, 443`; `every protocol` if it is all of them. */
export function trafficWords(ports: ReadonlyMap<Protocol, Ranges>): string[] {
  const isWhole = (protocol: Protocol): boolean => {
    const own = ports.get(protocol);
    return own !== undefined && equalRanges(own, allPorts);
  };
  if (protocols.every(isWhole)) return ['every protocol, every port'];
  return [...ports].map(([protocol, own]) =>
    protocol === 'icmp' ? 'ICMP' : `${protocol.toUpperCase()}, ${portWords(own)}`,
  );
}

function portWords(ports: Ranges): string {
  if (equalRanges(ports, allPorts)) return 'every port';
  const list: string[] = [];
  for (let at = 0; at < ports.length; at += 2) {
    const [first, last] = [ports[at]!, ports[at + 1]!];
    list.push(first === last ? String(first) : `${first}-${last}`);
  }
  const isOne = list.length === 1 && ports[0] === ports[1];
  return `${isOne ? 'port' : 'ports'} ${shortList(list, maxRanges)}`;
}

/** @param peers as a rule has them, if it is about exactly these */
function addressWords(ranges: Ranges, peers: string | undefined): string {
  const size = sizeOfRanges(ranges);
  if (size === 2 ** 32) return 'the whole Internet';
  if (size > half) {
    const left = subtractRanges(allAddresses, ranges);
    return `the whole Internet except ${rangeWords(left)}`;
  }
  if (peers !== undefined) return peers;
  return rangeWords(ranges);
}

function rangeWords(ranges: Ranges): string {
  const list = Array.from({ length: Math.min(ranges.length / 2, maxRanges) }, (_, index) =>
    formatRange(ranges[index * 2]!, ranges[index * 2 + 1]!),
  );
  const more = ranges.length / 2 - list.length;
  return more > 0 ? `${list.join(', ')} and ${more} more` : list.join(', ');
}

function shortList(list: readonly string[], most: number): string {
  const more = list.length - most;
  return more > 0 ? `${list.slice(0, most).join(', ')} and ${more} more` : list.join(', ');
}

/** What is open to at least half of all addresses: ports by protocol. */
export type Exposure = ReadonlyMap<Protocol, Ranges>;

/** Of inbound rules. */
export function exposureOf(resolver: Resolver, rules: readonly Rule[]): Exposure {
  const exposure = new Map<Protocol, Ranges>();
  for (const rule of rules) {
    if (!resolver.isLive(rule)) continue;
    const ranges = resolver.rangesOf(rule);
    if (ranges !== undefined && sizeOfRanges(ranges) < half) continue;
    const ports = rule.ports === undefined ? allPorts : rangesOf(rule.ports);
    for (const protocol of protocols) {
      if (rule.protocol !== 'all' && rule.protocol !== protocol) continue;
      exposure.set(protocol, unionRanges([exposure.get(protocol) ?? noRanges, ports]));
    }
  }
  return exposure;
}

/** Of several templates together. */
export function joinExposures(all: readonly Exposure[]): Exposure {
  const joined = new Map<Protocol, Ranges>();
  for (const each of all) {
    for (const [protocol, ports] of each) {
      joined.set(protocol, unionRanges([joined.get(protocol) ?? noRanges, ports]));
    }
  }
  return joined;
}
