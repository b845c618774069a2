/**
 * The control plane where no firewall runs: the command line calls the API in its own process, on the configuration
 * directory (`buildApi` with the listener `in-process`). Everything is read on demand; nothing is ever in force.
 */
import { compilePolicy } from '../../policy/compile.ts';
import { observingNow } from '../../policy/observe.ts';
import { undoOverdue } from '../store/confirmation.ts';
import type { PolicyStore, Store } from '../store/store.ts';
import type { ControlPlane } from './context.ts';
import { fleetOf } from './fleet.ts';
import { HttpProblem } from './http-problem.ts';

const pending = 'no firewall runs on this configuration: it is in force when one starts';

export function offlineControlPlane(
  store: Store & Pick<PolicyStore, 'gateways'>,
  options: { readonly version: string; readonly configDirectory: string },
): ControlPlane {
  return {
    health: () => ({ healthy: false, epoch: 0, reloadError: null }),
    snapshot: () => store.read(),
    gateways: () => fleetOf(store, undefined),
    undoOverdue: () => undoOverdue(store),
    apply: () => Promise.resolve({ applied: false, epoch: 0, pending }),
    async policy() {
      const snapshot = await store.read();
      const { templates, servers, sets, gateway, problems } = snapshot;
      const errors = problems.filter(({ severity }) => severity === 'error');
      if (errors.length > 0) {
        // What is missing because of them would look like an answer.
        throw new HttpProblem('broken', errors[0]!.message, { errors });
      }
      const compiled = compilePolicy(snapshot, 0);
      return { templates, servers, sets, compiled, loose: gateway.tcp.loose };
    },
    async status() {
      const { templates, servers, sets, gateway, problems } = await store.read();
      const rules = templates.reduce(
        (sum, { inbound, outbound }) => sum + inbound.length + outbound.length,
        0,
      );
      return {
        ...options,
        running: false,
        epoch: 0,
        policy: {
          templates: templates.length,
          servers: servers.length,
          sets: sets.length,
          rules,
        },
        reject: gateway.reject,
        ...observingNow(servers, Date.now()),
        reloadError: null,
        problems,
      };
    },
  };
}
