/** The network benchmarks, in the order in which they run. */
import type { Benchmark } from '../lib/benchmark.ts';
import { bulkTcp, jumboFrames } from './bulk-tcp.ts';
import { bulkUdp } from './bulk-udp.ts';
import { collections } from './collections.ts';
import { connections, loadedLatency } from './connections.ts';
import { controlPlane } from './control-plane.ts';
import { fleet } from './fleet.ts';
import { lab } from './lab.ts';
import { livePage } from './live-page.ts';
import { manyFlows } from './many-flows.ts';
import { policies } from './policies.ts';
import { reload } from './reload.ts';
import { restart } from './restart.ts';
import { manyRules } from './rules.ts';
import { droppedPackets, smallPackets } from './small-packets.ts';
import { survive } from './survive.ts';
import { flood } from './syn-flood.ts';
import { guardCost } from './guard.ts';
import { onFastPath, throughDevice } from '../net/kinds.ts';

/** Those that are measured through the device, and again with the fast path. */
const both = [
  bulkTcp,
  bulkUdp,
  smallPackets,
  connections,
  loadedLatency,
  manyFlows,
  reload,
] as const;

export const networkBenchmarks: readonly Benchmark[] = [
  bulkTcp(throughDevice),
  jumboFrames,
  bulkUdp(throughDevice),
  smallPackets(throughDevice),
  droppedPackets,
  connections(throughDevice),
  loadedLatency(throughDevice),
  manyFlows(throughDevice),
  flood,
  manyRules,
  reload(throughDevice),
  restart,
  survive,
  collections,
  controlPlane,
  policies,
  fleet,
  lab,
  livePage,
  guardCost,
  ...both.map(onFastPath),
];
