/**
 * What is valid and perhaps not meant: rules that add nothing, templates that nobody has, sensitive ports that are open to all, peers
 * whose own side does not let them through.
 *
 * All of it is exact, by sets. What is said to add nothing can be removed, all of it at once, and every server allows what it did.
 */
import type { CompiledPolicy, RulePlace } from './compile.ts';
import { coverOf, lengthOf, overlaps, portsOf, sizeOf } from './coverage.ts';
import { rulesOfServer } from './reach.ts';
import { isGroup } from './peers.ts';
import { allAddresses, intersectRanges, rangesOf } from './ranges.ts';
import type { Peer, Server, Template } from './types.ts';

export interface Advice {
  readonly kind: 'duplicate' | 'shadowed' | 'unassigned' | 'exposed' | 'unmatched';
  readonly template: string;
  /** Absent: it is about the template as a whole. */
  readonly place?: RulePlace;
  readonly message: string;
}

export interface AdviceSource {
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  readonly compiled: CompiledPolicy;
}

/** By template and position. */
export function adviceOn(source: AdviceSource): Advice[] {
  const found = [
    ...unassigned(source),
    ...redundant(source),
    ...exposed(source),
    ...unmatched(source),
  ];
  const order = new Map(source.templates.map(({ name }, index) => [name, index]));
  return found.toSorted(
    (a, b) =>
      order.get(a.template)! - order.get(b.template)! ||
      (a.place?.index ?? -1) - (b.place?.index ?? -1),
  );
}

function unassigned({ templates, servers, compiled }: AdviceSource): Advice[] {
  const used = new Set(
    servers.flatMap((_, index) =>
      compiled.resolver.assignmentsOf(index).map(({ template }) => template),
    ),
  );
  return templates
    .filter(({ name }) => !used.has(name))
    .map(({ name }) => ({
      kind: 'unassigned',
      template: name,
      message: 'no server has this template',
    }));
}

/** Places that a message names. */
const namedPlaces = 3;

function redundant({ templates, servers, compiled }: AdviceSource): Advice[] {
  const unions = templateUnions(templates, servers, compiled);
  const removed = new Set<RulePlace>();
  const all = [...compiled.rulesOf.values()].flat().filter(isEffective);
  // Narrow ones first, of equal ones the last: what stays is the wide rule, or the first.
  const candidates = all
    .map((place) => ({ place, size: sizeOf(place) }))
    .sort((a, b) => a.size - b.size || b.place.index - a.place.index);
  return candidates.flatMap(({ place }): Advice[] => {
    let covers: RulePlace[] | undefined;
    for (const names of unions.get(place.template)!) {
      const others = names
        .flatMap((name) => compiled.rulesOf.get(name) ?? [])
        .filter(
          (each) =>
            each !== place &&
            each.direction === place.direction &&
            isEffective(each) &&
            !removed.has(each),
        );
      const found = coverOf(place, others);
      if (found === undefined) return [];
      covers ??= found;
    }
    removed.add(place);
    return [redundancyOf(place, covers!)];
  });
}

function redundancyOf(place: RulePlace, covers: readonly RulePlace[]): Advice {
  const [first] = covers;
  const { template } = place;
  const isEqual = covers.length === 1 && coverOf(first!, [place]) !== undefined;
  const names = covers.slice(0, namedPlaces).map((each) => nameOf(each, template));
  const more = covers.length - names.length;
  const list = names.join(', ') + (more > 0 ? ` and ${more} more` : '');
  return isEqual
    ? { kind: 'duplicate', template, place, message: `it says the same as ${list}` }
    : { kind: 'shadowed', template, place, message: `it adds nothing to ${list}` };
}

/** `inbound[0] (line 3)`, `base inbound[0] (line 3)`. */
function nameOf(place: RulePlace, within: string): string {
  const { line } = place;
  const own = place.template === within ? '' : `${place.template} `;
  return `${own}${place.direction}[${place.position}]${line === undefined ? '' : ` (line ${line})`}`;
}

function isEffective({ live, ranges }: RulePlace): boolean {
  return live && ranges?.length !== 0;
}

/** For each template the different unions that servers have it in; itself alone, if none has it. */
function templateUnions(
  templates: readonly Template[],
  servers: readonly Server[],
  { resolver }: CompiledPolicy,
): Map<string, readonly string[][]> {
  const unions = new Map<string, string[]>();
  servers.forEach((_, index) => {
    const names = [
      ...new Set(resolver.assignmentsOf(index).map(({ template }) => template)),
    ].sort();
    unions.set(names.join(), names);
  });
  const byTemplate = new Map<string, string[][]>();
  for (const names of unions.values()) {
    for (const name of names) {
      const known = byTemplate.get(name);
      if (known === undefined) byTemplate.set(name, [names]);
      else known.push(names);
    }
  }
  return new Map(templates.map(({ name }) => [name, byTemplate.get(name) ?? [[name]]]));
}

