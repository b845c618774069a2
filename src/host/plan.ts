/**
 * The state that the namespace must have, compared with the state that it has.
 *
 * Pure: a snapshot goes in, one item per thing that has to be right comes out. `gateway status` prints
 * the items; `gateway up` makes the changes of those that are not right, in this order. The order is
 * the safety argument: the guard comes before everything, whatever forwards packets comes after everything
 * that makes them go through the TUN, and a route that fails closed comes before the one that it guards. So
 * there is no moment in which this gateway forwards unfiltered, also without the guard.
 */
import type { FastPathMode } from '../system/fast-path.ts';
import { forwardPolicyItems } from './forward-policy.ts';
import { deviceGroup, guardCommands, guardFault, guardTable } from './guard.ts';
import { neighbourItems } from './neighbours.ts';
import type { Item } from './item.ts';
import { firewallTable, interfaceOf, type Link, type Rule, type Snapshot } from './snapshot.ts';
import { sysctlName } from './system.ts';

export interface Wanted {
  readonly device: string;
  readonly ownerUid: number;
  readonly txQueueLength: number;
  /** False: `--no-guard`. */
  readonly guard: boolean;
  /** `--fast-path`: whether the kernel carries what was judged, and room for how many flows. */
  readonly fastPath: FastPathMode;
  readonly fastPathSlots: number;
  /** `--integrate`: keep our lines in the chains that others leave to the administrator. */
  readonly integrate: boolean;
}

/**
 * Protocol number that marks our rules and routes, so that `down` never removes foreign ones. No routing daemon in
 * iproute2's rt_protos uses it ('t').
 */
export const routeProtocol = 116;

/** The most that a TUN can have: the device never is what makes a path narrow. */
export const deviceMtu = 65_535;

const missing = 'missing';

export interface WantedRule {
  readonly priority: number;
  readonly text: string;
  readonly args: readonly string[];
}

function rule(priority: number, selector: string): WantedRule {
  return { priority, text: `from all ${selector}`, args: selector.split(' ') };
}

/** The rule that diverts what is forwarded. No rule of another program may come before it. */
const divertingPriority = 20;

/**
 * Our rules in the order in which they are added: the one that diverts traffic comes last.
 *
 * What the gateway sends itself, and what was judged, jumps over the diverting rule: from there on the host's
 * own rules decide, as they would without us (VPNs, several uplinks). Where they know no route, the list ends:
 * nothing that was judged goes into the TUN again. Reverse-path lookups are made as of `lo`. Local delivery
 * comes first on every host, wherever that one has its own rule for it.
 */
export function wantedRules(device: string): WantedRule[] {
  const behind = divertingPriority + 1;
  return [
    rule(behind, 'nop'),
    rule(4, 'lookup local'),
    rule(5, `iif lo goto ${behind}`),
    rule(10, `iif ${device} goto ${behind}`),
    rule(divertingPriority, `lookup ${firewallTable}`),
  ];
}

/** What earlier versions had at their place; `up` takes them out, and `down` too. */
export function obsoleteRules(device: string): WantedRule[] {
  return [
    rule(5, 'iif lo lookup main'),
    rule(10, `iif ${device} lookup main`),
    rule(11, `iif ${device} unreachable`),
  ];
}

/** The arguments of `ip` that add or delete a rule of ours. */
export function ruleCommand(verb: 'add' | 'del', { priority, args }: WantedRule): string[] {
  const all = ['-4', 'rule', verb, 'priority', String(priority), ...args];
  return [...all, 'protocol', String(routeProtocol)];
}

