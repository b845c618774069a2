/**
 * The fast path: a program of the kernel (native/bpf/carry.bpf.c) at the ingress of the gateway's interfaces, which carries packets of
 * flows that the firewall has judged. `gateway up` loads it and pins its maps for the firewall's user (fast-path-pins.ts); `up` and
 * `watch` attach it, and take it off as soon as it would bypass what others do with forwarded packets; `down` removes all of it.
 *
 * Nothing depends on it: where it cannot be, packets go through the TUN. So it is no item of the plan, and its absence no problem.
 */
import { release } from 'node:os';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastPathMode } from '../system/fast-path.ts';
import { GatewayError } from './error.ts';
import {
  Approval,
  loadProgram,
  pinnedProgram,
  readFingerprint,
  unloadProgram,
} from './fast-path-pins.ts';
import { carryPreference, isCarryFilter } from './filters.ts';
import { guardTable } from './guard.ts';
import { readNft, type NftState, type Ruleset } from './nft.ts';
import { namespaceInode } from './record.ts';
import type { Link, Snapshot } from './snapshot.ts';
import { readStateFile, removeStateFile, writeStateFile } from './state-file.ts';
import { runProgram } from './system.ts';

/** APPROVED_ in native/bpf/carry.bpf.c. */
const approvedNone = 0;
const approvedAny = 1;

/** What `up` was asked for. */
export interface WantedFastPath {
  readonly mode: FastPathMode;
  /** Slots for carried flows: a power of two. */
  readonly slots: number;
  readonly ownerUid: number;
  readonly device: string;
}

export interface FastPathState {
  readonly mode: FastPathMode;
  /** Interfaces whose packets are carried. */
  readonly interfaces: readonly string[];
  /** Why there are none. */
  readonly why: readonly string[];
}

/** Makes it as it is wanted, or takes it off. Returns how it is then. Takes root, or CAP_NET_ADMIN once it is loaded. */
export async function settleFastPath(
  stateDirectory: string,
  snapshot: Snapshot,
  wanted: WantedFastPath,
): Promise<FastPathState> {
  const { mode } = wanted;
  if (mode === 'off') {
    await removeFastPath(stateDirectory, snapshot);
    return { mode, interfaces: [], why: [] };
  }
  const why = await obstacles(snapshot, wanted);
  if (why.length === 0) why.push(...(await carry(stateDirectory, snapshot, wanted)));
  if (why.length > 0) await detachAll(snapshot);
  const path = reasonsPath(stateDirectory);
  if (JSON.stringify(readReasons(path)) !== JSON.stringify(why)) writeStateFile(path, { why });
  return { mode, interfaces: why.length > 0 ? [] : cablesOf(snapshot, wanted.device), why };
}

/** Takes it off everywhere, and forgets it. */
export async function removeFastPath(stateDirectory: string, snapshot: Snapshot): Promise<void> {
  await detachAll(snapshot);
  await unloadProgram(stateDirectory);
  removeStateFile(reasonsPath(stateDirectory));
}

/** How it is. What only root may see is what `up` or the watch has said last. */
export function fastPathState(
  stateDirectory: string,
  snapshot: Snapshot,
  mode: FastPathMode,
): FastPathState {
  const interfaces = attachedTo(snapshot);
  if (mode === 'off' || interfaces.length > 0) return { mode, interfaces, why: [] };
  const said = readReasons(reasonsPath(stateDirectory));
  const why = said.length > 0 ? said : ['it is attached nowhere: tunwall gateway up'];
  return { mode, interfaces, why };
}

function reasonsPath(stateDirectory: string): string {
  return join(stateDirectory, `fastpath-${namespaceInode()}.json`);
}

function readReasons(path: string): readonly string[] {
  try {
    const { why } = readStateFile(path) as { why: unknown };
    return Array.isArray(why) ? why.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

/** Reasons to leave it off. With `force` only those that make it impossible. */
async function obstacles(snapshot: Snapshot, { mode, device }: WantedFastPath): Promise<string[]> {
  const { nft, filters } = snapshot;
  const impossible: string[] = [];
  if (!isKernelNewEnough(release())) impossible.push(`Linux 6.6 is needed, this is ${release()}`);
  if (filters.state === 'missing') impossible.push(filters.why);
  if (impossible.length > 0 || mode === 'force') return impossible;
  return [...(await foreignHooks(nft)), ...foreignFilters(snapshot, device)];
}

/** What {@link readFingerprint} changes with. */
async function foreignHooks(nft: NftState): Promise<string[]> {
  return [
    ...(nft.state === 'read' ? foreignChains(nft.ruleset) : ['nftables cannot be read']),
    ...legacyTables(),
    ...(await ipsecPolicies()),
  ];
}

export function isKernelNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 6);
}

const hooksOnTheWay: ReadonlySet<unknown> = new Set([
  'ingress',
  'prerouting',
  'forward',
  'postrouting',
  'egress',
]);

