/** The network benchmarks, in the order in which they run. */
import type { Benchmark } from '../lib/benchmark.ts';

export const networkBenchmarks: readonly Benchmark[] = [];
