/** The rates that `tunwall top` shows, from two answers of `/v1/stats`. */
import type { StatsView } from './api-types.ts';
import { hasRestarted, millisecondsBetween, rateOf, trafficRate } from '../text/rates.ts';
import type { Traffic } from '../text/rates.ts';

/** Packets and bits per second. */
export interface Rate {
  readonly packets: number;
  readonly bits: number;
}

export interface ServerRates {
  readonly server: string;
  readonly inbound: Rate;
  readonly outbound: Rate;
  /** Both directions, packets. */
  readonly dropped: number;
}

export interface RuleRate {
  readonly template: string;
  readonly direction: string;
  readonly index: number;
  readonly text: string;
  /** Flows opened: per second, and so far. */
  readonly perSecond: number;
  readonly hits: number;
}

export interface Rates {
  readonly at: string;
  readonly epoch: number;
  readonly passed: Rate;
  readonly dropped: Rate;
  readonly flows: {
    readonly count: number;
    readonly capacity: number;
    readonly openedPerSecond: number;
    readonly cutPerSecond: number;
  };
  /** The busiest first. */
  readonly servers: readonly ServerRates[];
  readonly reasons: readonly {
    readonly reason: string;
    readonly perSecond: number;
    readonly total: number;
  }[];
  readonly rules: readonly RuleRate[];
}

export function ratesBetween(earlier: StatsView, after: StatsView): Rates {
  // No rate for that interval.
  const before = hasRestarted(earlier, after) ? after : earlier;
  const milliseconds = Math.max(1, millisecondsBetween(earlier, after));
  const perSecond = (now: number, then: number | undefined): number =>
    rateOf(then, now, milliseconds);
  const rate = (now: Traffic, then: Traffic | undefined): Rate => {
    const { packets, bytes } = trafficRate(then, now, milliseconds);
    return { packets, bits: bytes * 8 };
  };
  const { flows } = after;
  return {
    at: after.at,
    epoch: after.epoch,
    passed: rate(after.passed, before.passed),
    dropped: rate(after.dropped, before.dropped),
    flows: {
      count: flows.count,
      capacity: flows.capacity,
      openedPerSecond: perSecond(flows.opened, before.flows.opened),
      cutPerSecond: perSecond(flows.cut, before.flows.cut),
    },
    servers: serverRates(before, after, rate),
    reasons: Object.entries(after.drops)
      .filter(([, total]) => total > 0)
      .map(([reason, total]) => ({
        reason,
        perSecond: perSecond(total, before.drops[reason]),
        total,
      }))
      .sort((a, b) => b.perSecond - a.perSecond || b.total - a.total),
    rules: ruleRates(before, after, perSecond),
  };
}

function serverRates(
  before: StatsView,
  after: StatsView,
  rate: (now: Traffic, then: Traffic | undefined) => Rate,
): ServerRates[] {
  return Object.entries(after.servers)
    .map(([server, now]) => {
      const then = before.servers[server];
      return {
        server,
        inbound: rate(now.inbound.passed, then?.inbound.passed),
        outbound: rate(now.outbound.passed, then?.outbound.passed),
        dropped:
          rate(now.inbound.dropped, then?.inbound.dropped).packets +
          rate(now.outbound.dropped, then?.outbound.dropped).packets,
      };
    })
    .sort((a, b) => activity(b) - activity(a) || a.server.localeCompare(b.server));
}

function activity({ inbound, outbound, dropped }: ServerRates): number {
  return inbound.packets + outbound.packets + dropped;
}

function ruleRates(
  before: StatsView,
  after: StatsView,
  perSecond: (now: number, then: number | undefined) => number,
): RuleRate[] {
  type Rule = NonNullable<StatsView['rules']>[number];
  // Keyed by its content, not by its number: a rule that was moved keeps its count.
  const key = ({ template, direction, text }: Rule): string => `${template} ${direction} ${text}`;
  const hitsBefore = new Map((before.rules ?? []).map((rule) => [key(rule), rule.hits]));
  return (after.rules ?? [])
    .map((rule) => ({ ...rule, perSecond: perSecond(rule.hits, hitsBefore.get(key(rule))) }))
    .sort((a, b) => b.perSecond - a.perSecond || b.hits - a.hits);
}
