/** How the gateway around the firewall is, for health, status, metrics and the log. Who looks is given (src/host). */
import type { DataPlane } from '../../dataplane/worker/data-plane.ts';
import type { GatewayConfig } from '../../policy/types.ts';
import type { GatewayHealth, Status } from '../api/context.ts';
import type { Logger } from '../log/logger.ts';
import type { PolicyStore } from '../store/store.ts';

export interface GatewayObservation {
  /** Undefined before the first look. */
  readonly current: ObservedGateway | undefined;
  /** The first look is done. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface ObservedGateway extends GatewayHealth {
  /** What the guard has dropped; undefined: not known here. */
  readonly bypassPackets: number | undefined;
  /** Repairs of the watch since it started; undefined: nobody watches. */
  readonly repairs: number | undefined;
  /** Interfaces at which the kernel carries what was judged, and why there are none. */
  readonly fastPath: { readonly interfaces: readonly string[]; readonly why: readonly string[] };
}

/** Looks from now on at the gateway of a device. */
export type ObserveGateway = (
  device: string,
  onChange: (gateway: ObservedGateway) => void,
) => GatewayObservation;

/** Problems that one line of the log names; more are counted. */
const namedAtOnce = 20;

export function logGateway(log: Logger, observed: ObservedGateway): void {
  const { state, problems, watch } = toHealth(observed);
  if (state === 'ok') {
    log.info({ watch }, 'the gateway is as it should be');
  } else if (state === 'down') {
    log.warn('the gateway is down: nothing leads packets here before `tunwall gateway up`');
  } else {
    const more = problems.length - namedAtOnce;
    const named = problems.slice(0, namedAtOnce);
    log.warn({ watch, problems: named, ...(more > 0 && { more }) }, 'the gateway is degraded');
  }
}

/** What the API tells of it: nothing before the first look. */
export function healthOf(observation: GatewayObservation | undefined): { gateway?: GatewayHealth } {
  const current = observation?.current;
  return current === undefined ? {} : { gateway: toHealth(current) };
}

function toHealth({ state, problems, watch }: ObservedGateway): GatewayHealth {
  return {
    state,
    problems: problems.map(({ what, wanted, found, hint }) => ({
      ...{ what, wanted, found },
      ...(hint !== undefined && { hint }),
    })),
    watch,
  };
}

/** What the kernel's program sees without anybody's help, but not what it is. */
const hooksHaveChanged =
  'nftables, IPsec or another filter of forwarded packets has changed since `gateway up` looked: tunwall gateway up';

/** Whether the kernel carries flows of this firewall; nothing where that is not wanted. */
export function fastPathOf(
  { fastPath: mode }: GatewayConfig,
  { carriedFlows: flows = 0, carriesNothing, notCarriedBecause }: DataPlane,
  observation: GatewayObservation | undefined,
): Pick<Status, 'fastPath'> {
  if (mode === 'off') return {};
  const seen = observation?.current?.fastPath;
  const said = seen?.why[0] === undefined ? undefined : seen.why.join('; ');
  const why = notCarriedBecause ?? said ?? (carriesNothing ? hooksHaveChanged : undefined);
  const interfaces = why === undefined ? (seen?.interfaces ?? []) : [];
  const isOn = interfaces.length > 0;
  return {
    fastPath: { mode, on: isOn, interfaces, flows, ...(!isOn && { why: why ?? 'not known yet' }) },
  };
}

/** Name and region of this gateway, as far as it has them. */
export function namesOf({ name, region }: GatewayConfig): Pick<Status, 'name' | 'region'> {
  return { ...(name !== undefined && { name }), ...(region !== undefined && { region }) };
}

/** How the store is reached that gateways share. */
export function storeOf({ link }: PolicyStore): Pick<Status, 'store'> {
  if (link === undefined) return {};
  const { name, endpoint, connected, problem, confirmedAgeSeconds, revision } = link;
  return {
    store: {
      ...{ name, endpoint, connected, revision },
      ...(problem !== undefined && { problem }),
      ...(confirmedAgeSeconds !== undefined && { confirmedAgeSeconds }),
    },
  };
}
