/** What the panel calls the sides of a rule. The rule itself: `text/rule-text.ts`. */
import type { RuleDirection } from '../../text/rule-text.ts';

export const directionWords: Readonly<Record<RuleDirection, { title: string; peers: string }>> = {
  inbound: { title: 'Inbound', peers: 'Sources' },
  outbound: { title: 'Outbound', peers: 'Destinations' },
};
