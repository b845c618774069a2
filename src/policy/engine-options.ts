/** The settings of gateway.yaml that the engine works by, in its units. */
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
