/** The data plane of a gateway: from its settings, with errors in words, and with what the log says of it. */
import { release } from 'node:os';
import { dirname } from 'node:path';
import type { Survival } from '../../dataplane/engine/adoption.ts';
import type { PolicyProgram } from '../../dataplane/match/matcher.ts';
import { DataPlane } from '../../dataplane/worker/data-plane.ts';
import { FlowFileFull, flowFilePath, removeFlowFile } from '../../dataplane/worker/flow-file.ts';
import { engineOptions } from '../../policy/engine-options.ts';
import type { GatewayConfig } from '../../policy/types.ts';
import type { Logger } from '../log/logger.ts';
import { StartError } from './start-state.ts';

/**
 * Starts the packet threads with a first policy.
 *
 * @param digest of the policy (policy-digest.ts), where flows are kept; @param onFailure nothing is forwarded any more
 * @throws StartError if there is no space for the flows, or a `TunError`
 */
export async function startForwarding(
  gateway: GatewayConfig,
  program: PolicyProgram,
  digest: string,
  log: Logger,
  onFailure: (error: Error) => void,
): Promise<DataPlane> {
  const path = flowFilePath(dirname(gateway.api.socket), gateway.device);
  // Of a time when flows were kept: they would come back when that is turned on again.
  if (!gateway.flows.survive) removeFlowFile(path);
  try {
    const dataPlane = await DataPlane.start({
      device: gateway.device,
      queues: gateway.queues,
      offload: gateway.offload,
      ioUring: gateway.ioUring,
      flowCapacity: gateway.flows.capacity,
      fragmentBytes: gateway.fragments.memory,
      engine: engineOptions(gateway),
      program,
      ...(gateway.flows.survive && {
        survival: { path, policyDigest: digest },
      }),
      onFailure,
      onSuperPacketsRefused: (kind, retryMs) =>
        log.warn(
          { kernel: release(), protocol: kind, retrySeconds: retryMs / 1000 },
          'the kernel refuses super-packets: segmentation offload is off for this protocol, and is tried again',
        ),
    });
    if (gateway.flows.survive) logSurvival(log, dataPlane.survival);
    return dataPlane;
  } catch (error) {
    if (!(error instanceof FlowFileFull)) throw error;
    const hint = 'make room there, lower flows.capacity, or set flows.survive: false';
    throw new StartError(`no space for the flow table: ${error.message}`, hint);
  }
}

function logSurvival(log: Logger, { kept, problem, ...counts }: Survival): void {
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