/** Whether a rule that is there is ours and of this kind. */
export function isRule(found: Rule, { priority, text }: WantedRule): boolean {
  return found.priority === priority && found.text === text;
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
  const [its] = deviceItems(snapshot, wanted);
  // Something else has the name: what makes the device the way out of the firewall would open that.
  const isForeign = !its.ok && its.change === undefined;
  const ofDevice = (items: readonly Item[]): Item[] =>
    isForeign ? items.map(withoutChange) : [...items];
  const deviceSysctl = (key: string, value: string): Item[] =>
    ofDevice(sysctlItem(snapshot, key.replace('*', device), value));
  const group = groupItem(findLink(snapshot, device), device);
  return [
    ...strayGroupItems(snapshot, its.ok ? device : undefined),
    // Before the guard that goes by it, where it can be: what passes an earlier version's goes on passing.
    ...(its.ok ? [group] : []),
    ...guardItems(snapshot, wanted),
    its,
    ...(its.ok ? [] : ofDevice([group])),
    ...forwardPolicyItems(snapshot.forwardPolicy, isForeign ? undefined : device),
    ...deviceSysctl('ipv4/conf/*/rp_filter', '0'),
    // An IPsec policy would take a packet on its way into the TUN: it is judged first, and encrypted after.
    ...deviceSysctl('ipv4/conf/*/disable_xfrm', '1'),
    ...deviceSysctl('ipv4/conf/*/disable_policy', '1'),
    // Sources were checked where the packet came in; in front of rules the kernel would look each up again.
    ...deviceSysctl('ipv4/conf/*/accept_local', '1'),
    ...deviceSysctl('ipv4/conf/*/send_redirects', '0'),
    ...deviceSysctl('ipv6/conf/*/disable_ipv6', '1'),
    ...ofDevice(linkItems(snapshot, wanted)),
    ...routeItems(snapshot, device),
    ...ruleItems(snapshot, device),
    ...interfaceSysctls(snapshot, device),
    // It looks for a socket of each packet before it is routed: a gateway's packets have none.
    ...sysctlItem(snapshot, 'ipv4/ip_early_demux', '0'),
    ...sysctlItem(snapshot, 'ipv4/ip_forward', '1'),
    ...deviceSysctl('ipv4/conf/*/forwarding', '1'),
    ...neighbourItems(snapshot, device, wanted.integrate),
  ];
}

function withoutChange({ kind, item, expected, found, ok }: Item): Item {
  return { kind, item, expected, found, ok };
}

/** Whether a change makes the device what it must be, other than making it: it must not meet another one of that name. */
export function isAboutDevice({ change }: Item, device: string): boolean {
  if (change?.kind === 'sysctl') return interfaceOf(change.path) === device;
  if (change?.kind !== 'ip' && change?.kind !== 'tc') return false;
  return change.args[0] !== 'tuntap' && change.args.includes(device);
}

/** Whether an item keeps `up` from saying that all is right: it changes or refuses it. Others are named only. */
export function isUpsBusiness({ ok, kind, change, refused }: Item): boolean {
  return !ok && (kind !== 'neighbour' || change !== undefined || refused === true);
}

/** Found without the right to read nftables. It counts as right, and the text says why. */
export const unreadableGuard = 'not readable without root';

function guardItems({ nft }: Snapshot, { device, guard }: Wanted): Item[] {
  if (!guard) return [];
  const expected = `drops what does not pass ${device}`;
  const item = { kind: 'guard', item: `nft table inet ${guardTable}`, expected } as const;
  if (nft.state === 'forbidden') return [{ ...item, found: unreadableGuard, ok: true }];
  const ruleset = nft.state === 'read' ? nft.ruleset : [];
  const fault = guardFault(ruleset);
  const change = { kind: 'nft', commands: guardCommands(ruleset) } as const;
  return [{ ...item, found: fault ?? expected, ok: fault === undefined, change }];
}

function findLink(snapshot: Snapshot, device: string): Link | undefined {
  return snapshot.links.find((link) => link.name === device);
}

