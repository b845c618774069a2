/** The smallest rule that lets a dropped packet open its flow: its protocol, its port, and its address alone. */
import type { Static } from 'typebox';
import type * as explain from '../../control/api/explain-schemas.ts';
import type * as schemas from '../../control/api/schemas.ts';
import type { Drop, Explanation } from '../data/types.ts';
import type { RuleDirection } from '../../text/rule-text.ts';

export type Question = Static<typeof explain.explainBody>;
type RuleBody = Static<typeof schemas.ruleBody>;
type Protocol = NonNullable<Question['protocol']>;
export type Side = Explanation['sides'][number];

const protocols: readonly string[] = ['tcp', 'udp', 'icmp'] satisfies Protocol[];

/** A packet that opens a flow and that no rule allowed. For any other reason a rule would not help. */
export function canBeAllowed({ reason, protocol }: Drop): boolean {
  const isByRules = reason === 'no-inbound-rule' || reason === 'no-outbound-rule';
  return isByRules && protocols.includes(protocol);
}

/** The packet, as `POST /v1/explain` asks for it; `undefined` if it is of no protocol that can be asked for. */
export function questionOf(drop: Drop): Question | undefined {
  const { protocol, source, destination, sourcePort, destinationPort, icmpType } = drop;
  if (!protocols.includes(protocol)) return undefined;
  const hasPorts = protocol !== 'icmp';
  if (hasPorts && destinationPort === undefined) return undefined;
  return {
    src: source,
    dst: destination,
    protocol: protocol as Protocol,
    ...(hasPorts && sourcePort !== undefined && { srcPort: sourcePort }),
    ...(hasPorts && destinationPort !== undefined && { dstPort: destinationPort }),
    ...(!hasPorts && icmpType !== undefined && { icmpType }),
  };
}

export function allowingRule(
  direction: RuleDirection,
  { protocol, source, destination, destinationPort }: Drop,
): RuleBody {
  return {
    protocol: protocol as Protocol,
    ...(destinationPort !== undefined && { ports: [destinationPort] }),
    ...(direction === 'inbound' ? { sources: [source] } : { destinations: [destination] }),
  };
}
