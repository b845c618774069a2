/**
 * Who can open what: exact sets of sources, destinations and ports that the rules of a policy in force let through, each with the
 * rules that say so. Both gates are asked: the inbound rules of the destination's server, and the outbound rules of the
 * source's server.
 *
 * A row is a product: every source of it can open every port of it on every destination of it. Rows do not overlap. Sets are
 * computed from the ranges of the rules (`RulePlace`), not from samples, and share nothing with the compiled classifier.
 *
 * It is about rules alone. What the firewall drops whatever the rules say (forged sources, a packet from an address to itself) is
 * not taken away, but for the last.
 */
import type { CompiledPolicy, RulePlace } from './compile.ts';
import type { QuestionProtocol } from './opening-packet.ts';
import {
  allAddresses,
  equalRanges,
  hasAddress,
  intersectRanges,
  rangesOf,
  rangesOfPairs,
  subtractRanges,
  unionRanges,
} from './ranges.ts';
import type { Ranges } from './ranges.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import type { PortRange, RuleProtocol, Server } from './types.ts';

export interface ReachQuestion {
  /** Default: any address. */
  readonly from?: Ranges;
  readonly to?: Ranges;
  /** Default: all three. */
  readonly protocol?: QuestionProtocol;
  /** With them, ICMP is left out. Default: all. */
  readonly ports?: PortRange;
}

export interface ReachEnd {
  /** Names of the servers whose addresses these are; none: addresses of no server. */
  readonly servers: readonly string[];
  readonly ranges: Ranges;
}

export interface ReachRow {
  readonly from: ReachEnd;
  readonly to: ReachEnd;
  readonly protocol: RuleProtocol;
  /** Ranges of ports; absent: all of them, or ICMP. */
  readonly ports?: Ranges;
  /** Rules of the source's servers, none if it is of no server. */
  readonly outbound: readonly RulePlace[];
  readonly inbound: readonly RulePlace[];
}

export interface ReachSource {
  readonly servers: readonly Server[];
  readonly compiled: CompiledPolicy;
}

/** Pairs of servers that one question may be about. */
export const maxReachPairs = 100_000;

/** A question about too many pairs of servers at once. */
export class TooManyPairsError extends Error {
  override name = 'TooManyPairsError';
}

const allPorts: Ranges = Uint32Array.of(0, 0xffff);

/**
 * Rules of one direction that a server has: of all its templates, each once, templates by name.
 *
 * @param server its index
 */
export function rulesOfServer(
  { rulesOf, resolver }: Pick<CompiledPolicy, 'rulesOf' | 'resolver'>,
  server: number,
  direction: RuleDirection,
): RulePlace[] {
  const names = new Set(resolver.assignmentsOf(server).map(({ template }) => template));
  return [...names]
    .sort()
    .flatMap((name) => rulesOf.get(name) ?? [])
    .filter((place) => place.direction === direction);
}

/** A rule as far as one question asks about it. */
interface Opening {
  readonly place: RulePlace;
  readonly peers: Ranges;
  readonly ports: Ranges;
}

interface End {
  readonly index: number;
  readonly name: string;
  /** Those of its addresses that are asked about. */
  readonly addresses: readonly number[];
}

/** @throws TooManyPairsError */
export function reach(source: ReachSource, question: ReachQuestion): ReachRow[] {
  const { from = allAddresses, to = allAddresses, protocol, ports } = question;
  const sources = endsIn(source.servers, from);
  const targets = endsIn(source.servers, to);
  if (sources.length * targets.length > maxReachPairs) {
    const pairs = `${sources.length} by ${targets.length} servers`;
    throw new TooManyPairsError(`${pairs} are too many at once: at most ${maxReachPairs} pairs`);
  }
  const owned = rangesOf(
    source.servers.flatMap(({ addresses }) => addresses.map((each) => ({ from: each, to: each }))),
  );
  const outside = { from: subtractRanges(from, owned), to: subtractRanges(to, owned) };
  const asked = ports === undefined ? allPorts : rangesOf([ports]);
  const protocols: readonly QuestionProtocol[] =
    protocol === undefined
      ? ports === undefined
        ? ['icmp', 'tcp', 'udp']
        : ['tcp', 'udp']
      : [protocol];
  const rows = protocols.flatMap((each) => {
    const gates = new Gates(source.compiled, each, asked);
    return merged([
      ...targets.flatMap((target) => fromOutside(target, outside.from, gates)),
      ...targets.flatMap((target) => betweenServers(sources, target, gates)),
      ...sources.flatMap((server) => toOutside(server, outside.to, gates)),
    ]);
  });
  return sorted(joinProtocols(rows));
}

