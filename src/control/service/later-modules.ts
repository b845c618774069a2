/** What no packet needs, and which takes longer to load than the rest of a start: it is loaded when packets flow. */
import type { buildApi as BuildApi } from '../api/server.ts';
import type { createMetrics as CreateMetrics } from '../metrics/metrics.ts';
import type { ObserveGateway } from './gateway-health.ts';
import type { LiveObserver } from './observer.ts';

export interface LaterModules {
  readonly buildApi: typeof BuildApi;
  readonly createMetrics: typeof CreateMetrics;
  readonly LiveObserver: typeof LiveObserver;
  readonly observeGateway: ObserveGateway;
}

export async function loadLater(
  loadGatewayObserver: () => Promise<ObserveGateway>,
): Promise<LaterModules> {
  const [{ buildApi }, { createMetrics }, { LiveObserver }, observeGateway] = await Promise.all([
    import('../api/server.ts'),
    import('../metrics/metrics.ts'),
    import('./observer.ts'),
    loadGatewayObserver(),
  ]);
  return { buildApi, createMetrics, LiveObserver, observeGateway };
}
