/** Flows that a rule has opened, with the last one and the moment from which they count as a tooltip. */
import type { ReactNode } from 'react';
import { formatNumber } from './format.ts';
import { hitTimes } from './hit-times.ts';
import type { RuleHits } from './hit-times.ts';

export function Hits({ rule }: { readonly rule: RuleHits }): ReactNode {
  const { hits } = rule;
  return hits === undefined ? '–' : <span title={hitTimes(rule)}>{formatNumber(hits)}</span>;
}
