/**
 * `tunwall gateway up|down|status`: the routes, rules and sysctls of the current network namespace that send all
 * forwarded packets through the TUN.
 *
 * All three work on snapshots (snapshot.ts) compared with what is wanted (plan.ts). `up` records what
 * it found (record.ts) before it changes anything; `down` goes back to the record (restore.ts). An `up`
 * or `down` that dies in the middle is finished by the next one.
 *
 * The guard (guard.ts) is first to come and last to go: an `up` that fails leaves the namespace closed, and so
 * does `down --keep-closed`. Only a plain `down` opens.
 */
import { defaultFastPath, type FastPathMode } from '../system/fast-path.ts';
import { GatewayError } from './error.ts';
import { fastPathState, removeFastPath, settleFastPath, type FastPathState } from './fast-path.ts';
import { slotsFor } from './fast-path-pins.ts';
import { bypassIn, type Bypass } from './guard.ts';
import { bridgeWarnings, forwardingWarnings, neighbourWarnings } from './neighbours.ts';
import { withGatewayLock } from './gateway-lock.ts';
import { pruneRecords } from './namespaces.ts';
import { apply } from './apply.ts';
import type { Item } from './item.ts';
import { compare, isUpsBusiness, type Wanted } from './plan.ts';
import { problemsOf, stateOf, type GatewayProblem, type GatewayState } from './problems.ts';
import {
  requireDeviceName,
  requireNetAdmin,
  requireNft,
  requireTunNode,
  resolveOwner,
  tunNodeWarning,
} from './preflight.ts';
import {
  belongsHere,
  defaultStateDirectory,
  guardIsHere,
  hasOurMark,
  makeRecord,
  prepareStateDirectory,
  readRecord,
  recordPath,
  removeRecord,
  wantedOf,
  writeRecord,
  type GatewayRecord,
} from './record.ts';
import { removeGuard, restore } from './restore.ts';
import { readSnapshot, type Snapshot } from './snapshot.ts';
import { readSysctl } from './system.ts';

export { GatewayError } from './error.ts';
export type { Item as GatewayItem } from './item.ts';

/**
 * Packets that the device holds for the firewall when it is busy. The kernel's 500 overflow within a
 * millisecond of small packets at full rate; 4,000 ride out an upgrade at 40,000 packets a second.
 */
export const defaultTxQueueLength = 4000;
export const defaultDevice = 'fw0';

export interface GatewayOptions {
  /** Name of the TUN. Default: that of the gateway that is up, else `fw0`. */
  readonly device?: string | undefined;
  /** Name or uid of the user that will run the firewall; default: that of the gateway that is up, else the caller. */
  readonly user?: string | undefined;
  /** Packets. Default: that of the gateway that is up, else {@link defaultTxQueueLength}. */
  readonly txQueueLength?: number | undefined;
  /** Whether nftables guard the gateway; default: as it is up, else true. */
  readonly guard?: boolean | undefined;
  /** Whether our lines are kept in DOCKER-USER; default: as it is up, else false. */
  readonly integrate?: boolean | undefined;
  /** Whether the kernel carries established flows; default: as it is up, else {@link defaultFastPath}. */
  readonly fastPath?: FastPathMode | undefined;
  /** How many flows the firewall can hold: room for as many carried ones. */
  readonly flowCapacity?: number | undefined;
  /** Where the record is kept; default /run/tunwall. */
  readonly stateDirectory?: string | undefined;
}

export interface GatewayReport {
  readonly device: string;
  /** Changes made, one line each; empty when there was nothing to do. */
  readonly changed: readonly string[];
  /** Notes for the operator. */
  readonly warnings: readonly string[];
}

export interface GatewayStatus {
  readonly device: string;
  /** Whether `up` was run here (and `down` was not). */
  readonly recorded: boolean;
  /** The gateway is not up, but the guard is: nothing is forwarded. */
  readonly closed: boolean;
  /** Queues of the device that a process holds open: 0 means that no firewall is running. */
  readonly attachedQueues: number;
  readonly items: readonly Item[];
  readonly state: GatewayState;
  /** The items that are not right; none of a gateway that is down. */
  readonly problems: readonly GatewayProblem[];
  /** What the guard has dropped; undefined where it cannot be read. */
  readonly bypass: Bypass | undefined;
  readonly fastPath: FastPathState;
  /** What the operator should know although nothing is wrong with it. */
  readonly warnings: readonly string[];
  /** All items are as they should be, and there is a record. */
  readonly ok: boolean;
}

