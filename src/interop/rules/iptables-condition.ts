/**
 * The conditions of an iptables rule, as far as templates know them.
 *
 * Importing asks one thing of a condition: which packets *that open a flow* does it match? Those form a box: a protocol,
 * destination ports, sources and destinations. What else narrows a rule (an interface, a limit, a source port) makes it
 * `vague`: it matches some of its box, which cannot be expressed. A condition that no opening packet can meet (state
 * ESTABLISHED, the loopback interface, another protocol) is `outside`.
 */
import type { RuleProtocol } from '../../policy/types.ts';
import { intersectRanges, rangesCover } from './ranges.ts';
import type { Range } from './ranges.ts';

/** Why no packet that opens a flow is meant, and what an ACCEPT with it is worth a remark. */
export interface Outside {
  readonly severity: 'lost' | 'note' | 'silent';
  readonly message: string;
}

export interface Condition {
  readonly protocol: RuleProtocol;
  /** Absent: all. Only with tcp and udp. */
  readonly ports?: readonly Range[];
  readonly sources?: readonly Range[];
  readonly destinations?: readonly Range[];
  /** What narrows it beyond that, in words. */
  readonly vague: readonly string[];
  readonly outside?: Outside;
  /** Whether packets of established flows can meet it: a drop would take replies too. */
  readonly established: boolean;
}

export const anything: Condition = { protocol: 'all', vague: [], established: true };

const never: Outside = {
  severity: 'note',
  message: 'it can never match: its conditions exclude each other',
};

const range = (from: number, to: number): Range => ({ from, to });

type Ranges = readonly Range[] | undefined;

/** Undefined means everything. */
function both(a: Ranges, b: Ranges): Ranges {
  if (a === undefined || b === undefined) return a ?? b;
  return intersectRanges(a, b, range);
}

/** What meets both conditions: a rule in a chain that another rule jumps to. */
export function intersect(a: Condition, b: Condition): Condition {
  const protocol = a.protocol === 'all' ? b.protocol : a.protocol;
  const ports = both(a.ports, b.ports);
  const sources = both(a.sources, b.sources);
  const destinations = both(a.destinations, b.destinations);
  const excluded =
    (b.protocol !== 'all' && b.protocol !== protocol) ||
    [ports, sources, destinations].some((ranges) => ranges?.length === 0);
  const outside = a.outside ?? b.outside ?? (excluded ? never : undefined);
  return {
    protocol,
    ...(ports !== undefined && { ports }),
    ...(sources !== undefined && { sources }),
    ...(destinations !== undefined && { destinations }),
    vague: [...a.vague, ...b.vague],
    ...(outside !== undefined && { outside }),
    established: a.established && b.established && !excluded,
  };
}

/** Whether the boxes have a packet in common. */
export function overlap(a: Condition, b: Condition): boolean {
  if (a.protocol !== 'all' && b.protocol !== 'all' && a.protocol !== b.protocol) return false;
  const meet = (one: Ranges, other: Ranges): boolean =>
    one === undefined ||
    other === undefined ||
    one.some(({ from, to }) => other.some((each) => from <= each.to && each.from <= to));
  return (
    meet(a.ports, b.ports) && meet(a.sources, b.sources) && meet(a.destinations, b.destinations)
  );
}

/** Whether every packet of the box `inner` is in the box `outer`. */
export function covers(outer: Condition, inner: Condition): boolean {
  if (outer.protocol !== 'all' && outer.protocol !== inner.protocol) return false;
  const within = (own: Ranges, other: Ranges): boolean =>
    own === undefined || (other !== undefined && rangesCover(own, other));
  return (
    within(outer.ports, inner.ports) &&
    within(outer.sources, inner.sources) &&
    within(outer.destinations, inner.destinations)
  );
}
