/** A template as a person edits it. */
import { stringify } from 'yaml';
import type { RuleView, TemplateView } from './api-types.ts';

/** What the API says of a rule beside what is written. */
const readOnlyKeys = ['hits', 'hitsSince', 'lastHit', 'expired', 'resolved'];

/** The template as a file: only the editable fields. */
export function templateText({ description, appliesTo, inbound, outbound }: TemplateView): string {
  const written = (rule: RuleView): RuleView =>
    Object.fromEntries(
      Object.entries(rule).filter(([key]) => !readOnlyKeys.includes(key)),
    ) as RuleView;
  const body = {
    ...(description !== undefined && { description }),
    ...(appliesTo !== undefined && { appliesTo }),
    inbound: inbound.map(written),
    outbound: outbound.map(written),
  };
  return stringify(body, { lineWidth: 0 });
}
