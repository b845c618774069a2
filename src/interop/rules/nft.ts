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
import { formatAddressNumber } from '../../policy/addresses.ts';
import { formatPortRange } from '../../policy/rule-notation.ts';
import type { RuleDirection } from '../../policy/rule-notation.ts';
import type { AddressRange, PortRange, Rule, Server, Template } from '../../policy/types.ts';
import { mergeRanges } from './ranges.ts';

export const nftTableName = 'tunwall';

/** Servers with the same set of templates. */
interface Group {
  readonly chain: string;
  readonly templates: readonly Template[];
  readonly servers: Server[];
}

/**
 * @param servers those to export; with fewer than all, traffic to and from the others is dropped, and what they say about
 *   traffic with the exported ones is not asked
 */
export function exportNft(templates: readonly Template[], servers: readonly Server[]): string {
  const groups = groupServers(templates, servers);
  const lines = [
    `table inet ${nftTableName}`,
    `delete table inet ${nftTableName}`,
    `table inet ${nftTableName} {`,
    ...serverSet(servers),
    ...serverMap('outbound', groups),
    ...serverMap('inbound', groups),
    ...forwardChain,
    ...groups.flatMap((group) => [...chain(group, 'outbound'), ...chain(group, 'inbound')]),
  ];
  // A blank line would stand behind the last chain.
  if (lines.at(-1) === '') lines.pop();
  return [...lines, '}', ''].join('\n');
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

function groupServers(templates: readonly Template[], servers: readonly Server[]): Group[] {
  const groups = new Map<string, Group>();
  for (const server of servers) {
    const own = templates.filter(({ name }) => server.templates.includes(name));
    const key = own.map(({ name }) => name).join('\n');
    let group = groups.get(key);
    if (group === undefined) {
      group = { chain: `servers_${groups.size + 1}`, templates: own, servers: [] };
      groups.set(key, group);
    }
    group.servers.push(server);
  }
  return [...groups.values()];
}

function elements(items: readonly string[]): string[] {
  if (items.length === 0) return [];
  const lines = items.map((item, index) => `			${item}${index < items.length - 1 ? ',' : ''}`);
  return ['		elements = {', ...lines, '		}'];
}

function serverSet(servers: readonly Server[]): string[] {
  const addresses = servers.flatMap((server) => server.addresses.map(formatAddressNumber));
  return ['	set servers {', '		type ipv4_addr', ...elements(addresses), '	}', ''];
}

function serverMap(direction: RuleDirection, groups: readonly Group[]): string[] {
  const verdicts = groups.flatMap((group) => {
    const has = group.templates.some((template) => template[direction].length > 0);
    const verdict = has ? `jump ${group.chain}_${direction}` : 'drop';
    return group.servers.flatMap(({ addresses }) =>
      addresses.map((address) => `${formatAddressNumber(address)} : ${verdict}`),
    );
  });
  return [`	map ${direction} {`, '		type ipv4_addr : verdict', ...elements(verdicts), '	}', ''];
}

function chain({ chain: name, templates, servers }: Group, direction: RuleDirection): string[] {
  const rules = templates.flatMap((template) =>
    template[direction].map(
      (rule, position) =>
        `		${formatNftRule(direction, rule)} comment "${template.name} ${direction}[${position}]"`,
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
function formatNftRule(direction: RuleDirection, { protocol, ports, peers }: Rule): string {
  const conditions: string[] = [];
  if (protocol === 'all') conditions.push('ip protocol { icmp, tcp, udp }');
  else if (ports === undefined) conditions.push(`ip protocol ${protocol}`);
  if (peers !== undefined) {
    const address = direction === 'inbound' ? 'ip saddr' : 'ip daddr';
    const set = formatAddresses(peers);
    if (set !== undefined) conditions.push(`${address} ${set}`);
  }
  if (ports !== undefined) conditions.push(`${protocol} dport ${formatPorts(ports)}`);
  return [...conditions, 'return'].join(' ');
}

function asSet(items: readonly string[]): string {
  return items.length === 1 ? items[0]! : `{ ${items.join(', ')} }`;
}

/** nft refuses sets whose elements overlap, so ranges are merged. */
function formatPorts(ports: readonly PortRange[]): string {
  return asSet(mergeRanges(ports).map(formatPortRange));
}

/** Undefined when all addresses are meant. */
function formatAddresses(peers: readonly AddressRange[]): string | undefined {
  const merged = mergeRanges(peers);
  if (merged.some(({ from, to }) => from === 0 && to === 0xffffffff)) return undefined;
  return asSet(merged.map(formatAddressRange));
}

function formatAddressRange({ from, to }: { from: number; to: number }): string {
  const first = formatAddressNumber(from);
  return from === to ? first : `${first}-${formatAddressNumber(to)}`;
}
