/**
 * A policy as an nft ruleset that gives the same verdicts on forwarded packets, with the kernel's connection tracking.
 *
 * Servers with the same templates share two chains, one for each direction. A rule that allows a packet *returns* from its
 * chain, and a chain ends with a drop; so a packet that comes back from its source's chain and from its destination's is
 * allowed by both, and is accepted if either end was a server at all. Before that stands what the data plane does without
 * rules: only ICMP, TCP and UDP over IPv4, no source routes, no impossible addresses, nothing that cannot open a flow.
 *
 * Known to be different: packets whose two addresses are equal (nft cannot compare them; routing drops them), TCP segments
 * that Linux lets pass and tunwall holds invalid (its checks are stricter in corners), timeouts, and limits of the tables.
 *
 * The ruleset replaces a table of the same name in one transaction, so it can be loaded again and again.
 */
import { formatAddressNumber, formatRanges } from '../../policy/addresses.ts';
import { formatPeers } from '../../policy/rule-notation.ts';
import { portBody } from '../../policy/template-body.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import { isGroup } from '../../policy/peers.ts';
import type { Ranges } from '../../policy/ranges.ts';
import { Resolver } from '../../policy/resolve.ts';
import type { PolicySource, PortRange, Rule, Server, Template } from '../../policy/types.ts';
import { mergeRanges } from './range-lists.ts';

export const nftTableName = 'tunwall';

/** Servers with the same set of templates. */
interface Group {
  readonly chain: string;
  readonly templates: readonly Template[];
  readonly servers: Server[];
}

/**
 * @param only names of the servers to export; with fewer than all, traffic to and from the others is dropped, and what
 *   they say about traffic with the exported ones is not asked. Default: all
 * @param nowMs rules that have expired by then are left out
 */
export function exportNft(
  source: PolicySource,
  only?: readonly string[],
  nowMs = Date.now(),
): string {
  const resolver = new Resolver(source, nowMs);
  const groups = groupServers(source, resolver, only);
  const sets = new PeerSets(resolver);
  const chains = groups.flatMap((group) => [
    ...chain(group, 'outbound', sets),
    ...chain(group, 'inbound', sets),
  ]);
  const lines = [
    `table inet ${nftTableName}`,
    `delete table inet ${nftTableName}`,
    `table inet ${nftTableName} {`,
    ...addressSet(
      'servers',
      groups.flatMap(({ servers }) => servers.flatMap(serverAddresses)),
    ),
    ...sets.lines(),
    ...serverMap('outbound', groups, sets),
    ...serverMap('inbound', groups, sets),
    ...forwardChain,
    ...chains,
  ];
  // A blank line would stand behind the last chain.
  if (lines.at(-1) === '') lines.pop();
  return [...lines, '}', ''].join('\n');
}

/** Addresses that rules mean by groups: `set_NAME` for a set, else a named set for each way in which that is written. */
class PeerSets {
  readonly #resolver: Resolver;
  readonly #sets: Map<string, { readonly name: string; readonly ranges: Ranges }> = new Map();

  constructor(resolver: Resolver) {
    this.#resolver = resolver;
  }

  isLive(rule: Rule): boolean {
    return this.#resolver.isLive(rule);
  }

  /** What to compare an address with; undefined when all addresses are meant. */
  match(rule: Rule): string | undefined {
    const ranges = this.#resolver.rangesOf(rule);
    if (ranges === undefined || (ranges[0] === 0 && ranges[1] === 0xffffffff)) return undefined;
    const { peers = [], except = [] } = rule;
    if (ranges.length > 0 && ![...peers, ...except].some(isGroup))
      return asSet(formatRanges(ranges));
    const text = formatPeers(rule);
    let set = this.#sets.get(text);
    if (set === undefined) {
      const [peer, ...more] = [...peers, ...except];
      const isSet = more.length === 0 && peer !== undefined && isGroup(peer) && peer.kind === 'set';
      set = { name: isSet ? `set_${peer.name}` : `peers_${this.#sets.size + 1}`, ranges };
      this.#sets.set(text, set);
    }
    return `@${set.name}`;
  }

  lines(): string[] {
    return [...this.#sets].flatMap(([text, { name, ranges }]) => [
      `	# ${text}`,
      ...addressSet(name, formatRanges(ranges)),
    ]);
  }
}

