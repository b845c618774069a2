/** Rules as the service's page writes them: `TCP: 443`, `UDP: 53,8000-8100`, `ICMP`, `ALL`; and to and from whom. */
import type { Direction, Rule } from '../data/types.ts';

type Traffic = Pick<Rule, 'protocol' | 'ports'>;

export function trafficWords({ protocol, ports }: Traffic): string {
  const name = protocol.toUpperCase();
  if (protocol !== 'tcp' && protocol !== 'udp') return name;
  return `${name}: ${ports === undefined || ports.length === 0 ? 'ALL' : ports.join(', ')}`;
}

/** Absent means any. */
export function peersOf(direction: Direction, rule: Rule): readonly string[] {
  return (direction === 'inbound' ? rule.sources : rule.destinations) ?? [];
}

export function peerWords(direction: Direction, rule: Rule): string {
  const peers = peersOf(direction, rule);
  return peers.length === 0 ? 'any' : peers.join(', ');
}

export const directionWords: Readonly<Record<Direction, { title: string; peers: string }>> = {
  inbound: { title: 'Inbound', peers: 'Sources' },
  outbound: { title: 'Outbound', peers: 'Destinations' },
};
