/** What tunwall has to reach. Medians; a ratio is the median of the rounds' ratios. */
import type { Target } from './lib/verdict.ts';

export const targets: readonly Target[] = [];
