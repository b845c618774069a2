/**
 * The rule that comes nearest to allowing a packet, and its failing fields: the cold half of an explanation.
 *
 * Nearest means, in this order: fewest failing fields; the right protocol; the smallest distance from the packet's port to
 * the rule's ports; the smallest distance from the packet's other end to the rule's addresses; the first in the list. A
 * field that a rule does not have (ports of an ICMP rule), or that the packet does not have, does not fail. A rule that is
 * off or has expired fails in that, so it is the nearest if nothing else of it fails.
 *
 * It looks at every rule one by one and shares nothing with the compiled classifier, so a rule without a failing field is
 * also a second opinion on what the classifier says.
 */
import { formatAddressNumber } from './addresses.ts';
import { peersKey } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { formatPeers } from './rule-notation.ts';
import { portBody } from './template-body.ts';
import { distanceToRanges } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import type { Rule } from './types.ts';

/** What rules look at, of a packet that meets them. */
export interface RuleSubject {
  readonly protocol: 'icmp' | 'tcp' | 'udp';
  /** The other end: the source for inbound rules, the destination for outbound ones. Unsigned. */
  readonly peer: number;
  /** The destination port; absent for ICMP. */
  readonly port?: number;
}

export interface FailedField {
  readonly field:
    'protocol' | 'ports' | 'sources' | 'destinations' | 'except' | 'enabled' | 'expires';
  /** What the rule says, and what the packet has. */
  readonly expected: string;
  readonly found: string;
}

/** How far a packet is from a rule, the most significant part first. */
type Distance = readonly [
  failed: number,
  protocol: number,
  ports: number,
  peers: number,
  order: number,
];

function distanceTo(value: number, ranges: readonly { from: number; to: number }[]): number {
  let nearest = Infinity;
  for (const { from, to } of ranges) {
    nearest = Math.min(nearest, value < from ? from - value : value > to ? value - to : 0);
  }
  return nearest;
}

export interface PlacedRule {
  readonly rule: Rule;
  /** Addresses that it is about now; absent: any. */
  readonly ranges?: Ranges;
  /** `false`: it is off or has expired. */
  readonly live?: boolean;
}

function distance(
  { rule, ranges, live = true }: PlacedRule,
  subject: RuleSubject,
  order: number,
): Distance {
  const protocol = rule.protocol === 'all' || rule.protocol === subject.protocol ? 0 : 1;
  const ports =
    rule.ports === undefined || subject.port === undefined
      ? 0
      : distanceTo(subject.port, rule.ports);
  const peers = ranges === undefined ? 0 : distanceToRanges(ranges, subject.peer);
  const failed = protocol + Math.sign(ports) + Math.sign(peers) + (live ? 0 : 1);
  return [failed, protocol, ports, peers, order];
}

function isLess(a: Distance, b: Distance): boolean {
  const at = a.findIndex((part, index) => part !== b[index]);
  return at >= 0 && a[at]! < b[at]!;
}

/** The nearest of the rules; undefined if there are none. */
export function nearestRule<T extends PlacedRule>(
  rules: readonly T[],
  subject: RuleSubject,
): T | undefined {
  let nearest: T | undefined;
  let least: Distance | undefined;
  rules.forEach((place, order) => {
    const own = distance(place, subject, order);
    if (least === undefined || isLess(own, least)) {
      nearest = place;
      least = own;
    }
  });
  return nearest;
}

/**
 * The fields of a rule that a packet does not meet; none if the rule allows it.
 *
 * @param excluded the exception of the rule that takes the packet's other end away, as it is written
 * @param found the packet's other end in words. Default: its address
 */
export function failedFields(
  direction: RuleDirection,
  place: PlacedRule,
  subject: RuleSubject,
  excluded?: string,
  found = formatAddressNumber(subject.peer),
): FailedField[] {
  const { rule, ranges, live = true } = place;
  const [, protocol, ports, peers] = distance(place, subject, 0);
  const failed: FailedField[] = [];
  if (protocol !== 0) {
    failed.push({ field: 'protocol', expected: rule.protocol, found: subject.protocol });
  }
  if (ports !== 0) {
    const expected = rule.ports!.map(portBody).join(',');
    failed.push({ field: 'ports', expected, found: String(subject.port) });
  }
  if (peers !== 0 && excluded !== undefined) {
    failed.push({ field: 'except', expected: excluded, found });
  } else if (peers !== 0) {
    const expected = formatPeers(rule) + (ranges?.length === 0 ? ' (nobody now)' : '');
    failed.push({ field: peersKey(direction), expected, found });
  }
  if (!live && rule.enabled === false) {
    failed.push({ field: 'enabled', expected: 'true', found: 'false' });
  } else if (!live) {
    failed.push({ field: 'expires', expected: 'a later end', found: rule.expires! });
  }
  return failed;
}
