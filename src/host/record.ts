/**
 * What `gateway up` found: one JSON file per network namespace, /run/tunwall/gateway-<inode>.json.
 *
 * Life-cycle: written atomically before the first change but the guard, never rewritten while the gateway is up
 * (a second `up` would otherwise record its own work as the state to go back to), removed by `down` after the
 * last change. So whenever something of ours is in the namespace, there is a record of what was there before,
 * also after a crash in the middle of `up` or `down`. The guard alone needs none: it changes nothing else.
 *
 * Inode numbers of namespaces are reused soon after a namespace dies, and its record stays behind: `belongsHere`
 * distinguishes such a record from this namespace's own.
 *
 * root acts on what the file says, and the directory may be shared with the unprivileged firewall
 * process (its control socket): a record counts only if it is this user's or root's own file, and only with
 * values of the known shapes.
 */
import { lstatSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fastPathModes, gatewayStateDirectory, type FastPathMode } from '../system/fast-path.ts';
import { GatewayError } from './error.ts';
import { defaultSlots } from './fast-path-pins.ts';
import { hasForwardPolicy, type ForwardDefault } from './forward-policy.ts';
import { hasGuard } from './guard.ts';
import {
  isRule,
  obsoleteRules,
  routeProtocol,
  wantedRoutes,
  wantedRules,
  type Wanted,
} from './plan.ts';
import { interfaceOf, type Link, type Snapshot } from './snapshot.ts';
import { readStateFile, removeStateFile, writeStateFile } from './state-file.ts';

export const defaultStateDirectory: string = gatewayStateDirectory;

export interface DeviceBefore {
  readonly up: boolean;
  readonly txQueueLength: number;
  readonly mtu?: number;
  readonly group?: number;
  readonly qdisc?: string;
}

export interface GatewayRecord {
  /** 1: made by a version without guard and MTU. */
  readonly version: 1 | 2;
  readonly bootId: string;
  readonly createdAt: string;
  readonly device: string;
  readonly ownerUid: number;
  readonly txQueueLength: number;
  /** False: `up --no-guard`. */
  readonly guard?: boolean;
  /** `up --integrate`. */
  readonly integrate?: boolean;
  /** `up --fast-path`, and its slots. */
  readonly fastPath?: FastPathMode;
  readonly fastPathSlots?: number;
  /** The device as it was, or null when `up` made it. */
  readonly deviceBefore: DeviceBefore | null;
  /** What happened to forwarded packets without an IPsec policy; absent: `accept`. */
  readonly forwardDefault?: ForwardDefault;
  /** What IPsec's policies had dropped before. */
  readonly forwardDropped?: number;
  /** Path below /proc/sys/net -> value. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Links of the namespace, to recognise it by. */
  readonly links: readonly {
    readonly name: string;
    readonly index: number;
    readonly address: string;
  }[];
}

/** Inode of this process's network namespace: its name among the namespaces that exist now. */
export function namespaceInode(): string {
  const link = readlinkSync('/proc/self/ns/net');
  return /^net:\[(\d+)\]$/.exec(link)?.[1] ?? link;
}

