/** The settings of gateway.yaml that the engine works by, in its units, and which of them it takes while it runs. */
import { isDeepStrictEqual } from 'node:util';
import type { FlowTableLimits } from '../dataplane/flow/flow-table.ts';
import type { TcpTrackerOptions } from '../dataplane/flow/tcp-track.ts';
import { TimeoutList } from '../dataplane/flow/timeouts.ts';
import type { TimeoutName } from '../dataplane/flow/timeouts.ts';
import type { GatewayConfig } from './types.ts';

export function engineOptions(gateway: GatewayConfig): {
  readonly limits: FlowTableLimits;
  readonly tcp: TcpTrackerOptions;
} {
  return {
    limits: {
      timeoutsMs: (Object.keys(TimeoutList) as TimeoutName[]).map(
        (name) => gateway.timeouts[name] * 1000,
      ),
      serverShare: Math.max(1, Math.floor(gateway.flows.capacity * gateway.flows.perServerShare)),
    },
    tcp: gateway.tcp,
  };
}

/** Settings that a running firewall takes, or that matter only to the next start. */
const keysInForceAtOnce: ReadonlySet<string> = new Set(['reload', 'reject', 'start', 'tests']);

/** Settings that differ, and take effect only with a restart. */
export function fixedSettings(running: GatewayConfig, next: GatewayConfig): string[] {
  return (Object.keys(running) as (keyof GatewayConfig)[]).filter(
    (key) => !keysInForceAtOnce.has(key) && !isDeepStrictEqual(running[key], next[key]),
  );
}
