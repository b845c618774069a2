/**
 * What rules allow, as exact sets: whether some rules together allow all that another one does.
 *
 * A rule is a product of protocols, ports and addresses. It is cut along the ports of the others; in each of the pieces the
 * addresses of those that have all of its ports are united.
 */
import { allAddresses, overlap, rangesOf, subtractRanges, unionRanges } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import type { PortRange, Rule, RuleProtocol } from './types.ts';

/** A rule with the addresses that it is about now; none: any. */
export interface Measured {
  readonly rule: Rule;
  readonly ranges?: Ranges;
}

const allPorts: readonly PortRange[] = [{ from: 0, to: 0xffff }];
const protocolsOf: Readonly<Record<RuleProtocol, readonly RuleProtocol[]>> = {
  all: ['icmp', 'tcp', 'udp'],
  icmp: ['icmp'],
  tcp: ['tcp'],
  udp: ['udp'],
};

export function portsOf({ ports }: Rule): readonly PortRange[] {
  return ports ?? allPorts;
}

function hasProtocol(rule: Rule, protocol: RuleProtocol): boolean {
  return rule.protocol === 'all' || rule.protocol === protocol;
}

/**
 * Those of `others` that together allow all that `own` does; `undefined`: something of it is allowed by it alone. One is
 * enough, if one is.
 */
export function coverOf<T extends Measured>(own: Measured, others: readonly T[]): T[] | undefined {
  // Nearly every rule ends here: nobody else has its first port.
  const port = portsOf(own.rule)[0]!.from;
  if (!others.some((other) => hasPort(other.rule, port))) return undefined;
  const near = others.filter((other) => overlaps(own, other));
  const single = near.find((other) => isCovered(own, [other]));
  if (single !== undefined) return [single];
  return isCovered(own, near) ? near : undefined;
}

function hasPort({ ports }: Rule, port: number): boolean {
  if (ports === undefined) return true;
  for (const { from, to } of ports) if (from <= port && port <= to) return true;
  return false;
}

/** Whether there is a packet that both allow. */
export function overlaps(a: Measured, b: Measured): boolean {
  const protocols = protocolsOf[a.rule.protocol];
  if (!protocols.some((each) => hasProtocol(b.rule, each))) return false;
  const [ports, others] = [portsOf(a.rule), portsOf(b.rule)];
  if (!ports.some((p) => others.some((q) => p.from <= q.to && q.from <= p.to))) return false;
  if (a.ranges === undefined || b.ranges === undefined) return (a.ranges ?? b.ranges)?.length !== 0;
  return overlap(a.ranges, b.ranges);
}

function isCovered(own: Measured, others: readonly Measured[]): boolean {
  return protocolsOf[own.rule.protocol].every((protocol) => {
    const usable = others.filter(({ rule }) => hasProtocol(rule, protocol));
    return (
      usable.length > 0 &&
      piecesOf(portsOf(own.rule), usable).every((piece) => {
        const having = usable.filter(({ rule }) => hasPort(rule, piece));
        return includes(having, own.ranges ?? allAddresses);
      })
    );
  });
}

/** A port of each piece into which the ports of others cut some ports. */
function piecesOf(ports: readonly PortRange[], others: readonly Measured[]): number[] {
  const cuts = new Set(
    others.flatMap(({ rule }) => portsOf(rule).flatMap(({ from, to }) => [from, to + 1])),
  );
  const pieces = ports.flatMap(({ from, to }) => [
    from,
    ...[...cuts].filter((cut) => from < cut && cut <= to),
  ]);
  return [...new Set(pieces)];
}

function includes(rules: readonly Measured[], addresses: Ranges): boolean {
  if (rules.length === 0) return false;
  if (rules.some(({ ranges }) => ranges === undefined)) return true;
  return subtractRanges(addresses, unionRanges(rules.map(({ ranges }) => ranges!))).length === 0;
}

/** How much a rule allows, to compare rules by: not a count of packets. */
export function sizeOf({ rule, ranges = allAddresses }: Measured): number {
  const ports = rangesOf(portsOf(rule));
  return protocolsOf[rule.protocol].length * lengthOf(ports) * lengthOf(ranges);
}

export function lengthOf(ranges: Ranges): number {
  let length = 0;
  for (let i = 0; i < ranges.length; i += 2) length += ranges[i + 1]! - ranges[i]! + 1;
  return length;
}