function deviceItems(snapshot: Snapshot, wanted: Wanted): [Item] {
  const { device, ownerUid } = wanted;
  const expected = `persistent TUN, multi_queue, vnet_hdr, owner uid ${ownerUid}`;
  const link = findLink(snapshot, device);
  if (link === undefined) {
    const args = ['tuntap', 'add', 'dev', device, 'mode', 'tun', 'user', String(ownerUid)];
    args.push('multi_queue', 'vnet_hdr');
    const change = { kind: 'ip', args } as const;
    const item = `device ${device}`;
    return [{ kind: 'device', item, expected, found: missing, ok: false, change }];
  }
  const found = describeDevice(link);
  const ok = found === expected;
  return [{ kind: 'device', item: `device ${device}`, expected, found, ok }];
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

function groupItem(link: Link | undefined, device: string): Item {
  const args = ['link', 'set', 'dev', device, 'group', String(deviceGroup)];
  return {
    kind: 'device',
    item: `${device} group`,
    expected: String(deviceGroup),
    found: String(link?.group ?? missing),
    ok: link?.group === deviceGroup,
    change: { kind: 'ip', args },
  };
}

/** What else is in the group would be the device to the guard. */
function strayGroupItems({ links }: Snapshot, device: string | undefined): Item[] {
  return links
    .filter(({ name, group }) => group === deviceGroup && name !== device)
    .map(({ name }) => ({
      kind: 'device',
      item: `${name} group`,
      expected: 'another one than that of the device',
      found: String(deviceGroup),
      ok: false,
      change: { kind: 'ip', args: ['link', 'set', 'dev', name, 'group', '0'] },
    }));
}

function linkItems(snapshot: Snapshot, wanted: Wanted): Item[] {
  const { device, txQueueLength } = wanted;
  const link = findLink(snapshot, device);
  const item = (
    what: string,
    expected: string,
    found: string | undefined,
    set: string[],
  ): Item => ({
    kind: 'device',
    item: `${device} ${what}`,
    expected,
    found: found ?? missing,
    ok: found === expected,
    change: { kind: 'ip', args: ['link', 'set', 'dev', device, ...set] },
  });
  const length = String(txQueueLength);
  const up = link === undefined ? undefined : link.up ? 'up' : 'down';
  return [
    item('txqueuelen', length, link?.txQueueLength.toString(), ['txqueuelen', length]),
    item('mtu', String(deviceMtu), link?.mtu.toString(), ['mtu', String(deviceMtu)]),
    ...queueingItems(snapshot, device),
    item('link', 'up', up, ['up']),
  ];
}

/** What the kernel gives a device with several queues, and one that was never up. */
export const defaultQdiscs: ReadonlySet<string> = new Set(['mq', 'noop']);

/**
 * No queue before the queue of a TUN: that one never asks the kernel to wait, so the other would always be empty. One that an
 * administrator has put there stays. None of it without `tc`.
 */
function queueingItems(snapshot: Snapshot, device: string): Item[] {
  if (snapshot.filters.state !== 'read') return [];
  const qdisc = findLink(snapshot, device)?.qdisc;
  const expected = 'noqueue';
  const ok = qdisc !== undefined && !defaultQdiscs.has(qdisc);
  return [
    {
      kind: 'device',
      item: `${device} qdisc`,
      expected: ok ? qdisc : expected,
      found: qdisc ?? missing,
      ok,
      change: { kind: 'tc', args: ['qdisc', 'replace', 'dev', device, 'root', expected] },
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
      kind: 'route',
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
    kind: 'route',
    item: `table ${firewallTable}, other routes`,
    expected: 'none',
    found: found === '' ? 'none' : found,
    ok: foreign.length === 0,
  });
  return items;
}

function ruleItems(snapshot: Snapshot, device: string): Item[] {
  const items: Item[] = wantedRules(device).map((wanted) => {
    const ok = snapshot.rules.some((found) => isRule(found, wanted));
    return {
      kind: 'rule',
      item: `rule ${wanted.priority}`,
      expected: wanted.text,
      found: ok ? wanted.text : missing,
      ok,
      change: { kind: 'ip', args: ruleCommand('add', wanted) },
    };
  });
  for (const old of obsoleteRules(device)) {
    if (!snapshot.rules.some((found) => isOurs(found) && isRule(found, old))) continue;
    items.push({
      kind: 'rule',
      item: `rule ${old.priority} of an earlier version`,
      expected: 'none',
      found: old.text,
      ok: false,
      change: { kind: 'ip', args: ruleCommand('del', old) },
    });
  }
  items.push(foreignRules(snapshot, device));
  return items;
}

/** Whether it carries our mark. */
function isOurs({ protocol }: Rule): boolean {
  return protocol === routeProtocol;
}

/**
 * A rule that the kernel asks before rule 20 can lead traffic around the firewall. Rules for table
 * local cannot: they deliver to this host, which the firewall does not cover anyway.
 */
function foreignRules(snapshot: Snapshot, device: string): Item {
  const wanted = wantedRules(device);
  const obsolete = obsoleteRules(device);
  const foreign = snapshot.rules.filter(
    (found) =>
      found.priority <= divertingPriority &&
      !found.text.endsWith('lookup local') &&
      !wanted.some((one) => isRule(found, one)) &&
      !(isOurs(found) && obsolete.some((one) => isRule(found, one))),
  );
  const found = foreign.map(({ priority, text }) => `${priority}: ${text}`).join('; ');
  return {
    kind: 'rule',
    item: `other rules up to ${divertingPriority}`,
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
      kind: 'sysctl',
      item: sysctlName(path),
      expected: value,
      found: found ?? missing,
      ok: found === value,
      change: { kind: 'sysctl', path, value },
    },
  ];
}
