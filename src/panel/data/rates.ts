/**
 * Rates out of counters: what the firewall counts only grows, so a rate is what two answers of `/v1/stats` differ by.
 *
 * A gateway that was restarted begins at 0 again, and a tab that was hidden has seen nothing: there the history has a gap,
 * which charts leave open, instead of a rate that was never there. All of it is bounded.
 */
import type { Stats } from './types.ts';

/** A second. */
export interface Rate {
  readonly packets: number;
  readonly bytes: number;
}

export interface Judged {
  readonly passed: Rate;
  readonly dropped: Rate;
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
  const stepMs = latest === undefined ? 0 : Date.parse(now.at) - Date.parse(latest.at);
  if (latest === undefined || !follows(latest, now, stepMs)) {
    const gap = { seconds: Date.parse(now.at) / 1000, flows: now.flows.count };
    // What was an hour ago has nothing to do with what comes now.
    const isOld = stepMs > historyLength * 1000;
    const kept = isOld ? [gap] : appended(moments, gap, historyLength);
    // The short history of the servers has no room for gaps: it starts again.
    return { latest: now, moments: kept, servers: [] };
  }
  const perSecond = 1000 / stepMs;
  return {
    latest: now,
    moments: appended(moments, momentOf(latest, now, perSecond), historyLength),
    servers: withServers(servers, latest, now, perSecond),
  };
}

function follows(before: Stats, now: Stats, stepMs: number): boolean {
  return (
    stepMs > 0 &&
    stepMs <= longestStepMs &&
    now.passed.packets >= before.passed.packets &&
    now.dropped.packets >= before.dropped.packets
  );
}

function appended<T>(values: readonly T[], value: T, most: number): readonly T[] {
  return [...values.slice(Math.max(0, values.length + 1 - most)), value];
}

function rateOf(before: Rate | undefined, now: Rate, perSecond: number): Rate {
  const grown = (from = 0, to = 0): number => Math.max(0, to - from) * perSecond;
  return {
    packets: grown(before?.packets, now.packets),
    bytes: grown(before?.bytes, now.bytes),
  };
}

function momentOf(before: Stats, now: Stats, perSecond: number): Moment {
  const drops = new Map<string, number>();
  for (const [reason, packets] of Object.entries(now.drops)) {
    const more = packets - (before.drops[reason] ?? 0);
    if (more > 0) drops.set(reason, more * perSecond);
  }
  return {
    seconds: Date.parse(now.at) / 1000,
    rates: {
      passed: rateOf(before.passed, now.passed, perSecond),
      dropped: rateOf(before.dropped, now.dropped, perSecond),
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
  perSecond: number,
): StatsHistory['servers'] {
  if (before.servers === undefined || now.servers === undefined) return [];
  const rates = serversOf(before.servers, now.servers, perSecond);
  return appended(known, rates, serverHistoryLength);
}

type ServerCounts = NonNullable<Stats['servers']>;

function serversOf(
  before: ServerCounts,
  now: ServerCounts,
  perSecond: number,
): ReadonlyMap<string, Judged> {
  const rates = new Map<string, Judged>();
  for (const [name, { inbound, outbound }] of Object.entries(now)) {
    const had = before[name];
    const both = (what: keyof Judged): Rate => {
      const incoming = rateOf(had?.inbound[what], inbound[what], perSecond);
      const outgoing = rateOf(had?.outbound[what], outbound[what], perSecond);
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
