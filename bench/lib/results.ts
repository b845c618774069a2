/** The results of a run, as they are gathered, and as the JSON file has them. */
import type { Chart, Figure } from './benchmark.ts';
import type { Verdict } from './verdict.ts';

export interface Skipped {
  readonly benchmark: string;
  readonly what: string;
  readonly reason: string;
}

export interface BenchmarkResults {
  readonly name: string;
  readonly describe: string;
  readonly seconds: number;
  readonly figures: readonly Figure[];
  readonly charts: readonly Chart[];
  /** Set if the benchmark ended with an error. */
  readonly error?: string;
}

/** What the machine was: a figure means nothing without it. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  /** One-minute load average before the run: above 0.5 another program was busy. */
  readonly loadBefore: number;
}

export interface Results {
  readonly machine: Machine;
  readonly quick: boolean;
  readonly pairs: number;
  readonly benchmarks: readonly BenchmarkResults[];
  readonly skipped: readonly Skipped[];
  readonly verdicts: readonly Verdict[];
}
