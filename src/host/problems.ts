/**
 * What is wrong with a gateway that is up, as a list, for whoever looks again and again (`gateway watch`, the
 * firewall's health), and its repair. The comparison is the plan's (plan.ts); this is its shape for others.
 */
import { bypassOf, type Bypass } from './guard.ts';
import { gatewayUp, type GatewayOptions, type GatewayReport } from './gateway.ts';
import { compare, type Item, type ItemKind } from './plan.ts';
import { belongsHere, defaultStateDirectory, readRecord, type GatewayRecord } from './record.ts';
import { readSnapshot, type Snapshot } from './snapshot.ts';

export interface GatewayProblem {
  /** `rule 20`, `nft table inet tunwall-guard`, `net.ipv4.conf.eth0.rp_filter`, ... */
  readonly what: string;
  readonly wanted: string;
  readonly found: string;
  readonly kind: ItemKind;
  /** Whether {@link repairGateway} mends it. False: it is somebody else's; `hint` says what to do. */
  readonly repairable: boolean;
  readonly hint?: string;
}

/** Pure: the problems of a machine's state, given the record of what `up` was asked for. */
export function problemsOf(snapshot: Snapshot, record: GatewayRecord): GatewayProblem[] {
  const { device, ownerUid, txQueueLength, guard = true } = record;
  const items = compare(snapshot, { device, ownerUid, txQueueLength, guard });
  return items.filter(({ ok }) => !ok).map(toProblem);
}

function toProblem({ item, expected, found, kind, change, hint }: Item): GatewayProblem {
  const problem = { what: item, wanted: expected, found, kind, repairable: change !== undefined };
  return hint === undefined ? problem : { ...problem, hint };
}

export interface GatewayState {
  /** `down`: `up` was not run here, or did not succeed. Then there are no problems. */
  readonly state: 'ok' | 'degraded' | 'down';
  readonly device: string | undefined;
  readonly problems: readonly GatewayProblem[];
  /** What the guard has dropped; undefined where it is missing or cannot be read (CAP_NET_ADMIN). */
  readonly bypass: Bypass | undefined;
}

/**
 * Looks once. Without CAP_NET_ADMIN all but nftables is seen.
 *
 * @throws GatewayError when the record cannot be used, or `ip` is missing.
 */
export async function readGatewayState(
  stateDirectory: string = defaultStateDirectory,
): Promise<GatewayState> {
  const snapshot = await readSnapshot();
  const record = readRecord(stateDirectory);
  const bypass = snapshot.nft.state === 'read' ? bypassOf(snapshot.nft.ruleset) : undefined;
  if (record === undefined || !belongsHere(record, snapshot)) {
    return { state: 'down', device: undefined, problems: [], bypass };
  }
  const problems = problemsOf(snapshot, record);
  const state = problems.length === 0 ? 'ok' : 'degraded';
  return { state, device: record.device, problems, bypass };
}

/**
 * Repairs what is repairable; the same as `gateway up` for a gateway that is up. Undefined when it is not.
 *
 * @throws GatewayError when a repair fails, or something is in the way.
 */
export async function repairGateway(options: GatewayOptions): Promise<GatewayReport | undefined> {
  const { state } = await readGatewayState(options.stateDirectory);
  return state === 'down' ? undefined : gatewayUp(options);
}
