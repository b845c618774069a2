/**
 * Interleaved rounds: A B C, A B C, … so that a machine whose speed drifts, and other programs that come and go, meet all subjects
 * alike. The ratios of statistics.ts are taken within a round.
 */
import type { Context, Sample, Series } from './benchmark.ts';

/** What one measurement gave, by figure. A figure that a subject does not have is left out, in every round. */
export type Measured<Key extends string> = Partial<Record<Key, Sample>>;

/**
 * Measures every subject once a round.
 *
 * @param what for the progress lines
 * @returns the series of each figure, in the order of the subjects; a subject without the figure has none
 */
export async function interleave<Subject extends { readonly name: string }, Key extends string>(
  context: Context,
  what: string,
  subjects: readonly Subject[],
  keys: readonly Key[],
  measure: (subject: Subject, round: number) => Promise<Measured<Key>>,
): Promise<Record<Key, Series[]>> {
  const all = new Map<string, Map<Key, Sample[]>>();
  for (let round = 0; round < context.pairs; round++) {
    for (const subject of subjects) {
      const measured = await measure(subject, round);
      const samples = all.get(subject.name) ?? new Map<Key, Sample[]>();
      all.set(subject.name, samples);
      for (const key of keys) {
        const sample = measured[key];
        if (sample !== undefined) samples.set(key, [...(samples.get(key) ?? []), sample]);
      }
      const shown = keys.flatMap((key) => {
        const sample = measured[key];
        return sample === undefined ? [] : [`${key} ${formatValue(sample.value)}`];
      });
      context.say(
        `${what}, round ${round + 1}/${context.pairs}, ${subject.name}: ${shown.join(', ')}`,
      );
    }
  }
  const entries = keys.map((key) => {
    const series = subjects.flatMap(({ name }): Series[] => {
      const samples = all.get(name)?.get(key) ?? [];
      if (samples.length === 0) return [];
      if (samples.length === context.pairs) return [{ subject: name, samples }];
      throw new Error(
        `${what}: ${name} has ${key} in ${samples.length} of ${context.pairs} rounds`,
      );
    });
    return [key, series] as const;
  });
  return Object.fromEntries(entries) as Record<Key, Series[]>;
}

/** Three significant digits, thousands grouped: as exact as such a measurement is. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}
