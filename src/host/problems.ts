/**
 * What is wrong with a gateway that is up, as a list, for whoever looks again and again. The comparison is the
 * plan's (plan.ts); this is what an observer needs of it. `gatewayUp` repairs what is repairable.
 */
import type { Item, ItemKind } from './item.ts';

export interface GatewayProblem {
  /** `rule 20`, `nft table inet tunwall-guard`, `net.ipv4.conf.eth0.rp_filter`, ... */
  readonly what: string;
  readonly wanted: string;
  readonly found: string;
  readonly kind: ItemKind | 'record';
  /** Whether `gateway up` mends it. False: another program made it; `hint` says what to do. */
  readonly repairable: boolean;
  readonly hint?: string;
}

/** `down`: `up` was not run here, or did not succeed. */
export type GatewayState = 'ok' | 'degraded' | 'down';

export function problemsOf(items: readonly Item[]): GatewayProblem[] {
  return items.filter(({ ok }) => !ok).map(toProblem);
}

function toProblem({ item, expected, found, kind, change, hint }: Item): GatewayProblem {
  const problem = { what: item, wanted: expected, found, kind, repairable: change !== undefined };
  return hint === undefined ? problem : { ...problem, hint };
}

export function stateOf(recorded: boolean, items: readonly Item[]): GatewayState {
  if (!recorded) return 'down';
  return items.every(({ ok }) => ok) ? 'ok' : 'degraded';
}