export interface DownOptions extends GatewayOptions {
  /** Leave the guard: nothing is forwarded until the next `up` or a `down` without this. */
  readonly keepClosed?: boolean | undefined;
}

/** Passes over the namespace until `up` fails: udev may set sysctls of new interfaces concurrently. */
const maxPasses = 5;

/**
 * Sets everything up; leaves untouched what is already right.
 *
 * @throws GatewayError: nothing was changed when something is in the way (privilege, missing parts,
 *   foreign rules, routes or device). When a change fails, this call's changes are undone.
 */
export async function gatewayUp(options: GatewayOptions): Promise<GatewayReport> {
  requireNetAdmin('up');
  const stateDirectory = options.stateDirectory ?? defaultStateDirectory;
  prepareStateDirectory(stateDirectory);
  return withGatewayLock(stateDirectory, async () => {
    pruneRecords(stateDirectory);
    const before = await readSnapshot();
    const record = currentRecord(stateDirectory, before);
    const wanted = await wantedBy(options, record);
    requireNft(before.nft, wanted.guard);
    if (record !== undefined) {
      // Undoing a repair would reopen what it closed: a repair stays, even half of one.
      await rememberChoices(stateDirectory, record, wanted);
      return report(wanted, before, await settle(stateDirectory, await makeRight(wanted), wanted));
    }
    refuseWithoutRecord(before, wanted.device, stateDirectory);
    const made = await setUp(stateDirectory, before, wanted);
    return report(wanted, before, await settle(stateDirectory, made, wanted));
  });
}

/** What was changed, and what the namespace looks like now. */
interface Made {
  readonly changed: readonly string[];
  readonly snapshot: Snapshot;
}

/** The fast path, once all else is right. Returns everything that has changed. */
async function settle(
  stateDirectory: string,
  { changed, snapshot }: Made,
  wanted: Wanted,
): Promise<string[]> {
  const { device, ownerUid, fastPath: mode, fastPathSlots: slots } = wanted;
  const before = fastPathState(stateDirectory, snapshot, mode);
  const after = await settleFastPath(stateDirectory, snapshot, { mode, slots, ownerUid, device });
  const attached = after.interfaces.filter((name) => !before.interfaces.includes(name));
  return [...changed, ...attached.map((name) => `fast path: attached to ${name}`)];
}

/** The first `up`: the guard, then the checks, then the rest. */
async function setUp(stateDirectory: string, before: Snapshot, wanted: Wanted): Promise<Made> {
  const closed = await close(before, wanted);
  try {
    requireTunNode();
    refuseForeign(compare(before, wanted));
  } catch (error) {
    throw wanted.guard ? saidClosed(error, 'nothing else was changed') : error;
  }
  const record = makeRecord(before, wanted);
  writeRecord(stateDirectory, record);
  try {
    const { changed, snapshot } = await makeRight(wanted);
    return { changed: [...closed, ...changed], snapshot };
  } catch (error) {
    await takeBack(stateDirectory, record, error);
    throw wanted.guard ? saidClosed(error, 'the rest was taken back') : error;
  }
}

/** Puts the guard there, and says so. */
async function close(snapshot: Snapshot, wanted: Wanted): Promise<string[]> {
  const changed: string[] = [];
  for (const { kind, ok, item, expected, change } of compare(snapshot, wanted)) {
    if (kind !== 'guard' || ok || change === undefined) continue;
    await apply(change);
    changed.push(`${item}: ${expected}`);
  }
  return changed;
}

/** A failed `up` leaves the namespace closed; its error says what opens it. */
function saidClosed(error: unknown, whatElse: string): unknown {
  if (!(error instanceof GatewayError)) return error;
  return new GatewayError(
    `${error.message}. The guard is up, ${whatElse}: nothing is forwarded here`,
    `${error.hint}; or open again: tunwall gateway down`,
    { cause: error },
  );
}

/** `--guard`, `--no-guard`, `--integrate` and `--fast-path` for a gateway that is up. */
async function rememberChoices(
  stateDirectory: string,
  record: GatewayRecord,
  { guard, integrate, fastPath, fastPathSlots }: Wanted,
): Promise<void> {
  const now = { guard, integrate, fastPath, fastPathSlots };
  const before = wantedOf(record);
  if (Object.entries(now).every(([key, value]) => before[key as keyof typeof now] === value))
    return;
  writeRecord(stateDirectory, { ...record, version: 2, ...now });
  if (!guard) await removeGuard();
}

/** The record of this namespace, if it has one. */
function currentRecord(stateDirectory: string, snapshot: Snapshot): GatewayRecord | undefined {
  const record = readRecord(stateDirectory);
  return record !== undefined && belongsHere(record, snapshot) ? record : undefined;
}

