/**
 * Boxes of packets that open a flow: a protocol, and the product of a set of ports (of ICMP: of types), a set of sources
 * and a set of destinations. All that a rule can say exactly, a few boxes say.
 */
import {
  intersectRanges,
  mergeRanges,
  rangesCover,
  rangesMeet,
  subtractRanges,
} from './range-lists.ts';
import type { Range } from './range-lists.ts';

export type BoxProtocol = 'icmp' | 'tcp' | 'udp';

export interface Box {
  readonly protocol: BoxProtocol;
  /** Destination ports; of ICMP the types. */
  readonly ports: readonly Range[];
  readonly sources: readonly Range[];
  readonly destinations: readonly Range[];
}

export const boxProtocols: readonly BoxProtocol[] = ['icmp', 'tcp', 'udp'];
/** The three sets of a box. */
export const sides = ['ports', 'sources', 'destinations'] as const;
export type Side = (typeof sides)[number];

export const allPorts: readonly Range[] = [{ from: 0, to: 65_535 }];
export const allAddresses: readonly Range[] = [{ from: 0, to: 0xffffffff }];
/** Requests: echo, timestamp, information, address mask. No other ICMP message opens a flow. */
export const openingIcmpTypes: readonly Range[] = [8, 13, 15, 17].map((type) => ({
  from: type,
  to: type,
}));

/** Never a unicast address on the wire: 0/8, 127/8 and everything from 224/4 up. The firewall drops it, whatever rules say. */
const martians: readonly Range[] = [
  { from: 0, to: 0x00ffffff },
  { from: 0x7f000000, to: 0x7fffffff },
  { from: 0xe0000000, to: 0xffffffff },
];
const unicast = subtractRanges(allAddresses, martians);

/** Everything that can open a flow. */
export const everything: readonly Box[] = boxProtocols.map((protocol) => ({
  protocol,
  ports: allOf(protocol),
  sources: allAddresses,
  destinations: allAddresses,
}));

/** All ports, or all types. */
export function allOf(protocol: BoxProtocol): readonly Range[] {
  return protocol === 'icmp' ? openingIcmpTypes : allPorts;
}

/** Whether a set of addresses leaves out no packet that can come. */
export function isAnyAddress(addresses: readonly Range[]): boolean {
  return rangesCover(addresses, unicast);
}

/** Whether any packet of the box can come through the firewall, whatever rules say. */
export function canCome({ sources, destinations }: Box): boolean {
  return rangesMeet(sources, unicast) && rangesMeet(destinations, unicast);
}

export function boxesMeet(a: Box, b: Box): boolean {
  return a.protocol === b.protocol && sides.every((side) => rangesMeet(a[side], b[side]));
}

/** What is in both; undefined if that is nothing. */
export function intersectBox(a: Box, b: Box): Box | undefined {
  if (a.protocol !== b.protocol) return undefined;
  const both = {
    protocol: a.protocol,
    ports: intersectRanges(a.ports, b.ports),
    sources: intersectRanges(a.sources, b.sources),
    destinations: intersectRanges(a.destinations, b.destinations),
  };
  return sides.some((side) => both[side].length === 0) ? undefined : both;
}

export function intersectBoxes(a: readonly Box[], b: readonly Box[]): Box[] {
  return a.flatMap((one) => b.flatMap((other) => intersectBox(one, other) ?? []));
}

/**
 * What is in `box` and not in `by`, cut into at most three boxes that have nothing in common; and what is in both. The two
 * must meet.
 */
export function cutBox(box: Box, by: Box): { readonly rest: Box[]; readonly common: Box } {
  const rest: Box[] = [];
  let common = box;
  for (const side of sides) {
    const outside = subtractRanges(common[side], by[side]);
    if (outside.length === 0) continue;
    rest.push({ ...common, [side]: outside });
    common = { ...common, [side]: intersectRanges(common[side], by[side]) };
  }
  return { rest, common };
}

/** Boxes that differ in one side only become one. */
export function joinBoxes(boxes: readonly Box[]): Box[] {
  return sides.reduce(joinAlong, [...boxes]);
}

const keys = new WeakMap<readonly Range[], string>();

/** The same text for the same set. */
export function keyOf(ranges: readonly Range[]): string {
  let key = keys.get(ranges);
  if (key === undefined) {
    key = ranges.map(({ from, to }) => `${from}-${to}`).join();
    keys.set(ranges, key);
  }
  return key;
}

function joinAlong(boxes: Box[], side: Side): Box[] {
  if (boxes.length < 2) return boxes;
  const others = sides.filter((each) => each !== side);
  const joined = new Map<string, Box>();
  for (const box of boxes) {
    const key = [box.protocol, ...others.map((each) => keyOf(box[each]))].join('|');
    const same = joined.get(key);
    const both =
      same === undefined ? box : { ...box, [side]: mergeRanges([...same[side], ...box[side]]) };
    joined.set(key, both);
  }
  return [...joined.values()];
}
