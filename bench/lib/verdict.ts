/** Targets and whether they are met. */
import type { Figure } from './benchmark.ts';
import { median, ratios, valuesOf } from './statistics.ts';
import type { Measure } from './statistics.ts';

export interface Target {
  /** As the reader knows it. */
  readonly title: string;
  /** Id of the figure. */
  readonly figure: string;
  /** Compared with this peer, as a ratio of the medians' pairs; without: the value itself. */
  readonly peer?: string;
  /** What of the samples; the value unless given. */
  readonly measure?: Measure;
  readonly bound: 'at least' | 'at most';
  readonly limit: number;
  readonly unit: string;
}

export interface Verdict {
  readonly target: Target;
  /** Undefined: not measured in this run. */
  readonly value?: number;
  readonly met?: boolean;
}

/** The median of what a target is about; undefined if these figures do not have it. */
function measuredValue(target: Target, figures: readonly Figure[]): number | undefined {
  const figure = figures.find(({ id }) => id === target.figure);
  const subject = figure?.series[0];
  if (subject === undefined) return undefined;
  const peer = figure?.series.find((series) => series.subject === target.peer);
  if (target.peer !== undefined && peer === undefined) return undefined;
  const values =
    peer === undefined ? valuesOf(subject, target.measure) : ratios(subject, peer, target.measure);
  return values.length === 0 ? undefined : median(values);
}

export function judge(targets: readonly Target[], figures: readonly Figure[]): Verdict[] {
  return targets.map((target) => {
    const value = measuredValue(target, figures);
    if (value === undefined) return { target };
    const met = target.bound === 'at least' ? value >= target.limit : value <= target.limit;
    return { target, value, met };
  });
}