const forwardChain: readonly string[] = [
  '	chain forward {',
  '		type filter hook forward priority filter; policy drop;',
  '		meta nfproto != ipv4 drop',
  '		ip protocol != { icmp, tcp, udp } drop',
  '		ip option lsrr exists drop',
  '		ip option ssrr exists drop',
  '		ip saddr { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3 } drop',
  '		ip daddr { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3 } drop',
  '		icmp type { source-quench, redirect } drop',
  '		ct state invalid drop',
  '		ct state established accept',
  '		ct state related ip protocol icmp accept',
  '		ct state != new drop',
  '		ip protocol tcp tcp flags & (fin | syn | rst | ack) != syn drop',
  '		ip saddr vmap @outbound',
  '		ip daddr vmap @inbound',
  '		ip saddr @servers accept',
  '		ip daddr @servers accept',
  '	}',
  '',
];

function groupServers(
  { templates, servers }: PolicySource,
  resolver: Resolver,
  only: readonly string[] | undefined,
): Group[] {
  const groups = new Map<string, Group>();
  servers.forEach((server, index) => {
    if (only !== undefined && !only.includes(server.name)) return;
    const assigned = new Set(resolver.assignmentsOf(index).map(({ template }) => template));
    const own = templates.filter(({ name }) => assigned.has(name));
    const key = own.map(({ name }) => name).join('\n');
    let group = groups.get(key);
    if (group === undefined) {
      group = { chain: `servers_${groups.size + 1}`, templates: own, servers: [] };
      groups.set(key, group);
    }
    group.servers.push(server);
  });
  return [...groups.values()];
}

function elements(items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const lines = items.map((item, index) => `			${item}${index < items.length - 1 ? ',' : ''}`);
  return ['		elements = {', ...lines, '		}'];
}

function serverAddresses({ addresses }: Server): string[] {
  return addresses.map(formatAddressNumber);
}

function addressSet(name: string, items: readonly string[]): string[] {
  const flags = items.some((item) => item.includes('-')) ? ['		flags interval'] : [];
  return [`	set ${name} {`, '		type ipv4_addr', ...flags, ...elements(items), '	}', ''];
}

function serverMap(direction: RuleDirection, groups: readonly Group[], sets: PeerSets): string[] {
  const verdicts = groups.flatMap((group) => {
    const has = group.templates.some((template) =>
      template[direction].some((rule) => sets.isLive(rule)),
    );
    const verdict = has ? `jump ${group.chain}_${direction}` : 'drop';
    return group.servers.flatMap(({ addresses }) =>
      addresses.map((address) => `${formatAddressNumber(address)} : ${verdict}`),
    );
  });
  return [`	map ${direction} {`, '		type ipv4_addr : verdict', ...elements(verdicts), '	}', ''];
}

function chain(
  { chain: name, templates, servers }: Group,
  direction: RuleDirection,
  sets: PeerSets,
): string[] {
  const rules = templates.flatMap((template) =>
    template[direction].flatMap((rule, position) =>
      sets.isLive(rule)
        ? [
            `		${formatNftRule(direction, rule, sets)} comment "${template.name} ${direction}[${position}]"`,
          ]
        : [],
    ),
  );
  // Then the map drops without a chain.
  if (rules.length === 0) return [];
  return [
    `	# ${servers.map((server) => server.name).join(', ')}`,
    `	chain ${name}_${direction} {`,
    ...rules,
    '		drop',
    '	}',
    '',
  ];
}

/** One rule: its conditions, and `return`. A comment may follow. */
function formatNftRule(direction: RuleDirection, rule: Rule, sets: PeerSets): string {
  const { protocol, ports } = rule;
  const conditions: string[] = [];
  if (protocol === 'all') conditions.push('ip protocol { icmp, tcp, udp }');
  else if (ports === undefined) conditions.push(`ip protocol ${protocol}`);
  const set = sets.match(rule);
  if (set !== undefined) {
    conditions.push(`${direction === 'inbound' ? 'ip saddr' : 'ip daddr'} ${set}`);
  }
  if (ports !== undefined) conditions.push(`${protocol} dport ${formatPorts(ports)}`);
  return [...conditions, 'return'].join(' ');
}

function asSet(items: readonly string[]): string {
  return items.length === 1 ? items[0]! : `{ ${items.join(', ')} }`;
}

/** nft refuses sets whose elements overlap, so ranges are merged. */
function formatPorts(ports: readonly PortRange[]): string {
  return asSet(mergeRanges(ports).map((range) => String(portBody(range))));
}
