/** The data plane of a gateway: from its settings, with errors in words, and with what the log says of it. */
import { release } from 'node:os';
import { dirname } from 'node:path';
import type { Survival } from '../../dataplane/engine/adoption.ts';
import type { PolicyProgram } from '../../dataplane/match/matcher.ts';
import { DataPlane } from '../../dataplane/worker/data-plane.ts';
import { FlowFileFull } from '../../dataplane/worker/flow-file.ts';
import { hitFileNames } from '../../dataplane/worker/hit-file.ts';
import { KernelCarry } from '../../dataplane/worker/kernel-carry.ts';
import { leftFilePath, removeLeftFile } from '../../dataplane/worker/left-file.ts';
import { gatewayStateDirectory } from '../../system/fast-path.ts';
import { openDrivers } from '../../dataplane/tun/linux-tun.ts';
import { engineOptions } from '../../policy/engine-options.ts';
import type { GatewayConfig } from '../../policy/types.ts';
import type { Logger } from '../log/logger.ts';
import { historyFormat, historyLength } from '../metrics/traffic-history.ts';
import { StartError } from './start-state.ts';

/**
 * Makes the packet threads ready, as far as that can be done while an earlier process forwards.
 *
 * @param descriptors of the driver, from the parent; none: it could not open them
 * @param onFailure nothing is forwarded any more
 * @throws StartError if there is no space for the flows, or a `TunError`
 */
export async function prepareForwarding(
  gateway: GatewayConfig,
  descriptors: readonly number[],
  log: Logger,
  onFailure: (error: Error) => void,
): Promise<DataPlane> {
  const { device, queues, offload, ioUring, flows, fragments } = gateway;
  const carry = openCarry(gateway);
  if (gateway.fastPath !== 'off' && typeof carry === 'string') {
    log.warn({ reason: carry }, 'the fast path is off: all packets go through the device');
  }
  try {
    return await DataPlane.prepare({
      device,
      queues,
      descriptors: descriptors.length > 0 ? descriptors : openDrivers(device, queues),
      offload,
      ioUring,
      flowCapacity: flows.capacity,
      fragmentBytes: fragments.memory,
      engine: engineOptions(gateway),
      logsFlows: gateway.log.flows !== undefined,
      ...(flows.survive && { keptIn: directoryOf(gateway) }),
      charts: { bytes: historyLength, format: historyFormat },
      carry,
      onFailure,
      onSuperPacketsRefused: (kind, retryMs) =>
        log.warn(
          { kernel: release(), protocol: kind, retrySeconds: retryMs / 1000 },
          'the kernel refuses super-packets: segmentation offload is off for this protocol, and is tried again',
        ),
      onCountsNotKept: (what, reason) =>
        log.warn(`${what} will not outlive this process: ${reason}`),
    });
  } catch (error) {
    if (!(error instanceof FlowFileFull)) throw error;
    const hint = 'make room there, lower flows.capacity, or set flows.survive: false';
    throw new StartError(`no space for the flow table: ${error.message}`, hint);
  }
}

/**
 * Begins to forward, with a first policy.
 *
 * @param digest of the policy (policy-digest.ts), where flows are kept
 */
export async function beginForwarding(
  dataPlane: DataPlane,
  gateway: GatewayConfig,
  program: PolicyProgram,
  digest: string,
  log: Logger,
): Promise<void> {
  // Of a time when flows were kept: they would come back when that is turned on again.
  if (!gateway.flows.survive) {
    const pathOf = (kind: string): string =>
      leftFilePath(directoryOf(gateway), kind, gateway.device);
    const paths = [pathOf('flows'), pathOf('charts'), ...hitFileNames(pathOf('hits'))];
    for (const path of paths) removeLeftFile(path);
  }
  // What an earlier process let the kernel carry ends by itself, but not at once.
  if (gateway.fastPath === 'off') endCarrying(gateway);
  await dataPlane.begin(program, digest);
  if (gateway.flows.survive) logSurvival(log, dataPlane);
}

/** What `gateway up` has set up for the fast path; or why it is off. */
function openCarry({ fastPath, flows }: GatewayConfig): KernelCarry | string {
  if (fastPath === 'off') return 'fastPath is off in gateway.yaml';
  return KernelCarry.open(gatewayStateDirectory, flows.capacity);
}

function endCarrying({ flows }: GatewayConfig): void {
  const left = KernelCarry.open(gatewayStateDirectory, flows.capacity);
  if (typeof left === 'object') left.end();
}

const directoryOf = ({ api }: GatewayConfig): string => dirname(api.socket);

function logSurvival(log: Logger, { survival, totalsRefused, chartsRefused }: DataPlane): void {
  const { kept, problem, ...counts }: Survival = survival;
  if (chartsRefused !== undefined) {
    log.warn(`charts of an earlier process are not used: ${chartsRefused}`);
  }
  if (totalsRefused > 0) {
    log.warn({ servers: totalsRefused }, 'totals of servers were damaged: they begin anew');
  }
  if (problem !== undefined) {
    log.warn(
      kept
        ? `flows of an earlier process are not used: ${problem}`
        : `flows will not outlive this process: ${problem}`,
    );
  }
  const { adopted, cut, expired, refused } = counts;
  if (adopted + cut + expired + refused > 0) {
    log[refused > 0 ? 'warn' : 'info'](counts, 'flows of the process before were taken over');
  }
}
