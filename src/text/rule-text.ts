/**
 * Rules in words, for the log, the command line and the panel: `TCP: 22,8000-8100 from 10.0.0.0/8 except server:web-9`.
 *
 * They are taken as templates and JSON write them. What is printed of protocol and ports, `parseRuleNotation` reads back.
 */

export const directions = ['inbound', 'outbound'] as const;

export type RuleDirection = (typeof directions)[number];

interface RuleTraffic {
  readonly protocol: 'all' | 'icmp' | 'tcp' | 'udp';
  /** Ports as numbers, ranges as text. Absent: all of them. */
  readonly ports?: readonly (number | string)[];
}

interface RulePeers {
  /** Of an inbound rule; an outbound one has destinations. Absent: any. */
  readonly sources?: readonly string[];
  readonly destinations?: readonly string[];
  readonly except?: readonly string[];
}

interface RuleLife {
  readonly enabled?: boolean;
  readonly expires?: string;
  /** Whether that moment has come, by the clock of whoever says so. */
  readonly expired?: boolean;
}

/** As the service's page writes it: `ALL`, `ICMP`, `TCP: ALL`, `TCP: 22,8000-8100`. */
export function trafficText({ protocol, ports }: RuleTraffic): string {
  const name = protocol.toUpperCase();
  if (protocol !== 'tcp' && protocol !== 'udp') return name;
  return `${name}: ${ports === undefined ? 'ALL' : ports.join(',')}`;
}

/** `any`, `10.0.0.0/8, label:role=web except server:web-9`. */
export function peersText({ sources, destinations, except }: RulePeers): string {
  const named = (sources ?? destinations ?? ['any']).join(', ');
  return except === undefined ? named : `${named} except ${except.join(', ')}`;
}

/** What the peers of a rule are called in templates and JSON. */
export function peersKey(direction: RuleDirection): 'sources' | 'destinations' {
  return direction === 'inbound' ? 'sources' : 'destinations';
}

interface RuleLog {
  /** Whether the flow log tells when its flows begin. */
  readonly log?: boolean;
}

/** When it counts: `off`, `until 2030-01-31T18:00:00Z`, `expired 2026-01-31T18:00:00Z`, `off, until …`; empty: always. */
export function lifeText({ enabled, expires, expired = false }: RuleLife): string {
  const parts = [
    ...(enabled === false ? ['off'] : []),
    ...(expires === undefined ? [] : [`${expired ? 'expired' : 'until'} ${expires}`]),
  ];
  return parts.join(', ');
}

/** `TCP: 443 from 10.0.0.0/8, 192.0.2.7`, `ICMP to any`, `TCP: 22 from any (off, logged)`. */
export function ruleText(
  direction: RuleDirection,
  rule: RuleTraffic & RulePeers & RuleLife & RuleLog,
): string {
  const way = direction === 'inbound' ? 'from' : 'to';
  const notes = [lifeText(rule), rule.log === true ? 'logged' : ''].filter((each) => each !== '');
  const behind = notes.length === 0 ? '' : ` (${notes.join(', ')})`;
  return `${trafficText(rule)} ${way} ${peersText(rule)}${behind}`;
}

/** Where a rule stands, as terminals and editors make it clickable: `/etc/tunwall/templates/web.yaml:4: inbound[0]`. */
export function placeText(
  file: string,
  line: number | undefined,
  direction: RuleDirection,
  index: number,
): string {
  return `${line === undefined ? file : `${file}:${line}`}: ${direction}[${index}]`;
}
