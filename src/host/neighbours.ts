/**
 * What other programs on the host do to the gateway's traffic. What forwards by itself, past everything that the
 * gateway can see, is refused; what drops judged packets is named, with the line that lets them through; what may
 * do either (a program in eBPF) is named. What copies packets is a warning.
 */
import { droppingChains, type DroppingChain } from './chains.ts';
import { filterItems, filterWarnings } from './filters.ts';
import type { NftCommand, Ruleset } from './nft.ts';
import type { Item } from './item.ts';
import type { Link, Snapshot } from './snapshot.ts';
import { sysctlName } from './system.ts';

/** Beyond these, an interface is one of many alike (containers). */
const maxCables = 64;

/** Docker leaves this chain to the administrator and keeps what is in it. */
const dockerUser = { family: 'ip', table: 'filter', chain: 'DOCKER-USER' } as const;

export function neighbourItems(snapshot: Snapshot, device: string, integrate: boolean): Item[] {
  const ruleset = snapshot.nft.state === 'read' ? snapshot.nft.ruleset : [];
  return [
    ...vrfItems(snapshot.links),
    ...flowtableItems(ruleset),
    ...forwardingRuleItems(ruleset),
    ...filterItems(snapshot.filters, device, ifbsOf(snapshot)),
    ...xdpItems(snapshot.links, device),
    ...(integrate ? integrationItems(ruleset, device) : []),
    ...chainItems(snapshot, ruleset, device),
  ];
}

/** Names of our items; also what tells them from the rest. */
const refused = { kind: 'neighbour', expected: 'none', ok: false, refused: true } as const;

function vrfItems(links: readonly Link[]): Item[] {
  const names = links.filter(({ kind }) => kind === 'vrf').map(({ name }) => name);
  if (names.length === 0) return [];
  const hint =
    'traffic of a VRF would leave it behind the TUN; take the interfaces out of the VRF, or run the gateway in a ' +
    'network namespace of its own (ip netns)';
  return [{ ...refused, item: 'VRF devices', found: names.join(', '), hint }];
}

function flowtableItems(ruleset: Ruleset): Item[] {
  return ruleset.flatMap(({ flowtable }) => {
    if (flowtable === undefined) return [];
    const { family, table, name, dev } = flowtable as Record<string, unknown>;
    const item = `nft flowtable ${[family, table, name].map(String).join(' ')}`;
    const hint = `a flowtable forwards by itself, past the firewall; delete it: nft delete flowtable ${[family, table, name].map(String).join(' ')}`;
    return [{ ...refused, item, found: `on ${JSON.stringify(dev ?? [])}`, hint }];
  });
}

/** Names of the devices through which shapers lead what comes in. */
function ifbsOf({ links }: Snapshot): ReadonlySet<string> {
  return new Set(links.filter(({ kind }) => kind === 'ifb').map(({ name }) => name));
}

/** They may forward by themselves, and cannot be looked into. */
function xdpItems(links: readonly Link[], device: string): Item[] {
  return links
    .filter(({ hasXdp, name }) => hasXdp && name !== device)
    .map(({ name }) => ({
      kind: 'neighbour',
      item: `XDP on ${name}`,
      expected: 'none',
      found: 'a program in eBPF',
      ok: false,
      hint: `what it forwards or drops by itself the firewall never sees, and it cannot be looked into; take it off: ip link set dev ${name} xdp off`,
    }));
}

/** `fwd to DEVICE` at ingress sends a packet out of another interface at once. */
function forwardingRuleItems(ruleset: Ruleset): Item[] {
  return rulesWith(ruleset, 'fwd').map(({ family, table, chain, handle }) => {
    const place = [family, table, chain].map(String).join(' ');
    const hint = `it forwards by itself, past the firewall; delete it: nft delete rule ${place} handle ${String(handle)}`;
    return { ...refused, item: `chain ${place}`, found: `rule ${String(handle)}: fwd`, hint };
  });
}

