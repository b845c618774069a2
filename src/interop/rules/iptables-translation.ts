/**
 * Translation of destinations (DNAT, REDIRECT, NETMAP). Other tables than nat see the packet as it is afterwards, so its
 * rules say nothing about the packet that comes to the firewall. And a port that only a translation leads to must not be
 * opened to everybody.
 */
import { parsePeer } from '../../policy/addresses.ts';
import { allAddresses, allPorts } from './box.ts';
import type { Box } from './box.ts';
import type { Hook } from './iptables-match.ts';
import type { IptablesRule } from './iptables-parse.ts';
import type { Range } from './range-lists.ts';

/** What packets of the boxes become; undefined if the rule translates no destination. */
export function translatedBoxes(
  { target, targetOptions }: IptablesRule,
  boxes: readonly Box[],
  hook: Hook,
): Box[] | undefined {
  const valueOf = (name: string): string | undefined =>
    targetOptions.find((option) => option.name === name)?.values[0];
  if (target === 'REDIRECT') {
    // To the host itself: nothing is forwarded, nothing leaves.
    if (hook !== 'INPUT') return [];
    const ports = valueOf('--to-ports');
    return boxes.map((box) => onto(box, allAddresses, ports));
  }
  if (target !== 'DNAT' && target !== 'NETMAP') return undefined;
  const to = valueOf(target === 'DNAT' ? '--to-destination' : '--to') ?? '';
  const [address = '', ports] = to.split(':');
  const parsed = parsePeer(address);
  // The host's own address may be meant, and it is not known.
  const isKnown = hook !== 'INPUT' && !('message' in parsed);
  const destinations = isKnown ? [{ from: parsed.value.from, to: parsed.value.to }] : allAddresses;
  return boxes.map((box) => onto(box, destinations, ports));
}

/** @param ports absent: they stay as they are */
function onto(box: Box, destinations: readonly Range[], ports: string | undefined): Box {
  const kept = box.protocol === 'icmp' || ports === undefined;
  return { ...box, destinations, ports: kept ? box.ports : (parseRange(ports) ?? allPorts) };
}

/** `8080` or `8080-8090`; undefined for anything else, such as 022, which is 18. */
function parseRange(text: string): readonly Range[] | undefined {
  const match = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text);
  if (match === null) return undefined;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  return from <= to && to <= 65_535 ? [{ from, to }] : undefined;
}
