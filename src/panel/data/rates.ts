/**
 * Rates out of counters: what the firewall counts only grows, so a rate is what two answers of `/v1/stats` differ by.
 *
 * What was before, the firewall has kept (`/v1/stats/history`); the panel goes on from there. A gateway that was restarted begins at
 * 0 again, and a tab that was hidden has seen nothing: there the history has a gap, until the firewall is asked. All of it is
 * bounded.
 */
import { hasRestarted, millisecondsBetween, rateOf, trafficRate } from '../../text/rates.ts';
import type { Traffic } from '../../text/rates.ts';
import type { Stats, TrafficHistory } from './types.ts';

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
  /** Packets a second by drop reason, those that have any. Only of what the page has seen. */
  readonly drops?: ReadonlyMap<string, number>;
}

export interface StatsHistory {
  readonly latest: Stats | undefined;
  /** Oldest first. */
  readonly moments: readonly Moment[];
  /** Both directions of each server now, as long as a page asks for them: there are many. */
  readonly servers: ReadonlyMap<string, Judged>;
  /** When the policy changed, in seconds since 1970, oldest first. */
  readonly changes: readonly number[];
}

/** An hour, once a second. */
export const historyLength = 3600;
const changesKept = 256;

/** Later than that is a gap. Events come once a second; a busy machine may hold one back. */
const longestStepMs = 4000;

export const emptyHistory: StatsHistory = {
  ...{ latest: undefined, moments: [] },
  ...{ servers: new Map(), changes: [] },
};

/** The moments of what the firewall has kept. A step without rates is a gap. */
export function momentsOf({ end, stepSeconds, passed, dropped, flows }: TrafficHistory): Moment[] {
  const newest = Date.parse(end) / 1000;
  return flows.map((count, index) => {
    const seconds = newest - (flows.length - 1 - index) * stepSeconds;
    const at = (values: readonly (number | null)[]): number => values[index] ?? 0;
    if (count === null) return { seconds };
    const judged = ({ packets, bytes }: typeof passed): Traffic => ({
      packets: at(packets),
      bytes: at(bytes),
    });
    return { seconds, flows: count, rates: { passed: judged(passed), dropped: judged(dropped) } };
  });
}

/** @returns the history with what the firewall has kept in place of what was seen until then */
export function seeded(history: StatsHistory, kept: TrafficHistory): StatsHistory {
  const before = momentsOf(kept);
  const end = Date.parse(kept.end) / 1000;
  // A moment without rates is the first look of the page: a gap that the kept ones close.
  const later = history.moments.filter(
    ({ seconds, rates }) => seconds > end && rates !== undefined,
  );
  return {
    ...history,
    moments: [...before, ...later].slice(-historyLength),
    changes: kept.changes.map(({ at }) => Date.parse(at) / 1000),
  };
}

/** @returns the history with one second more */
export function extended(history: StatsHistory, now: Stats): StatsHistory {
  const { latest, moments } = history;
  const stepMs = latest === undefined ? 0 : millisecondsBetween(latest, now);
  const changes =
    latest === undefined || latest.epoch === now.epoch
      ? history.changes
      : appended(history.changes, Date.parse(now.at) / 1000, changesKept);
  if (latest === undefined || !follows(latest, now, stepMs)) {
    const gap = { seconds: Date.parse(now.at) / 1000, flows: now.flows.count };
    // What was an hour ago has nothing to do with what comes now.
    const isOld = stepMs > historyLength * 1000;
    const kept = isOld ? [gap] : appended(moments, gap, historyLength);
    return { latest: now, moments: kept, servers: new Map(), changes };
  }
  return {
    latest: now,
    moments: appended(moments, momentOf(latest, now, stepMs), historyLength),
    servers: serversOf(latest.servers, now.servers, stepMs),
    changes,
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

/** None, with no counts to compare with. */
function serversOf(
  before: Stats['servers'],
  now: Stats['servers'],
  stepMs: number,
): ReadonlyMap<string, Judged> {
  const rates = new Map<string, Judged>();
  if (before === undefined || now === undefined) return rates;
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
  const recent = moments.slice(-seconds).filter(({ drops }) => drops !== undefined);
  return Object.entries(latest.drops)
    .filter(([, total]) => total > 0)
    .map(([reason, total]) => {
      const sum = recent.reduce((all, { drops }) => all + (drops?.get(reason) ?? 0), 0);
      return { reason, rate: recent.length === 0 ? 0 : sum / recent.length, total };
    })
    .sort((one, other) => other.rate - one.rate || other.total - one.total);
}