/** Rules with a statement of this kind, also as a target of iptables. */
function rulesWith(ruleset: Ruleset, kind: string): Readonly<Record<string, unknown>>[] {
  return ruleset.flatMap(({ rule }) => {
    const statements = (rule?.['expr'] ?? []) as Readonly<Record<string, unknown>>[];
    const has = statements.some(
      (one) => kind in one || (one['xt'] as { name?: unknown } | undefined)?.name === kind,
    );
    return has && rule !== undefined ? [rule] : [];
  });
}

function chainItems({ links }: Snapshot, ruleset: Ruleset, device: string): Item[] {
  const cables = links
    .filter(({ name, up }) => up && name !== 'lo' && name !== device)
    .map(({ name }) => name)
    .slice(0, maxCables);
  return droppingChains(ruleset, device, cables).map((dropping) => {
    const { family, table, chain, packet, by } = dropping;
    const to = packet.oifname ?? packet.daddr;
    const way = `from ${packet.iifname}${to === undefined ? '' : ` to ${to}`}`;
    return {
      kind: 'neighbour',
      item: `chain ${family} ${table} ${chain}`,
      expected: 'lets judged packets through',
      found: `drops packets ${way} (${by})`,
      ok: false,
      hint: `let them through: ${linesFor(ruleset, dropping, device).join('; ')}`,
    };
  });
}

/** The commands that let judged packets through a chain, at the place that its owner keeps for that. */
function linesFor(
  ruleset: Ruleset,
  { family, table, chain, packet }: DroppingChain,
  device: string,
): string[] {
  if (family === 'ip' && table === 'filter' && chain === 'FORWARD') {
    const place = hasDockerUser(ruleset) ? 'DOCKER-USER' : 'FORWARD';
    return [
      `iptables -I ${place} -i ${device} -j ACCEPT`,
      `iptables -I ${place} -o ${device} -j ACCEPT`,
    ];
  }
  if (family === 'inet' && table === 'firewalld' && chain === 'filter_FORWARD') {
    return firewalldLines(device);
  }
  if (family === 'ip' && chain === 'PREROUTING') {
    return [`iptables -t ${table} -I PREROUTING -i ${device} -j ACCEPT`];
  }
  const insert = `nft insert rule ${family} ${table} ${chain}`;
  const lines = [`${insert} iifname ${device} accept`];
  // Before routing nothing goes out yet.
  return packet.oifname === undefined ? lines : [...lines, `${insert} oifname ${device} accept`];
}

/** A rule put into its table is gone after a reload: a zone for the TUN, and policies to and from it, stay. */
function firewalldLines(device: string): string[] {
  const policy = (name: string, from: string, to: string): string[] => [
    `--new-policy=${name}`,
    `--policy=${name} --add-ingress-zone=${from}`,
    `--policy=${name} --add-egress-zone=${to}`,
    `--policy=${name} --set-target=ACCEPT`,
  ];
  const lasting = [
    '--new-zone=tunwall',
    `--zone=tunwall --add-interface=${device}`,
    ...policy('tunwall-in', 'ANY', 'tunwall'),
    ...policy('tunwall-out', 'tunwall', 'ANY'),
  ].map((options) => `firewall-cmd --permanent ${options}`);
  return [...lasting, 'firewall-cmd --reload'];
}

function hasDockerUser(ruleset: Ruleset): boolean {
  return ruleset.some(
    ({ chain }) =>
      chain?.['family'] === dockerUser.family &&
      chain['table'] === dockerUser.table &&
      chain['name'] === dockerUser.chain,
  );
}

const keys = ['iifname', 'oifname'] as const;

function acceptRule(key: string, device: string): Readonly<Record<string, unknown>>[] {
  return [{ match: { op: '==', left: { meta: { key } }, right: device } }, { accept: null }];
}

