/** What metrics are read from, without a firewall: a figure of its own for each, and counters that the test fills. */
import { counterCount } from '../../src/dataplane/engine/counters.ts';
import type { MetricsSource } from '../../src/control/metrics/metrics.ts';

export const counters: Float64Array = new Float64Array(counterCount);

export const metricsSource: MetricsSource = {
  counter: (index) => counters[index]!,
  packetsByQueue: () => [100, 200],
  flowsInState: (state) => state,
  carriedFlows: () => 0,
  flowCount: () => 256,
  lineage: { restarts: 2, upgrades: 3, gapMs: 45 },
  flowCapacity: 1024,
  flowTimeoutFactor: () => 0.5,
  fragmentDatagrams: () => 3,
  fragmentBytes: () => 8192,
  fragmentBytesLimit: 131_072,
  sweepRemaining: () => 12,
  survival: { adopted: 21, cut: 22, expired: 23, refused: 24 },
  flowLog: () => ({ lines: 31, lost: 32 }),
  policyEpoch: () => 7,
  policyRules: () => 3,
  policyServers: () => 2,
  serversObserving: () => 1,
  policyTemplates: () => 1,
  reloads: () => 6,
  reloadFailures: () => 5,
  changeWaits: () => true,
  changesUndone: () => 3,
  apiConnectionsRefused: () => 8,
  apiListenFailures: () => 9,
  apiRequestsAborted: () => 9,
  configDegraded: () => false,
  store: () => ({ connected: true, confirmedAgeSeconds: 1.5, revision: 31, conflicts: 32 }),
  gateway: () => ({ state: 'ok', bypassPackets: 8, repairs: 9 }),
  tunTxDropped: () => 4,
};
