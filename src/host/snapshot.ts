/**
 * What the namespace looks like right now, as far as the gateway cares: one read of links, rules,
 * table 100, nftables, IPsec's default, filters of tc and sysctls into plain data. Everything that decides (plan.ts) works on this data alone.
 */
import { GatewayError } from './error.ts';
import { readFilters, type FilterState } from './filters.ts';
import { readForwardPolicy, type ForwardPolicy } from './forward-policy.ts';
import { readNft, type NftState } from './nft.ts';
import { ipJson, listSysctls, readSysctl, uidOf } from './system.ts';

/** Our routing table. */
export const firewallTable = 100;

/** A link as `ip -d link` describes it. */
export interface Link {
  readonly name: string;
  readonly index: number;
  /** Hardware address; empty on a TUN. */
  readonly address: string;
  readonly up: boolean;
  readonly txQueueLength: number;
  /** Its queueing discipline; empty: unknown. */
  readonly qdisc: string;
  readonly mtu: number;
  /** 0: none. */
  readonly group: number;
  /** `veth`, `vrf`, `tun`, ...; empty on hardware. */
  readonly kind: string;
  /** The bridge, or other device, that it is a port of. */
  readonly master: string | undefined;
  /** An XDP program runs on it. */
  readonly hasXdp: boolean;
  /** Set on TUN and TAP devices. */
  readonly tun: TunDetails | undefined;
}

export interface TunDetails {
  readonly mode: string;
  readonly packetInformation: boolean;
  readonly vnetHeader: boolean;
  readonly multiQueue: boolean;
  readonly persistent: boolean;
  readonly ownerUid: number | undefined;
  readonly hasGroup: boolean;
  /** Queues that a process holds open. */
  readonly attachedQueues: number;
}

/** A routing rule: its priority, the selector and action in canonical text, and the protocol that made it. */
export interface Rule {
  readonly priority: number;
  readonly text: string;
  readonly protocol: number;
}

/** A route of table 100 in canonical text, and the protocol that made it. */
export interface Route {
  readonly text: string;
  readonly protocol: number;
}

export interface Snapshot {
  readonly links: readonly Link[];
  /** IPv4 rules in the order in which the kernel asks them. */
  readonly rules: readonly Rule[];
  readonly routes: readonly Route[];
  readonly nft: NftState;
  readonly forwardPolicy: ForwardPolicy;
  /** Of `tc`. */
  readonly filters: FilterState;
  /** Path below /proc/sys/net -> value. */
  readonly sysctls: ReadonlyMap<string, string>;
}

type Json = Readonly<Record<string, unknown>>;

/** Reads all of it. No privilege needed. */
export async function readSnapshot(): Promise<Snapshot> {
  const [links, rules, routes, nft, forwardPolicy, filters] = await Promise.all([
    ipJson(['link', 'show']),
    ipJson(['-4', 'rule', 'show']),
    readTable(),
    readNft(),
    readForwardPolicy(),
    readFilters(),
  ]);
  return {
    links: await Promise.all(links.map((link) => toLink(link as Json))),
    rules: rules.map((rule) => toRule(rule as Json)),
    routes: routes.map((route) => toRoute(route as Json)),
    nft,
    forwardPolicy,
    filters,
    sysctls: readSysctls(),
  };
}

async function readTable(): Promise<unknown[]> {
  try {
    return await ipJson(['-4', 'route', 'show', 'table', String(firewallTable)]);
  } catch (error) {
    // A table exists once it has a route.
    if (error instanceof GatewayError && error.message.includes('does not exist')) return [];
    throw error;
  }
}

const perInterface = {
  ipv4: [
    'rp_filter',
    'send_redirects',
    'forwarding',
    'accept_local',
    'disable_xfrm',
    'disable_policy',
  ],
  // force_forwarding (Linux 6.17) forwards on one interface although all.forwarding is 0.
  ipv6: ['forwarding', 'force_forwarding', 'disable_ipv6'],
} as const;

/**
 * The sysctls that the gateway sets, and those that the kernel changes along with them: writing
 * ip_forward rewrites `forwarding` of every interface and all.accept_redirects (inet_forward_change),
 * writing ipv6 all.forwarding rewrites it everywhere (addrconf_fixup_forwarding).
 */
