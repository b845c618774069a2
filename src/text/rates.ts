/**
 * Rates per second, from two readings of counters. Counters only grow, and begin at 0 when the firewall is started: between a
 * reading before that and one after it there is no rate.
 */

/** Of counters: so far. Of rates: per second. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** What two readings are compared by. */
interface Reading {
  /** RFC 3339. */
  readonly at: string;
  readonly passed: Traffic;
  readonly dropped: Traffic;
  readonly flows: { readonly opened: number };
}

/** Milliseconds from one reading to the next; negative when the clock went back. */
export function millisecondsBetween(before: Reading, now: Reading): number {
  return Date.parse(now.at) - Date.parse(before.at);
}

export function hasRestarted(before: Reading, now: Reading): boolean {
  return (
    now.passed.packets < before.passed.packets ||
    now.dropped.packets < before.dropped.packets ||
    now.flows.opened < before.flows.opened
  );
}

/** @param before absent: the counter is new @returns per second, never negative */
export function rateOf(before: number | undefined, now: number, milliseconds: number): number {
  return (Math.max(0, now - (before ?? 0)) * 1000) / milliseconds;
}

export function trafficRate(
  before: Traffic | undefined,
  now: Traffic,
  milliseconds: number,
): Traffic {
  return {
    packets: rateOf(before?.packets, now.packets, milliseconds),
    bytes: rateOf(before?.bytes, now.bytes, milliseconds),
  };
}