/** Chains that forwarded packets pass. One without rules may get some, and nothing would tell: the program sees chains, not rules. */
export function foreignChains(ruleset: Ruleset): string[] {
  return ruleset.flatMap(({ chain }) => {
    if (chain === undefined || !hooksOnTheWay.has(chain['hook'])) return [];
    const { family, table, name } = chain as Record<string, string>;
    if (!['ip', 'inet', 'netdev'].includes(family!) || table === guardTable) return [];
    const what = chain['type'] === 'nat' ? 'NAT' : 'rules for forwarded packets';
    return [`chain ${family} ${table} ${name} (${what})`];
  });
}

/** Tables of the old iptables, which nftables does not list. */
function legacyTables(): string[] {
  const path = '/proc/net/ip_tables_names';
  const names = existsSync(path) ? readFileSync(path, 'latin1').trim().split(/\s+/) : [];
  return names.filter((name) => name !== '').map((name) => `iptables-legacy has table ${name}`);
}

async function ipsecPolicies(): Promise<string[]> {
  let text: string;
  try {
    text = await runProgram('ip', ['xfrm', 'policy', 'show']);
  } catch (error) {
    // A kernel without IPsec.
    if (error instanceof GatewayError) return [];
    throw error;
  }
  const others = text
    .split(/\n(?=\S)/)
    .filter((policy) => policy.trim() !== '' && !/dir fwd priority 4294967295/.test(policy));
  return others.length > 0 ? ['IPsec policies'] : [];
}

function foreignFilters({ filters }: Snapshot, device: string): string[] {
  if (filters.state !== 'read') return [];
  return filters.hooks
    .filter(({ device: name, hook }) => hook === 'ingress' && name !== device)
    .filter(({ filters: found }) => found.some((filter) => !isCarryFilter(filter)))
    .map(({ device: name }) => `filters of tc at the ingress of ${name}`);
}

/** Interfaces with a header of Ethernet; a bridge or bond stands for its ports. */
function cablesOf({ links }: Snapshot, device: string): string[] {
  return links.filter((link) => isCable(link, device)).map(({ name }) => name);
}

function isCable({ name, address, master }: Link, device: string): boolean {
  const isEthernet = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(address);
  return isEthernet && name !== 'lo' && name !== device && master === undefined;
}

function attachedTo({ filters }: Snapshot): string[] {
  if (filters.state !== 'read') return [];
  return filters.hooks
    .filter(({ hook, filters: found }) => hook === 'ingress' && found.some(isCarryFilter))
    .map(({ device }) => device);
}

/** Loads it if it is not, attaches it where it is missing, and lets it carry. Returns why that cannot be. */
async function carry(
  stateDirectory: string,
  snapshot: Snapshot,
  wanted: WantedFastPath,
): Promise<string[]> {
  try {
    let program = pinnedProgram(stateDirectory);
    let attached = attachedTo(snapshot);
    if (program === undefined) {
      // Of a program that is not pinned any more.
      await detachAll(snapshot);
      attached = [];
      program = await loadProgram(stateDirectory, wanted.slots, wanted.ownerUid);
    }
    const cables = cablesOf(snapshot, wanted.device);
    if (cables.length === 0) return ['there is no interface with Ethernet'];
    for (const cable of cables.filter((name) => !attached.includes(name))) {
      await attach(snapshot, cable, program);
    }
    return await approve(program, wanted.mode);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return [error.message];
  }
}

/**
 * Lets the program carry as long as nothing else than now stands at the hooks of forwarded packets. The fingerprint is taken first: what
 * comes before the look is seen by it, and what comes after changes the fingerprint. Returns what was seen.
 */
async function approve(program: string, mode: FastPathMode): Promise<string[]> {
  try {
    const approval = new Approval(program);
    const now = mode === 'force' ? approvedAny : readFingerprint(program);
    if (approval.value === now) return [];
    const why = mode === 'force' ? [] : await foreignHooks(await readNft());
    approval.value = why.length === 0 ? now : approvedNone;
    return why;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return [`the kernel program cannot be asked: ${(error as Error).message}`];
  }
}

async function attach({ filters }: Snapshot, cable: string, program: string): Promise<void> {
  const hasHook = filters.state === 'read' && filters.hooks.some(({ device }) => device === cable);
  if (!hasHook) await runProgram('tc', ['qdisc', 'add', 'dev', cable, 'clsact']);
  const filter = ['filter', 'replace', 'dev', cable, 'ingress', 'pref', String(carryPreference)];
  filter.push('handle', '1', 'protocol', 'ip', 'bpf', 'direct-action', 'object-pinned', program);
  await runProgram('tc', filter);
}

/** Takes it off everywhere, and the hook with it where nothing else is in there. */
async function detachAll(snapshot: Snapshot): Promise<void> {
  const { filters } = snapshot;
  if (filters.state !== 'read') return;
  for (const device of attachedTo(snapshot)) {
    const remove = ['filter', 'del', 'dev', device, 'ingress', 'pref', String(carryPreference)];
    const hooks = filters.hooks.filter((hook) => hook.device === device);
    const isAlone = hooks.every(({ filters: found }) => found.every(isCarryFilter));
    try {
      await runProgram('tc', [...remove, 'protocol', 'ip']);
      if (isAlone) await runProgram('tc', ['qdisc', 'del', 'dev', device, 'clsact']);
    } catch (error) {
      // The interface is gone, or the hook is another one's.
      if (!(error instanceof GatewayError)) throw error;
    }
  }
}
