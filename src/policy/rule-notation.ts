/**
 * Reads rules as the service's page writes them: `ALL`, `TCP: ALL`, `TCP: 443`, `TCP: 20-22`, `UDP: 53,8000-8100`, `ICMP`.
 *
 * Case and blanks do not matter, and a protocol by itself means all of its ports. Addresses have no place in the notation.
 * `text/rule-text.ts` prints it, and adds them in words; here is the way from a validated rule to there.
 */
import { peersText, ruleText } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { parsePorts } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import { hasExpired } from './resolve.ts';
import { ruleBody } from './template-body.ts';
import type { PortRange, Rule, RuleProtocol } from './types.ts';

/** What the notation says: a rule without its addresses. */
export interface RuleTraffic {
  readonly protocol: RuleProtocol;
  /** Absent: all of them. */
  readonly ports?: readonly PortRange[];
}

const expected =
  'expected ALL, ICMP, TCP or UDP, and for TCP and UDP ports behind a colon: ALL, 443, 20-22 or a list like 22,80,8000-8100';

const protocols: readonly RuleProtocol[] = ['all', 'icmp', 'tcp', 'udp'];

/** Reads the notation; a message says what was expected instead. */
export function parseRuleNotation(text: string): Parsed<RuleTraffic> {
  const [head = '', ...behind] = text.split(':');
  const protocol = protocols.find((name) => name === head.trim().toLowerCase());
  if (protocol === undefined || behind.length > 1) {
    return { message: `${expected}; found ${JSON.stringify(text)}` };
  }
  const list = behind[0]?.trim();
  if (list === undefined || list.toLowerCase() === 'all') return { value: { protocol } };
  if (list === '') {
    return { message: `${expected}; found nothing behind the colon of ${JSON.stringify(text)}` };
  }
  if (protocol !== 'tcp' && protocol !== 'udp') {
    return {
      message: `only TCP and UDP have ports: write ${protocol.toUpperCase()}, found ${JSON.stringify(text)}`,
    };
  }
  const ports: PortRange[] = [];
  for (const item of list.split(',')) {
    const range = parsePorts(item.trim());
    if ('message' in range) return range;
    ports.push(range.value);
  }
  return { value: { protocol, ports } };
}

/** The peers of a rule, for people: `10.0.0.0/8, label:role=web except server:web-9`, `any`. */
export function formatPeers(rule: Rule): string {
  // The words are the same in both directions.
  return peersText(ruleBody(rule, 'inbound'));
}

/**
 * A whole rule for people: `TCP: 443 from 10.0.0.0/8, 192.0.2.7`, `ICMP to any`, `TCP: 22 from any (off)`.
 *
 * @param nowMs an end before it is written as `expired`
 */
export function formatRule(direction: RuleDirection, rule: Rule, nowMs = -Infinity): string {
  return ruleText(direction, { ...ruleBody(rule, direction), expired: hasExpired(rule, nowMs) });
}
