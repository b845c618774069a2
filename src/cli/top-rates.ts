/** Rates per second, from two readings of the firewall's counters. */
import type { StatsView } from './api-types.ts';

type Judged = StatsView['servers'][string]['inbound'];
type Traffic = Judged['passed'];

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

const nothing: Traffic = { packets: 0, bytes: 0 };
const noTraffic: Judged = { passed: nothing, dropped: nothing };

/** After a restart of the firewall the counters begin at 0: there is no rate for that interval. */
function isRestart(before: StatsView, after: StatsView): boolean {
  return after.passed.packets < before.passed.packets || after.flows.opened < before.flows.opened;
}

export function ratesBetween(earlier: StatsView, after: StatsView): Rates {
  const before = isRestart(earlier, after) ? after : earlier;
  const seconds = Math.max(0.001, (Date.parse(after.at) - Date.parse(earlier.at)) / 1000);
  const perSecond = (now: number, then: number): number => Math.max(0, now - then) / seconds;
  const rate = (now: Traffic, then: Traffic): Rate => ({
    packets: perSecond(now.packets, then.packets),
    bits: perSecond(now.bytes, then.bytes) * 8,
  });
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
        perSecond: perSecond(total, before.drops[reason] ?? 0),
        total,
      }))
      .sort((a, b) => b.perSecond - a.perSecond || b.total - a.total),
    rules: ruleRates(before, after, perSecond),
  };
}

function serverRates(
  before: StatsView,
  after: StatsView,
  rate: (now: Traffic, then: Traffic) => Rate,
): ServerRates[] {
  return Object.entries(after.servers)
    .map(([server, now]) => {
      const then = before.servers[server] ?? { inbound: noTraffic, outbound: noTraffic };
      return {
        server,
        inbound: rate(now.inbound.passed, then.inbound.passed),
        outbound: rate(now.outbound.passed, then.outbound.passed),
        dropped:
          rate(now.inbound.dropped, then.inbound.dropped).packets +
          rate(now.outbound.dropped, then.outbound.dropped).packets,
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
  perSecond: (now: number, then: number) => number,
): RuleRate[] {
  type Rule = NonNullable<StatsView['rules']>[number];
  // Keyed by its content, not by its number: a rule that was moved keeps its count.
  const key = ({ template, direction, text }: Rule): string => `${template} ${direction} ${text}`;
  const hitsBefore = new Map((before.rules ?? []).map((rule) => [key(rule), rule.hits]));
  return (after.rules ?? [])
    .map((rule) => ({ ...rule, perSecond: perSecond(rule.hits, hitsBefore.get(key(rule)) ?? 0) }))
    .sort((a, b) => b.perSecond - a.perSecond || b.hits - a.hits);
}