function endsIn(servers: readonly Server[], ranges: Ranges): End[] {
  return servers.flatMap(({ name, addresses }, index): End[] => {
    const own = addresses.filter((address) => hasAddress(ranges, address));
    return own.length === 0 ? [] : [{ index, name, addresses: own }];
  });
}

/** The rules of servers that open something of what is asked about, found once for each server and direction. */
class Gates {
  readonly protocol: QuestionProtocol;
  readonly #compiled: CompiledPolicy;
  readonly #asked: Ranges;
  readonly #known: Map<string, readonly Opening[]> = new Map<string, readonly Opening[]>();

  constructor(compiled: CompiledPolicy, protocol: QuestionProtocol, asked: Ranges) {
    this.#compiled = compiled;
    this.protocol = protocol;
    this.#asked = asked;
  }

  of({ index }: End, direction: RuleDirection): readonly Opening[] {
    const key = `${direction} ${index}`;
    let openings = this.#known.get(key);
    if (openings === undefined) {
      openings = rulesOfServer(this.#compiled, index, direction).flatMap((place): Opening[] => {
        const { rule, live, ranges = allAddresses } = place;
        if (!live || (rule.protocol !== 'all' && rule.protocol !== this.protocol)) return [];
        const own = rule.ports === undefined ? allPorts : rangesOf(rule.ports);
        const ports = intersectRanges(own, this.#asked);
        return ports.length === 0 ? [] : [{ place, peers: ranges, ports }];
      });
      this.#known.set(key, openings);
    }
    return openings;
  }
}

function fromOutside(target: End, from: Ranges, gates: Gates): Row[] {
  if (from.length === 0) return [];
  return partition(gates.of(target, 'inbound'), from).map(({ ranges, openings }) => ({
    from: { servers: [], ranges },
    to: endOf(target),
    protocol: gates.protocol,
    ports: portsOf(openings),
    outbound: [],
    inbound: openings.map(({ place }) => place),
  }));
}

function toOutside(server: End, to: Ranges, gates: Gates): Row[] {
  if (to.length === 0) return [];
  return partition(gates.of(server, 'outbound'), to).map(({ ranges, openings }) => ({
    from: endOf(server),
    to: { servers: [], ranges },
    protocol: gates.protocol,
    ports: portsOf(openings),
    outbound: openings.map(({ place }) => place),
    inbound: [],
  }));
}

function betweenServers(sources: readonly End[], target: End, gates: Gates): Row[] {
  const inbound = gates.of(target, 'inbound');
  if (inbound.length === 0) return [];
  const anyone = unionRanges(inbound.map(({ peers }) => peers));
  return sources.flatMap((server) =>
    server.addresses.flatMap((from) => {
      if (!hasAddress(anyone, from)) return [];
      const into = inbound.filter(({ peers }) => hasAddress(peers, from));
      if (into.length === 0) return [];
      return target.addresses.flatMap((to): Row[] => {
        if (from === to) return [];
        const out = gates.of(server, 'outbound').filter(({ peers }) => hasAddress(peers, to));
        const ports = intersectRanges(portsOf(into), portsOf(out));
        if (ports.length === 0) return [];
        const opens = (each: Opening): boolean => intersectRanges(each.ports, ports).length > 0;
        const places = (openings: readonly Opening[]): RulePlace[] =>
          openings.filter(opens).map(({ place }) => place);
        return [
          {
            from: { servers: [server.name], ranges: Uint32Array.of(from, from) },
            to: { servers: [target.name], ranges: Uint32Array.of(to, to) },
            protocol: gates.protocol,
            ports,
            outbound: places(out),
            inbound: places(into),
          },
        ];
      });
    }),
  );
}

/** A row before it is shown: its ports are always there. */
interface Row extends Omit<ReachRow, 'ports'> {
  readonly ports: Ranges;
}