export function readSysctls(): Map<string, string> {
  const values = new Map<string, string>();
  const read = (path: string): void => {
    const value = readSysctl(path);
    if (value !== undefined) values.set(path, value);
  };
  read('ipv4/ip_forward');
  read('ipv4/ip_early_demux');
  read('ipv4/conf/all/accept_redirects');
  for (const family of ['ipv4', 'ipv6'] as const) {
    for (const name of listSysctls(`${family}/conf`)) {
      for (const key of perInterface[family]) read(`${family}/conf/${name}/${key}`);
    }
  }
  return values;
}

/**
 * Interface of a per-interface sysctl path, or undefined. `all` and `default` count as names; no
 * interface can have them.
 */
export function interfaceOf(path: string): string | undefined {
  return /^ipv[46]\/conf\/([^/]+)\/[a-z0-9_]+$/.exec(path)?.[1];
}

async function toLink(link: Json): Promise<Link> {
  const info = (link['linkinfo'] ?? {}) as Json;
  const flags = Array.isArray(link['flags']) ? link['flags'] : [];
  return {
    name: text(link['ifname']),
    index: Number(link['ifindex']),
    address: text(link['address']),
    up: flags.includes('UP'),
    txQueueLength: Number(link['txqlen'] ?? 0),
    qdisc: text(link['qdisc']),
    mtu: Number(link['mtu']),
    group: link['group'] === 'default' ? 0 : Number(link['group'] ?? 0),
    kind: text(info['info_kind']),
    master: link['master'] === undefined ? undefined : text(link['master']),
    hasXdp: link['xdp'] !== undefined,
    tun: info['info_kind'] === 'tun' ? await toTun((info['info_data'] ?? {}) as Json) : undefined,
  };
}

async function toTun(data: Json): Promise<TunDetails> {
  const owner = text(data['user']);
  return {
    mode: text(data['type']),
    packetInformation: data['pi'] === true,
    vnetHeader: data['vnet_hdr'] === true,
    multiQueue: data['multi_queue'] === true,
    persistent: data['persist'] === true,
    ownerUid: owner === '' ? undefined : await uidOf(owner),
    hasGroup: data['group'] !== undefined,
    attachedQueues: Number(data['numqueues'] ?? 0),
  };
}

const names: Readonly<Record<string, string>> = {
  main: '254',
  default: '253',
  local: '255',
  unicast: '1',
  unreachable: '7',
};

/** `ip` of some versions prints names where others, asked with -N, print numbers. */
function number(value: unknown): string {
  const string = text(value);
  return names[string] ?? string;
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/**
 * A rule as `key value` pairs in a fixed order. Every selector that we do not know stays in the text,
 * so that a rule which only resembles ours never compares equal to it.
 */
function toRule(rule: Json): Rule {
  const { priority, protocol, table, action, iif, src, goto: target, nop } = rule;
  const parts = [src === undefined || src === 'all' ? 'from all' : `from ${text(src)}`];
  if (iif !== undefined) parts.push(`iif ${text(iif)}`);
  parts.push(...othersThan(ruleKeys, rule));
  if (table !== undefined) parts.push(`lookup ${tableName(number(table))}`);
  if (target !== undefined) parts.push(`goto ${text(target)}`);
  if (nop !== undefined) parts.push('nop');
  if (action !== undefined) parts.push(number(action) === '7' ? 'unreachable' : text(action));
  return { priority: Number(priority), text: parts.join(' '), protocol: Number(number(protocol)) };
}

// `unresolved`: the target of a goto is missing; that is the target's fault, and ends when it is back.
const ruleKeys = 'priority protocol table action iif iif_detached src goto nop unresolved'.split(
  ' ',
);

function tableName(table: string): string {
  return { '255': 'local', '254': 'main', '253': 'default' }[table] ?? table;
}

/** A route likewise. Its scope follows from its kind, and its flags (linkdown) from the device. */
function toRoute(route: Json): Route {
  const { type, dst, dev, metric, protocol } = route;
  const parts = [text(dst)];
  const kind = number(type ?? '1');
  if (kind !== '1') parts.unshift(kind === '7' ? 'unreachable' : `type ${kind}`);
  if (dev !== undefined) parts.push(`dev ${text(dev)}`);
  if (metric !== undefined) parts.push(`metric ${text(metric)}`);
  parts.push(...othersThan(routeKeys, route));
  return { text: parts.join(' '), protocol: Number(number(protocol)) };
}

const routeKeys = ['type', 'dst', 'dev', 'metric', 'protocol', 'flags', 'scope', 'table'];

function othersThan(known: readonly string[], json: Json): string[] {
  return Object.entries(json)
    .filter(([key]) => !known.includes(key))
    .map(([key, value]) => `${key} ${JSON.stringify(value)}`);
}