/** `--integrate`: the two lines, where Docker has a place for them. */
function integrationItems(ruleset: Ruleset, device: string): Item[] {
  if (!hasDockerUser(ruleset)) return [];
  return keys.map((key) => {
    const expr = acceptRule(key, device);
    const ok = handlesOf(ruleset, key, device).length > 0;
    const expected = `${key} ${device} accept`;
    return {
      kind: 'neighbour',
      item: 'chain ip filter DOCKER-USER',
      expected,
      found: ok ? expected : 'missing',
      ok,
      change: { kind: 'nft', commands: [{ insert: { rule: { ...dockerUser, expr } } }] },
    };
  });
}

/** Takes the lines of `--integrate` out again. */
export function disintegrateCommands(ruleset: Ruleset, device: string): NftCommand[] {
  return keys
    .flatMap((key) => handlesOf(ruleset, key, device))
    .map((handle) => ({ delete: { rule: { ...dockerUser, handle } } }));
}

function handlesOf(ruleset: Ruleset, key: string, device: string): unknown[] {
  const wanted = JSON.stringify(acceptRule(key, device));
  return ruleset.flatMap(({ rule }) => {
    if (rule?.['chain'] !== dockerUser.chain || rule['table'] !== dockerUser.table) return [];
    const expr = (rule['expr'] as object[]).filter((one) => !('counter' in one));
    return JSON.stringify(expr) === wanted ? [rule['handle']] : [];
  });
}

/** What carries packets elsewhere and may be wanted. */
export function neighbourWarnings(snapshot: Snapshot, device: string): string[] {
  const { nft } = snapshot;
  const warnings = filterWarnings(snapshot.filters, device, ifbsOf(snapshot));
  const ruleset = nft.state === 'read' ? nft.ruleset : [];
  const copying = [...rulesWith(ruleset, 'dup'), ...rulesWith(ruleset, 'TEE')];
  if (copying.length > 0) {
    const chains = new Set(
      copying.map((rule) => `${String(rule['table'])} ${String(rule['chain'])}`),
    );
    warnings.push(
      `rules send copies of packets elsewhere before they are judged (dup, TEE): ${[...chains].join(', ')}`,
    );
  }
  return warnings;
}

const bridgeSysctls = ['bridge/bridge-nf-call-iptables', 'bridge/bridge-nf-call-ip6tables'];
/** Ports of guests and containers, which are alone behind them. */
const guestPorts: ReadonlySet<string> = new Set(['veth', 'tun']);

/**
 * A bridge between networks passes the firewall by below IP. With the sysctls above, what a bridge forwards between its own
 * ports passes the guard, which drops it.
 *
 * @param read value of a sysctl, by its path below /proc/sys/net
 */
export function bridgeWarnings(
  { links }: Snapshot,
  read: (path: string) => string | undefined,
): string[] {
  const bridges = links.filter(({ kind }) => kind === 'bridge').map(({ name }) => name);
  const set = bridgeSysctls.filter((path) => read(path) === '1').map(sysctlName);
  if (bridges.length > 0 && set.length > 0) {
    return [
      `the guard drops what ${bridges.join(', ')} forwards between its own ports; let it through: ` +
        `sysctl -w ${set.map((name) => `${name}=0`).join(' ')}`,
    ];
  }
  return bridges.flatMap((bridge) => {
    const ports = links.filter(({ master, kind }) => master === bridge && !guestPorts.has(kind));
    if (ports.length < 2) return [];
    const names = ports.map(({ name }) => name).join(', ');
    return [`${bridge} joins ${names}: what it forwards between them the firewall never sees`];
  });
}

/** What comes in there is dropped before it is judged. */
export function forwardingWarnings({ links, sysctls }: Snapshot, device: string): string[] {
  if (sysctls.get('ipv4/ip_forward') !== '1') return [];
  const silent = links
    .map(({ name }) => name)
    .filter((name) => name !== 'lo' && name !== device)
    .filter((name) => sysctls.get(`ipv4/conf/${name}/forwarding`) === '0');
  if (silent.length === 0) return [];
  return [
    `what comes in at ${silent.join(', ')} is not forwarded (net.ipv4.conf.INTERFACE.forwarding is 0)`,
  ];
}
