/**
 * The state that the namespace must have, compared with the state that it has.
 *
 * Pure: a snapshot goes in, one item per thing that has to be right comes out. `gateway status` prints
 * the items; `gateway up` makes the changes of those that are not right, in this order. The order is
 * the safety argument: whatever forwards packets comes after everything that makes them go through the
 * TUN, and a route that fails closed comes before the one that it guards. So there is no moment in
 * which this gateway forwards unfiltered.
 */
import { firewallTable, interfaceOf, type Link, type Snapshot } from './snapshot.ts';
import { sysctlName } from './system.ts';

export interface Wanted {
  readonly device: string;
  readonly ownerUid: number;
  readonly txQueueLength: number;
}

/** One change of the namespace, as data. */
export type Change =
  | { readonly kind: 'ip'; readonly args: readonly string[] }
  | { readonly kind: 'sysctl'; readonly path: string; readonly value: string };

/** One thing that must be right. */
export interface Item {
  readonly item: string;
  readonly expected: string;
  readonly found: string;
  readonly ok: boolean;
  /** The change that makes it right. Absent when only the operator may change it, because tunwall did not make it. */
  readonly change?: Change;
}

/**
 * Protocol number that marks our rules and routes, so that `down` never removes foreign ones. No routing daemon in
 * iproute2's rt_protos uses it ('t').
 */
export const routeProtocol = 116;

const missing = 'missing';

/** Our rules in the order in which they are added: the one that diverts traffic comes last. */
export function wantedRules(device: string): { priority: number; text: string; args: string[] }[] {
  return [
    { priority: 5, text: 'from all iif lo lookup main', args: ['iif', 'lo', 'lookup', 'main'] },
    {
      priority: 10,
      text: `from all iif ${device} lookup main`,
      args: ['iif', device, 'lookup', 'main'],
    },
    // A judged packet for which main has no route would meet rule 20 and go into the TUN again, as
    // often as its TTL lasts: one packet from a server would cost the firewall up to 255.
    {
      priority: 11,
      text: `from all iif ${device} unreachable`,
      args: ['iif', device, 'unreachable'],
    },
    {
      priority: 20,
      text: `from all lookup ${firewallTable}`,
      args: ['lookup', String(firewallTable)],
    },
  ];
}

/** Our routes in the order in which they are added: the guard comes first. */
export function wantedRoutes(device: string): { text: string; args: string[] }[] {
  const guard = ['unreachable', 'default', 'metric', '4096'];
  return [
    { text: guard.join(' '), args: guard },
    { text: `default dev ${device}`, args: ['default', 'dev', device] },
  ];
}

/** Everything, in the order in which `up` sets it. */
export function compare(snapshot: Snapshot, wanted: Wanted): Item[] {
  const { device } = wanted;
  const deviceSysctl = (key: string, value: string): Item[] =>
    sysctlItem(snapshot, key.replace('*', device), value);
  return [
    ...deviceItems(snapshot, wanted),
    ...deviceSysctl('ipv4/conf/*/rp_filter', '0'),
    ...deviceSysctl('ipv4/conf/*/send_redirects', '0'),
    ...deviceSysctl('ipv6/conf/*/disable_ipv6', '1'),
    ...linkItems(snapshot, wanted),
    ...routeItems(snapshot, device),
    ...ruleItems(snapshot, device),
    ...interfaceSysctls(snapshot, device),
    ...sysctlItem(snapshot, 'ipv4/ip_forward', '1'),
    ...deviceSysctl('ipv4/conf/*/forwarding', '1'),
  ];
}

function findLink(snapshot: Snapshot, device: string): Link | undefined {
  return snapshot.links.find((link) => link.name === device);
}

function deviceItems(snapshot: Snapshot, wanted: Wanted): Item[] {
  const { device, ownerUid } = wanted;
  const expected = `persistent TUN, multi_queue, vnet_hdr, owner uid ${ownerUid}`;
  const link = findLink(snapshot, device);
  if (link === undefined) {
    const args = ['tuntap', 'add', 'dev', device, 'mode', 'tun', 'user', String(ownerUid)];
    args.push('multi_queue', 'vnet_hdr');
    const change = { kind: 'ip', args } as const;
    return [{ item: `device ${device}`, expected, found: missing, ok: false, change }];
  }
  const found = describeDevice(link);
  return [{ item: `device ${device}`, expected, found, ok: found === expected }];
}

/** What kind of device it is, in the words of {@link deviceItems}. */
function describeDevice({ tun }: Link): string {
  if (tun === undefined) return 'not a TUN device';
  const words = [`${tun.persistent ? 'persistent' : 'not persistent'} ${tun.mode.toUpperCase()}`];
  words.push(tun.multiQueue ? 'multi_queue' : 'without multi_queue');
  words.push(tun.vnetHeader ? 'vnet_hdr' : 'without vnet_hdr');
  if (tun.packetInformation) words.push('with a packet information header');
  // Any user may attach to a TUN without an owner.
  words.push(tun.ownerUid === undefined ? 'no owner' : `owner uid ${tun.ownerUid}`);
  if (tun.hasGroup) words.push('open to a group');
  return words.join(', ');
}

