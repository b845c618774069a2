/** Boxes as rules of templates. */
import { formatAddressNumber } from '../../policy/addresses.ts';
import { portBody } from '../../policy/template-body.ts';
import type { InboundRuleBody, OutboundRuleBody } from '../../policy/template-body.ts';
import type { RuleProtocol } from '../../policy/types.ts';
import { allOf, allPorts, boxProtocols, isAnyAddress, keyOf } from './box.ts';
import type { Box } from './box.ts';
import type { Remarks } from './import-result.ts';
import { rangesCover, subtractRanges } from './range-lists.ts';
import type { Range } from './range-lists.ts';

/** A box, or three of them for all protocols. */
export interface Traffic {
  readonly rule: { readonly protocol: RuleProtocol; readonly ports?: readonly (number | string)[] };
  readonly sources: readonly Range[];
  readonly destinations: readonly Range[];
}

export function inboundBody({ rule, sources }: Traffic, comment = ''): InboundRuleBody {
  const peers = formatAddresses(sources);
  return { ...rule, ...(peers && { sources: peers }), ...(comment !== '' && { comment }) };
}

export function outboundBody({ rule, destinations }: Traffic, comment = ''): OutboundRuleBody {
  const peers = formatAddresses(destinations);
  return { ...rule, ...(peers && { destinations: peers }), ...(comment !== '' && { comment }) };
}

/** @param place of the rule that the boxes come from */
export function trafficOf(boxes: readonly Box[], place: string, remarks: Remarks): Traffic[] {
  const left = new Set(boxes);
  const traffic: Traffic[] = [];
  for (const box of boxes) {
    if (!left.has(box)) continue;
    const { protocol, ports, sources, destinations } = box;
    const same = [...left].filter((each) => isAlike(box, each));
    const isAll = boxProtocols.every((each) => same.some((other) => other.protocol === each));
    for (const each of isAll ? same : [box]) left.delete(each);
    const rule = isAll ? { protocol: 'all' as const } : { protocol, ...portsOf(box) };
    traffic.push({ rule, sources, destinations });
    if (ports[0]!.from === 0 && !rangesCover(ports, allPorts)) {
      remarks.note(
        place,
        'port 0, which no program can listen on, is left out: rules have 1 to 65535',
      );
    }
  }
  return traffic;
}

/** Whether two boxes for all ports have the same ends. */
function isAlike(a: Box, b: Box): boolean {
  return (
    [a, b].every(({ protocol, ports }) => rangesCover(ports, allOf(protocol))) &&
    keyOf(a.sources) === keyOf(b.sources) &&
    keyOf(a.destinations) === keyOf(b.destinations)
  );
}

function portsOf({ protocol, ports }: Box): { ports?: (number | string)[] } {
  if (rangesCover(ports, allOf(protocol))) return {};
  const sayable = subtractRanges(ports, [{ from: 0, to: 0 }]);
  return { ports: sayable.map(portBody) };
}

/** As templates write them: an address, a block where it is one, else a range. Undefined for all addresses. */
export function formatAddresses(set: readonly Range[]): string[] | undefined {
  return isAnyAddress(set) ? undefined : set.map(formatRange);
}

function formatRange({ from, to }: Range): string {
  const first = formatAddressNumber(from);
  const size = to - from + 1;
  const bits = Math.log2(size);
  if (size === 1) return first;
  if (Number.isInteger(bits) && from % size === 0) return `${first}/${32 - bits}`;
  return `${first}-${formatAddressNumber(to)}`;
}
