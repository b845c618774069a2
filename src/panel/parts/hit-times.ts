/** When a rule was hit last, and from when its hits count, in words. */
import type { Rule } from '../data/types.ts';
import { formatTime } from './format.ts';

/** What is known of a rule's hits; nothing when no firewall runs. */
export type RuleHits = Pick<Rule, 'hits' | 'hitsSince' | 'lastHit'>;

/** `Last hit Jan 31, 2030, 12:00:00 PM. Counted since …`, or `Never hit since …`. */
export function hitTimes({ hitsSince, lastHit }: RuleHits): string | undefined {
  if (hitsSince === undefined) return undefined;
  const since = formatTime(hitsSince);
  return lastHit === undefined
    ? `Never hit since ${since}`
    : `Last hit ${formatTime(lastHit)}. Counted since ${since}`;
}