function linkItems(snapshot: Snapshot, wanted: Wanted): Item[] {
  const { device, txQueueLength } = wanted;
  const link = findLink(snapshot, device);
  const set = (...args: string[]): Change => ({
    kind: 'ip',
    args: ['link', 'set', 'dev', device, ...args],
  });
  return [
    {
      item: `${device} txqueuelen`,
      expected: String(txQueueLength),
      found: link === undefined ? missing : String(link.txQueueLength),
      ok: link?.txQueueLength === txQueueLength,
      change: set('txqueuelen', String(txQueueLength)),
    },
    {
      item: `${device} link`,
      expected: 'up',
      found: link === undefined ? missing : link.up ? 'up' : 'down',
      ok: link?.up === true,
      change: set('up'),
    },
  ];
}

function routeItems(snapshot: Snapshot, device: string): Item[] {
  const routes = wantedRoutes(device);
  const items: Item[] = routes.map(({ text, args }) => {
    const ok = snapshot.routes.some((route) => route.text === text);
    const all = ['-4', 'route', 'add', ...args, 'table', String(firewallTable)];
    all.push('protocol', String(routeProtocol));
    return {
      item: `table ${firewallTable}`,
      expected: text,
      found: ok ? text : missing,
      ok,
      change: { kind: 'ip', args: all },
    };
  });
  const foreign = snapshot.routes.filter(
    (route) => !routes.some(({ text }) => text === route.text),
  );
  const found = foreign.map((route) => route.text).join('; ');
  items.push({
    item: `table ${firewallTable}, other routes`,
    expected: 'none',
    found: found === '' ? 'none' : found,
    ok: foreign.length === 0,
  });
  return items;
}

function ruleItems(snapshot: Snapshot, device: string): Item[] {
  const wanted = wantedRules(device);
  const items: Item[] = wanted.map(({ priority, text, args }) => {
    const at = snapshot.rules.filter((rule) => rule.priority === priority);
    const ok = at.some((rule) => rule.text === text);
    const all = ['-4', 'rule', 'add', 'priority', String(priority), ...args];
    all.push('protocol', String(routeProtocol));
    return {
      item: `rule ${priority}`,
      expected: text,
      found: ok ? text : missing,
      ok,
      change: { kind: 'ip', args: all },
    };
  });
  items.push(foreignRules(snapshot, wanted));
  return items;
}

/**
 * A rule that the kernel asks before rule 20 can lead traffic around the firewall. Rules for table
 * local cannot: they deliver to this host, which the firewall does not cover anyway.
 */
function foreignRules(snapshot: Snapshot, wanted: ReturnType<typeof wantedRules>): Item {
  const last = wanted.at(-1)?.priority ?? 0;
  const foreign = snapshot.rules.filter(
    (rule) =>
      rule.priority <= last &&
      !rule.text.endsWith('lookup local') &&
      !wanted.some(({ priority, text }) => priority === rule.priority && text === rule.text),
  );
  const found = foreign.map((rule) => `${rule.priority}: ${rule.text}`).join('; ');
  return {
    item: `other rules up to ${last}`,
    expected: 'none',
    found: found === '' ? 'none' : found,
    ok: foreign.length === 0,
  };
}

/**
 * Anti-spoofing is strict reverse-path filtering on every interface but lo and the TUN; the TUN does
 * not say where a packet came in. all.rp_filter is 0 because the larger of `all` and the interface's
 * value wins, and it comes after the others so that no interface is without a filter in between.
 * `default` is first: an interface that appears while we work gets it.
 */
function interfaceSysctls(snapshot: Snapshot, device: string): Item[] {
  const interfaces = (key: string): string[] =>
    [...snapshot.sysctls.keys()].filter((path) => {
      const name = interfaceOf(path);
      if (name === undefined || !path.endsWith(`/${key}`)) return false;
      return !['all', 'default', 'lo', device].includes(name);
    });
  const set = (path: string, value: string): Item[] => sysctlItem(snapshot, path, value);
  return [
    ...set('ipv4/conf/default/rp_filter', '1'),
    ...interfaces('rp_filter').flatMap((path) => set(path, '1')),
    ...set('ipv4/conf/all/rp_filter', '0'),
    // In and out by the same interface is normal here; the sender must not learn a route around the firewall.
    ...set('ipv4/conf/default/send_redirects', '0'),
    ...interfaces('send_redirects').flatMap((path) => set(path, '0')),
    ...set('ipv4/conf/all/send_redirects', '0'),
    ...set('ipv6/conf/default/force_forwarding', '0'),
    ...interfaces('force_forwarding').flatMap((path) => set(path, '0')),
    ...set('ipv6/conf/all/force_forwarding', '0'),
    ...set('ipv6/conf/all/forwarding', '0'),
  ];
}

/**
 * No item for an IPv6 sysctl that this kernel lacks (IPv6 disabled, or older than the sysctl): without the sysctl
 * nothing is forwarded. The other sysctls always exist; a device's come with the device.
 */
function sysctlItem(snapshot: Snapshot, path: string, value: string): Item[] {
  const ofAll = path.replace(/conf\/[^/]+\//, 'conf/all/');
  if (path.startsWith('ipv6/') && !snapshot.sysctls.has(ofAll)) return [];
  const found = snapshot.sysctls.get(path);
  return [
    {
      item: sysctlName(path),
      expected: value,
      found: found ?? missing,
      ok: found === value,
      change: { kind: 'sysctl', path, value },
    },
  ];
}