async function wantedBy(
  options: GatewayOptions,
  record: GatewayRecord | undefined,
): Promise<Wanted> {
  const device = deviceBy(options, record);
  const ownerUid =
    options.user === undefined && record !== undefined
      ? record.ownerUid
      : await resolveOwner(options.user);
  return {
    device,
    ownerUid,
    txQueueLength: options.txQueueLength ?? record?.txQueueLength ?? defaultTxQueueLength,
    guard: options.guard ?? record?.guard ?? true,
    integrate: options.integrate ?? record?.integrate ?? false,
    fastPath: options.fastPath ?? record?.fastPath ?? defaultFastPath,
    fastPathSlots:
      options.flowCapacity === undefined && record?.fastPathSlots !== undefined
        ? record.fastPathSlots
        : slotsFor(options.flowCapacity),
  };
}

function deviceBy(options: GatewayOptions, record: GatewayRecord | undefined): string {
  const device = options.device ?? record?.device ?? defaultDevice;
  requireDeviceName(device);
  if (record !== undefined && device !== record.device) {
    throw new GatewayError(
      `the gateway of this network namespace is up with device ${record.device}, not ${device}`,
      `take it down first: tunwall gateway down --device ${record.device}`,
    );
  }
  return device;
}

/** @throws GatewayError when something in the way was not made by tunwall. */
function refuseForeign(items: readonly Item[]): void {
  const foreign = items.filter((item) => isUpsBusiness(item) && item.change === undefined);
  if (foreign.length === 0) return;
  const list = foreign.map(
    ({ item, expected, found }) => `${item}: found ${found}, expected ${expected}`,
  );
  const isDevice = foreign.some(({ item }) => item.startsWith('device '));
  throw new GatewayError(
    `not everything here is tunwall's to change. ${list.join('. ')}`,
    foreign.find(({ hint }) => hint !== undefined)?.hint ??
      (isDevice
        ? 'choose another name with --device, another --user, or remove the device (ip link delete)'
        : 'remove it, or give it a priority above 21 or another table; tunwall uses rules 4, 5, 10, 20, 21 and table 100'),
  );
}

/**
 * Recording our own work as the state to go back to would make `down` leave forwarding on.
 *
 * @throws GatewayError when the gateway is up but its record is gone.
 */
function refuseWithoutRecord(snapshot: Snapshot, device: string, stateDirectory: string): void {
  if (!hasOurMark(snapshot, device)) return;
  throw new GatewayError(
    `the gateway is up here already, but its record ${recordPath(stateDirectory)} is gone`,
    'run `tunwall gateway down` first, then `up` again',
  );
}

/**
 * Makes changes until every item is right.
 *
 * @throws GatewayError when a change fails, or does not last.
 */
async function makeRight(wanted: Wanted): Promise<Made> {
  const changed: string[] = [];
  for (let pass = 0; pass < maxPasses; pass++) {
    const snapshot = await readSnapshot();
    const items = compare(snapshot, wanted);
    const wrong = items.filter(isUpsBusiness);
    if (wrong.length === 0) return { changed, snapshot };
    refuseForeign(items);
    for (const { item, expected, change } of wrong) {
      if (change === undefined || !(await apply(change))) continue;
      changed.push(`${item}: ${expected}`);
    }
  }
  const snapshot = await readSnapshot();
  const wrong = compare(snapshot, wanted).filter(isUpsBusiness);
  if (wrong.length === 0) return { changed, snapshot };
  const list = wrong.map(({ item, expected, found }) => `${item} is ${found}, not ${expected}`);
  throw new GatewayError(
    `these changes do not last: ${list.join('; ')}`,
    'something else sets them at the same time: look at sysctl.d, udev rules and network managers',
  );
}

async function report(
  wanted: Wanted,
  before: Snapshot,
  changed: readonly string[],
): Promise<GatewayReport> {
  const warning = await tunNodeWarning(wanted.ownerUid);
  const warnings = [
    ...standingWarnings(wanted, before),
    ...(warning === undefined ? [] : [warning]),
  ];
  return { device: wanted.device, changed, warnings };
}

function standingWarnings({ guard }: Wanted, { forwardPolicy: { state } }: Snapshot): string[] {
  const lastLine =
    state === 'missing'
      ? 'this kernel, or its ip command, has no default for IPsec policies (Linux 5.14)'
      : undefined;
  if (!guard) {
    const then =
      lastLine ?? 'only the IPsec policies close the gateway then, and not for multicast';
    return [
      'there is no guard in nftables (--no-guard), for when rules, routes or device are deleted: ' +
        `${then}; add it: tunwall gateway up --guard`,
    ];
  }
  if (lastLine === undefined) return [];
  return [`${lastLine}: when guard and rules are deleted together, packets pass until the repair`];
}

