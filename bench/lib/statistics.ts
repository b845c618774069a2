/** Order statistics. No means: one hiccup of the machine would move them. */
import type { Sample, Series } from './benchmark.ts';

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** @param fraction 0.5 for the median; linear between the two nearest ranks. */
export function quantile(values: readonly number[], fraction: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(rank)]!;
  const above = sorted[Math.ceil(rank)]!;
  return below + (above - below) * (rank - Math.floor(rank));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function spread(values: readonly number[]): Spread {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}

/** What of a sample is compared. */
export type Measure = 'value' | 'cpuUs' | 'userUs';

/** The measure of every sample that has it. */
export function valuesOf(series: Series, measure: Measure = 'value'): number[] {
  return series.samples
    .map((sample: Sample) => sample[measure])
    .filter((each) => each !== undefined);
}

/** Subject ÷ peer, round by round: what disturbs the machine for longer than a round disturbs both. */
export function ratios(subject: Series, peer: Series, measure: Measure = 'value'): number[] {
  return subject.samples.flatMap((sample, round) => {
    const mine = sample[measure];
    const theirs = peer.samples[round]?.[measure];
    return mine === undefined || theirs === undefined || theirs === 0 ? [] : [mine / theirs];
  });
}