export function recordPath(stateDirectory: string): string {
  return join(stateDirectory, `gateway-${namespaceInode()}.json`);
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

/** The current state, as the state to go back to. */
export function makeRecord(snapshot: Snapshot, wanted: Wanted): GatewayRecord {
  const { device, ownerUid, txQueueLength, guard, integrate, fastPath, fastPathSlots } = wanted;
  const link = snapshot.links.find(({ name }) => name === device);
  const { forwardPolicy } = snapshot;
  return {
    version: 2,
    bootId: bootId(),
    createdAt: new Date().toISOString(),
    device,
    ownerUid,
    txQueueLength,
    guard,
    integrate,
    fastPath,
    fastPathSlots,
    deviceBefore:
      link === undefined
        ? null
        : {
            up: link.up,
            txQueueLength: link.txQueueLength,
            mtu: link.mtu,
            group: link.group,
            qdisc: link.qdisc,
          },
    ...(forwardPolicy.state === 'read' && {
      forwardDefault: forwardPolicy.byDefault,
      forwardDropped: forwardPolicy.dropped,
    }),
    sysctls: Object.fromEntries(
      // `up` sets these on the device only; those of other interfaces are not restored.
      [...snapshot.sysctls].filter(([path]) => !isDeviceOnly(path) || interfaceOf(path) === device),
    ),
    links: snapshot.links.map(({ name, index, address }) => ({ name, index, address })),
  };
}

/** What `up` was asked for. */
export function wantedOf(record: GatewayRecord): Wanted {
  const { device, ownerUid, txQueueLength, guard = true, integrate = false } = record;
  const { fastPath = 'off', fastPathSlots = defaultSlots } = record;
  return { device, ownerUid, txQueueLength, guard, integrate, fastPath, fastPathSlots };
}

/** Whether we set this sysctl on the device alone. */
export function isDeviceOnly(path: string): boolean {
  return /\/(accept_local|disable_(ipv6|xfrm|policy))$/.test(path);
}

/**
 * Whether a record is about this namespace: this boot's, and something of it is still here, either of
 * what the gateway set up or of the interfaces that were there (same index and hardware address).
 * A record without any trace is an earlier namespace's, or `up` died before its first change; in both
 * cases there is nothing to go back to.
 */
export function belongsHere(record: GatewayRecord, snapshot: Snapshot): boolean {
  if (record.bootId !== bootId()) return false;
  if (hasOurWork(snapshot, record.device)) return true;
  const isUnique = ({ name, address }: { name: string; address: string }): boolean =>
    name !== 'lo' && address !== '';
  const same = (a: GatewayRecord['links'][number], b: Link): boolean =>
    a.name === b.name && a.index === b.index && a.address === b.address;
  return record.links.some((a) => isUnique(a) && snapshot.links.some((b) => same(a, b)));
}

/** Rules or routes that carry our mark and have our shape, also an earlier version's, for this device. */
export function ourRules(snapshot: Snapshot, device: string): Snapshot['rules'] {
  const shapes = [...wantedRules(device), ...obsoleteRules(device)];
  return snapshot.rules.filter(
    (rule) => rule.protocol === routeProtocol && shapes.some((shape) => isRule(rule, shape)),
  );
}

export function ourRoutes(snapshot: Snapshot, device: string): Snapshot['routes'] {
  const wanted = wantedRoutes(device);
  return snapshot.routes.filter(
    (route) => route.protocol === routeProtocol && wanted.some(({ text }) => text === route.text),
  );
}

export function guardIsHere({ nft }: Snapshot): boolean {
  return nft.state === 'read' && hasGuard(nft.ruleset);
}

/** Our mark is on rules, routes and the IPsec policy; a TUN alone could belong to another program. */
export function hasOurMark(snapshot: Snapshot, device: string): boolean {
  return (
    ourRules(snapshot, device).length > 0 ||
    ourRoutes(snapshot, device).length > 0 ||
    hasForwardPolicy(snapshot.forwardPolicy)
  );
}

function hasOurWork(snapshot: Snapshot, device: string): boolean {
  return (
    hasOurMark(snapshot, device) ||
    snapshot.links.some(({ name, tun }) => name === device && tun?.persistent === true)
  );
}

/**
 * The record of this namespace's inode, whichever namespace it is about, or undefined.
 *
 * @throws GatewayError when there is one that must not be acted upon.
 */
export function readRecord(stateDirectory: string): GatewayRecord | undefined {
  const path = recordPath(stateDirectory);
  const refuse = (why: string): GatewayError =>
    new GatewayError(
      `the gateway's record ${path} cannot be used: ${why}`,
      'look at it, remove it, and run `tunwall gateway down` (which then removes what is recognisably tunwall’s)',
    );
  try {
    const parsed = readStateFile(path);
    const wrong = parsed === undefined ? undefined : whatIsWrong(parsed);
    if (wrong !== undefined) throw new Error(wrong);
    return parsed as GatewayRecord | undefined;
  } catch (error) {
    throw refuse((error as Error).message);
  }
}

/** Checks a record's shape; returns what is wrong, or undefined. */
export function whatIsWrong(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is not an object';
  const record = value as Partial<Record<keyof GatewayRecord, unknown>>;
  if (record.version !== 1 && record.version !== 2) {
    return `its version is ${String(record.version)}, expected 1 or 2`;
  }
  if (typeof record.bootId !== 'string') return 'bootId is not a string';
  if (typeof record.device !== 'string' || !isDeviceName(record.device)) {
    return 'device is not an interface name';
  }
  if (!isCount(record.ownerUid)) return 'ownerUid is not a number';
  if (!isCount(record.txQueueLength)) return 'txQueueLength is not a number';
  for (const key of ['guard', 'integrate'] as const) {
    if (!['boolean', 'undefined'].includes(typeof record[key]))
      return `${key} is not true or false`;
  }
  if (!['accept', 'block', undefined].includes(record.forwardDefault as string | undefined)) {
    return 'forwardDefault is not accept or block';
  }
  if (record.fastPath !== undefined && !fastPathModes.includes(record.fastPath as FastPathMode)) {
    return 'fastPath is not off, auto or force';
  }
  if (!isCount(record.fastPathSlots ?? 0)) return 'fastPathSlots is not a number';
  if (!isCount(record.forwardDropped ?? 0)) return 'forwardDropped is not a number';
  const before = record.deviceBefore as Partial<Record<string, unknown>> | null | undefined;
  if (before === undefined) return 'deviceBefore is missing';
  if (before !== null && !isDeviceBefore(before)) return 'deviceBefore has no state of a link';
  if (!Array.isArray(record.links)) return 'links is not a list';
  if (typeof record.sysctls !== 'object' || record.sysctls === null) return 'sysctls is missing';
  const bad = Object.entries(record.sysctls).find(
    ([path, setting]) => !isKnownSysctl(path) || !/^-?\d{1,10}$/.test(String(setting)),
  );
  return bad === undefined ? undefined : `${JSON.stringify(bad[0])} is not a sysctl of the gateway`;
}

function isDeviceBefore(before: Partial<Record<string, unknown>>): boolean {
  const { up, txQueueLength, mtu = 0, group = 0, qdisc = '' } = before;
  if (typeof up !== 'boolean' || typeof qdisc !== 'string') return false;
  return [txQueueLength, mtu, group].every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

const sysctlKeys =
  /\/(rp_filter|send_redirects|forwarding|accept_redirects|accept_local|force_forwarding|disable_(ipv6|xfrm|policy))$/;

function isKnownSysctl(path: string): boolean {
  if (['ipv4/ip_forward', 'ipv4/ip_early_demux'].includes(path)) return true;
  const name = interfaceOf(path);
  return name !== undefined && name !== '.' && name !== '..' && sysctlKeys.test(path);
}

/** Interface names that have no other meaning to `ip`, in a path or to the kernel. */
export function isDeviceName(name: string): boolean {
  return (
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/.test(name) && !['all', 'default', 'lo'].includes(name)
  );
}

/**
 * Writes the record: temporary file, fsync, rename.
 *
 * @throws GatewayError when the directory cannot be used.
 */
export function writeRecord(stateDirectory: string, record: GatewayRecord): void {
  const path = recordPath(stateDirectory);
  try {
    writeStateFile(path, record);
  } catch (error) {
    throw new GatewayError(
      `cannot write the gateway's record ${path}: ${(error as Error).message}`,
      'nothing was changed; make room or mend the permissions and try again',
      { cause: error },
    );
  }
}

export function removeRecord(stateDirectory: string): void {
  removeStateFile(recordPath(stateDirectory));
}

/**
 * Makes the state directory and checks that no other user can replace files in it.
 *
 * @throws GatewayError
 */
export function prepareStateDirectory(stateDirectory: string): void {
  try {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new GatewayError(
      `cannot make the directory ${stateDirectory}: ${(error as Error).message}`,
      'run this as root',
      { cause: error },
    );
  }
  const { uid, mode } = lstatSync(stateDirectory);
  const owned = uid === 0 || uid === process.geteuid?.();
  if (owned && ((mode & 0o022) === 0 || (mode & 0o1000) !== 0)) return;
  throw new GatewayError(
    `${stateDirectory} may be changed by others than root (owner uid ${uid}, mode ${(mode & 0o7777).toString(8)})`,
    `make it root's: chown root ${stateDirectory} && chmod 1775 ${stateDirectory} (see scripts/systemd/tunwall.tmpfiles)`,
  );
}