/** Undoes a failed first `up`, but for the guard. If that fails too, the record stays for `down`. */
async function takeBack(
  stateDirectory: string,
  record: GatewayRecord,
  reason: unknown,
): Promise<void> {
  try {
    await restore(record);
    removeRecord(stateDirectory);
  } catch (error) {
    throw new GatewayError(
      `${(reason as Error).message}; taking it back failed too: ${(error as Error).message}`,
      'remove the cause and run `tunwall gateway down`',
      { cause: reason },
    );
  }
}

/**
 * Goes back to what `up` found. Without a record, removes what carries our mark, and turns forwarding off: its previous
 * state is unknown, and forwarding without the rules would be unfiltered.
 *
 * @throws GatewayError; the record then stays, and `down` can be run again.
 */
export async function gatewayDown(options: DownOptions): Promise<GatewayReport> {
  requireNetAdmin('down');
  const stateDirectory = options.stateDirectory ?? defaultStateDirectory;
  prepareStateDirectory(stateDirectory);
  return withGatewayLock(stateDirectory, async () => {
    const snapshot = await readSnapshot();
    const record = currentRecord(stateDirectory, snapshot);
    const device = deviceBy(options, record);
    const warnings: string[] = [];
    const changed: string[] = [];
    // First: from now on everything is judged.
    await removeFastPath(stateDirectory, snapshot);
    if (record !== undefined) {
      warnings.push(...(await restore(record)));
      changed.push(`everything is as it was before ${record.createdAt}`);
    } else if (hasOurMark(snapshot, device)) {
      warnings.push(...(await restore({ device, deviceBefore: null, sysctls: ipForwardOff })));
      changed.push(`removed rules, routes and device ${device}`);
      warnings.push(
        `there was no record of what 'up' found: net.ipv4.ip_forward is 0 now, other sysctls are left as they are`,
      );
    }
    if (attachedQueues(snapshot, device) > 0 && changed.length > 0) {
      warnings.push(`a process was attached to ${device}; it has lost its device`);
    }
    const keepsClosed = options.keepClosed === true && guardIsHere(snapshot);
    if (keepsClosed) {
      warnings.push('the guard stays: nothing is forwarded until `gateway up`, or `gateway down`');
    } else if (guardIsHere(snapshot)) {
      await removeGuard();
      changed.push('removed the guard');
    }
    if (!keepsClosed && changed.length > 0 && readSysctl('ipv4/ip_forward') === '1') {
      warnings.push('this host forwarded before the gateway was up: it forwards again, unfiltered');
    }
    // Also one of an earlier namespace that had this inode number.
    removeRecord(stateDirectory);
    return { device, changed, warnings };
  });
}

const ipForwardOff = { 'ipv4/ip_forward': '0' } as const;

function attachedQueues(snapshot: Snapshot, device: string): number {
  return snapshot.links.find(({ name }) => name === device)?.tun?.attachedQueues ?? 0;
}

/** Compares without changing anything; needs no privilege. Without CAP_NET_ADMIN, nftables cannot be read. */
export async function gatewayStatus(options: GatewayOptions): Promise<GatewayStatus> {
  const snapshot = await readSnapshot();
  const stateDirectory = options.stateDirectory ?? defaultStateDirectory;
  const record = currentRecord(stateDirectory, snapshot);
  const wanted = await wantedBy(options, record);
  const items = compare(snapshot, wanted);
  const recorded = record !== undefined;
  const state = stateOf(recorded, items);
  return {
    device: wanted.device,
    recorded,
    closed: !recorded && guardIsHere(snapshot),
    attachedQueues: attachedQueues(snapshot, wanted.device),
    items,
    bypass: bypassIn(snapshot, record?.forwardDropped),
    fastPath: fastPathState(stateDirectory, snapshot, recorded ? wanted.fastPath : 'off'),
    warnings: [
      ...standingWarnings(wanted, snapshot),
      ...neighbourWarnings(snapshot, wanted.device),
      ...(wanted.guard ? bridgeWarnings(snapshot, readSysctl) : []),
      ...forwardingWarnings(snapshot, wanted.device),
    ],
    state,
    problems: recorded ? problemsOf(items) : [],
    ok: state === 'ok',
  };
}