function endOf({ name, addresses }: End): ReachEnd {
  return {
    servers: [name],
    ranges: rangesOf(addresses.map((each) => ({ from: each, to: each }))),
  };
}

function portsOf(openings: readonly Opening[]): Ranges {
  return unionRanges(openings.map(({ ports }) => ports));
}

interface Part {
  readonly ranges: Ranges;
  readonly openings: readonly Opening[];
}

/** The addresses of `within` that rules are about, by the rules that are about them. */
function partition(openings: readonly Opening[], within: Ranges): Part[] {
  const bounded = openings.flatMap((opening, order) => {
    const peers = opening.peers === allAddresses ? within : intersectRanges(opening.peers, within);
    return peers.length === 0 ? [] : [{ order, peers }];
  });
  const starts = new Map<number, number[]>();
  const ends = new Map<number, number[]>();
  for (const { order, peers } of bounded) {
    for (let i = 0; i < peers.length; i += 2) {
      addTo(starts, peers[i]!, order);
      addTo(ends, peers[i + 1]! + 1, order);
    }
  }
  const edges = [...new Set([...starts.keys(), ...ends.keys()])].sort((a, b) => a - b);
  const parts = new Map<string, { pairs: number[]; orders: readonly number[] }>();
  const open = new Set<number>();
  edges.forEach((edge, index) => {
    for (const order of ends.get(edge) ?? []) open.delete(order);
    for (const order of starts.get(edge) ?? []) open.add(order);
    if (open.size === 0) return;
    const orders = [...open].sort((a, b) => a - b);
    const key = orders.join();
    const part = parts.get(key) ?? { pairs: [], orders };
    part.pairs.push(edge, edges[index + 1]! - 1);
    parts.set(key, part);
  });
  return [...parts.values()].map(({ pairs, orders }) => ({
    ranges: rangesOfPairs(Uint32Array.from(pairs)),
    openings: orders.map((order) => openings[order]!),
  }));
}

function addTo(map: Map<number, number[]>, key: number, value: number): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}

/** Rows with the same rules and ports are one where their sources, or their destinations, are the same. */
function merged(rows: readonly Row[]): Row[] {
  return mergedBy(mergedBy(rows, 'from', 'to'), 'to', 'from');
}

function mergedBy(rows: readonly Row[], changing: 'from' | 'to', fixed: 'from' | 'to'): Row[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    // Addresses of no server are whole already, and stay apart from those of servers.
    const key = `${row[changing].servers.length === 0 ? 'outside' : ''}|${endKey(row[fixed])}|${gateKey(row)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()].map((group) => {
    const [first] = group;
    if (group.length === 1) return first!;
    const ends = group.map((row) => row[changing]);
    return {
      ...first!,
      [changing]: {
        servers: [...new Set(ends.flatMap(({ servers }) => servers))],
        ranges: unionRanges(ends.map(({ ranges }) => ranges)),
      },
    };
  });
}

function endKey({ servers, ranges }: ReachEnd): string {
  return `${servers.join()} ${ranges.join()}`;
}

function gateKey({ ports, outbound, inbound }: Row): string {
  const indices = (places: readonly RulePlace[]): string => places.map(({ index }) => index).join();
  return `${ports.join()}|${indices(outbound)}|${indices(inbound)}`;
}

/** What all three protocols may do on all ports, by the same rules, is one row. */
function joinProtocols(rows: readonly Row[]): ReachRow[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${endKey(row.from)}|${endKey(row.to)}|${gateKey(row)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()].flatMap((group): ReachRow[] => {
    const whole = equalRanges(group[0]!.ports, allPorts);
    if (group.length === 3 && whole) return [shown({ ...group[0]!, protocol: 'all' })];
    return group.map(shown);
  });
}

function shown(row: Row): ReachRow {
  const { ports, ...rest } = row;
  const whole = row.protocol === 'icmp' || equalRanges(ports, allPorts);
  return whole ? rest : { ...rest, ports };
}

/** By destination, then by source; addresses of no server come first. */
function sorted(rows: readonly ReachRow[]): ReachRow[] {
  const keyOf = ({ servers }: ReachEnd): string => servers[0] ?? '';
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return rows.toSorted(
    (a, b) => compare(keyOf(a.to), keyOf(b.to)) || compare(keyOf(a.from), keyOf(b.from)),
  );
}