/** What is attacked all the time, or was not made for strangers. */
const sensitivePorts: readonly (readonly [port: number, name: string])[] = [
  [21, 'FTP'],
  [22, 'SSH'],
  [23, 'Telnet'],
  [111, 'rpcbind'],
  [135, 'MS-RPC'],
  [139, 'NetBIOS'],
  [389, 'LDAP'],
  [445, 'SMB'],
  [1433, 'SQL Server'],
  [2375, 'Docker'],
  [2379, 'etcd'],
  [3306, 'MySQL'],
  [3389, 'RDP'],
  [5432, 'PostgreSQL'],
  [5900, 'VNC'],
  [5985, 'WinRM'],
  [6379, 'Redis'],
  [9200, 'Elasticsearch'],
  [10_250, 'kubelet'],
  [11_211, 'memcached'],
  [27_017, 'MongoDB'],
];

/** A rule is for all if it is about at least half of all addresses. */
const half = 2 ** 31;

function exposed({ compiled }: AdviceSource): Advice[] {
  return [...compiled.rulesOf.values()].flat().flatMap((place): Advice[] => {
    const { direction, rule, ranges = allAddresses, template } = place;
    if (direction !== 'inbound' || !isEffective(place) || rule.protocol === 'icmp') return [];
    if (lengthOf(ranges) < half) return [];
    const open = sensitivePorts.filter(([port]) =>
      portsOf(rule).some(({ from, to }) => from <= port && port <= to),
    );
    if (open.length === 0) return [];
    const names = open.slice(0, namedPlaces).map(([port, name]) => `${name} (${port})`);
    const more = open.length - names.length;
    const list = names.join(', ') + (more > 0 ? ` and ${more} more sensitive ports` : '');
    return [{ kind: 'exposed', template, place, message: `${list}: open to all` }];
  });
}

/** Of inbound rules: peers that are servers, none of which may open by its own outbound rules what the rule lets in. */
function unmatched({ templates, servers, compiled }: AdviceSource): Advice[] {
  const { resolver, rulesOf } = compiled;
  const indices = new Map(servers.map((server, index) => [server, index]));
  const owners = new Map(
    servers.flatMap((server) => server.addresses.map((each) => [each, server])),
  );
  const targetsOf = new Map<string, Server[]>(templates.map(({ name }) => [name, []]));
  servers.forEach((server, index) => {
    const names = resolver.assignmentsOf(index).map(({ template }) => template);
    for (const name of new Set(names)) targetsOf.get(name)!.push(server);
  });
  const outbound = new Map<Server, readonly RulePlace[]>();
  const rulesFrom = (server: Server): readonly RulePlace[] => {
    const known = outbound.get(server);
    if (known !== undefined) return known;
    const rules = rulesOfServer(compiled, indices.get(server)!, 'outbound').filter(isEffective);
    outbound.set(server, rules);
    return rules;
  };
  return templates.flatMap(({ name }) =>
    (rulesOf.get(name) ?? []).flatMap((place): Advice[] => {
      if (place.direction !== 'inbound' || !isEffective(place)) return [];
      const targets = targetsOf.get(name)!;
      return (place.rule.peers ?? []).flatMap((peer): Advice[] => {
        const members = membersOf(peer);
        const asked = members.filter((each) => targets.some((target) => target !== each));
        if (asked.length === 0 || asked.some((each) => opens(each, place, targets))) return [];
        const whose = asked.length === 1 ? `server ${asked[0]!.name}` : 'these servers';
        const message = `${peer.text}: no outbound rule of ${whose} lets that out`;
        return [{ kind: 'unmatched', template: name, place, message }];
      });
    }),
  );

  function membersOf(peer: Peer): readonly Server[] {
    if (isGroup(peer)) return resolver.membersOf(peer);
    const owner = peer.from === peer.to ? owners.get(peer.from) : undefined;
    return owner === undefined ? [] : [owner];
  }

  function opens(server: Server, { rule }: RulePlace, targets: readonly Server[]): boolean {
    const addresses = rangesOf(
      targets
        .filter((each) => each !== server)
        .flatMap((each) => each.addresses.map((address) => ({ from: address, to: address }))),
    );
    return rulesFrom(server).some(
      (own) =>
        overlaps({ rule }, { rule: own.rule }) &&
        (own.ranges === undefined || intersectRanges(own.ranges, addresses).length > 0),
    );
  }
}
