/** The gateways on one store: what each has in force, and how far it is behind. */
import type { FleetGateway, OwnReport, PolicyStore } from '../store/store.ts';
import { StoreError } from '../store/store.ts';

export type FleetState = 'ok' | 'behind' | 'refuses' | 'degraded' | 'failed' | 'stopped';

export interface FleetMember extends Omit<FleetGateway, 'runs' | 'revision' | 'seen' | 'state'> {
  readonly state: FleetState;
  /** Number of the change in force; absent with a store in files. */
  readonly revision?: number;
  /** Of the newest change that it has seen. */
  readonly seen?: number;
  /** How many changes are not in force there. */
  readonly behind?: number;
}

export interface Fleet {
  readonly gateways: readonly FleetMember[];
  /** Number of the newest change; absent with a store in files. */
  readonly newest?: number;
  /** Why the other gateways are not known. */
  readonly problem?: string;
}

/** @param own what this gateway says of itself; absent: no firewall runs here */
export async function fleetOf(
  store: Pick<PolicyStore, 'gateways'>,
  own: OwnReport | undefined,
): Promise<Fleet> {
  const alone = own === undefined ? [] : [memberOfOne(own)];
  if (store.gateways === undefined) return { gateways: alone };
  try {
    const { newest, gateways } = await store.gateways();
    return { newest, gateways: gateways.map((each) => memberOf(each, newest)) };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { gateways: alone, problem: error.message };
  }
}

function memberOfOne(own: OwnReport): FleetMember {
  return { ...own, reportedAt: new Date().toISOString(), isThis: true };
}

function memberOf({ runs, ...gateway }: FleetGateway, newest: number): FleetMember {
  const behind = Math.max(0, newest - gateway.revision);
  return { ...gateway, behind, state: stateOf(gateway.state, runs, behind) };
}

function stateOf(own: OwnReport['state'], runs: boolean, behind: number): FleetState {
  if (!runs) return 'stopped';
  return own === 'ok' && behind > 0 ? 'behind' : own;
}

/** Gateways that run elsewhere, and have not taken the newest change. */
export function pendingIn({ gateways }: Fleet): string[] {
  return gateways
    .filter(({ state, isThis, behind = 0 }) => state !== 'stopped' && !isThis && behind > 0)
    .map(({ name }) => name);
}
