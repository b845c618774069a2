/**
 * Rates out of counters: what the firewall counts only grows, so a rate is what two answers of `/v1/stats` differ by.
 *
 * A gateway that was restarted begins at 0 again, and a tab that was hidden has seen nothing: there the history has a gap,
 * which charts leave open, instead of a rate that was never there. All of it is bounded.
 */
import { hasRestarted, millisecondsBetween, rateOf, trafficRate } from '../../text/rates.ts';
import type { Traffic } from '../../text/rates.ts';
import type { Stats } from './types.ts';

/** Per second. */
export interface Judged {
  readonly passed: Traffic;
  readonly dropped: Traffic;
}

/** One second of the history. Without rates it is a gap. */
export interface Moment {
  /** Since 1970. */
  readonly seconds: number;
  readonly rates?: Judged;
  readonly flows?: number;
  /** Packets a second by drop reason, those that have any. */
  readonly drops?: ReadonlyMap<string, number>;
}

export interface StatsHistory {
  readonly latest: Stats | undefined;
  /** Oldest first. */
  readonly moments: readonly Moment[];
  /** Both directions of each server, oldest first, as long as a page asks for them: there are many. */
  readonly servers: readonly ReadonlyMap<string, Judged>[];
}

/** Five minutes, once a second. */
export const historyLength = 300;
export const serverHistoryLength = 60;

/** Later than that is a gap. Events come once a second; a busy machine may hold one back. */
const longestStepMs = 4000;

export const emptyHistory: StatsHistory = { latest: undefined, moments: [], servers: [] };

/** @returns the history with one second more */
export function extended({ latest, moments, servers }: StatsHistory, now: Stats): StatsHistory {
  const stepMs = latest === undefined ? 0 : millisecondsBetween(latest, now);
  if (latest === undefined || !follows(latest, now, stepMs)) {
    const gap = { seconds: Date.parse(now.at) / 1000, flows: now.flows.count };
    // What was an hour ago has nothing to do with what comes now.
    const isOld = stepMs > historyLength * 1000;
    const kept = isOld ? [gap] : appended(moments, gap, historyLength);
    // The short history of the servers has no room for gaps: it starts again.
    return { latest: now, moments: kept, servers: [] };
  }
  return {
    latest: now,
    moments: appended(moments, momentOf(latest, now, stepMs), historyLength),
    servers: withServers(servers, latest, now, stepMs),
  };
}

function follows(before: Stats, now: Stats, stepMs: number): boolean {
  return stepMs > 0 && stepMs <= longestStepMs && !hasRestarted(before, now);
}

function appended<T>(values: readonly T[], value: T, most: number): readonly T[] {
  return [...values.slice(Math.max(0, values.length + 1 - most)), value];
}

function momentOf(before: Stats, now: Stats, stepMs: number): Moment {
  const drops = new Map<string, number>();
  for (const [reason, packets] of Object.entries(now.drops)) {
    const rate = rateOf(before.drops[reason], packets, stepMs);
    if (rate > 0) drops.set(reason, rate);
  }
  return {
    seconds: Date.parse(now.at) / 1000,
    rates: {
      passed: trafficRate(before.passed, now.passed, stepMs),
      dropped: trafficRate(before.dropped, now.dropped, stepMs),
    },
    flows: now.flows.count,
    drops,
  };
}

/** With no counts to compare with, the short history of the servers starts again. */
function withServers(
  known: StatsHistory['servers'],
  before: Stats,
  now: Stats,
  stepMs: number,
): StatsHistory['servers'] {
  if (before.servers === undefined || now.servers === undefined) return [];
  const rates = serversOf(before.servers, now.servers, stepMs);
  return appended(known, rates, serverHistoryLength);
}

type ServerCounts = NonNullable<Stats['servers']>;

function serversOf(
  before: ServerCounts,
  now: ServerCounts,
  stepMs: number,
): ReadonlyMap<string, Judged> {
  const rates = new Map<string, Judged>();
  for (const [name, { inbound, outbound }] of Object.entries(now)) {
    const had = before[name];
    const both = (what: keyof Judged): Traffic => {
      const incoming = trafficRate(had?.inbound[what], inbound[what], stepMs);
      const outgoing = trafficRate(had?.outbound[what], outbound[what], stepMs);
      return {
        packets: incoming.packets + outgoing.packets,
        bytes: incoming.bytes + outgoing.bytes,
      };
    };
    rates.set(name, { passed: both('passed'), dropped: both('dropped') });
  }
  return rates;
}

export interface ReasonRate {
  readonly reason: string;
  /** A second, over the moments given. */
  readonly rate: number;
  /** Since the firewall was started. */
  readonly total: number;
}

/** The reasons by which packets are dropped now, then those by which they were dropped ever; the most first. */
export function topReasons({ latest, moments }: StatsHistory, seconds: number): ReasonRate[] {
  if (latest === undefined) return [];
  const recent = moments.slice(-seconds).filter(({ rates }) => rates !== undefined);
  return Object.entries(latest.drops)
    .filter(([, total]) => total > 0)
    .map(([reason, total]) => {
      const sum = recent.reduce((all, { drops }) => all + (drops?.get(reason) ?? 0), 0);
      return { reason, rate: recent.length === 0 ? 0 : sum / recent.length, total };
    })
    .sort((one, other) => other.rate - one.rate || other.total - one.total);
}
