/**
 * Servers in `mode: observe`: what would be dropped for want of a rule passes, and is listed as `would-drop`.
 *
 * It always ends: by the moment that has to be written down, at most 14 days ahead. A moment further ahead than that means
 * nothing, so a clock that was set back does not prolong it.
 */
import { longestObservationMs } from '../dataplane/match/matcher.ts';
import { momentText } from '../text/moment.ts';
import type { Message } from './problem.ts';
import type { Server } from './types.ts';

/** A server that observes, or whose observation has ended. */
export interface Observation {
  readonly server: string;
  readonly untilMs: number;
  /** Whether it observes at the moment of the policy. */
  readonly live: boolean;
}

const longestWords = '14 days';

/** Undefined: the server enforces its rules, and nobody says otherwise. */
export function observationOf(server: Server, nowMs: number): Observation | undefined {
  if (server.mode !== 'observe' || server.until === undefined) return undefined;
  const untilMs = Date.parse(server.until);
  return { server: server.name, untilMs, live: isObservedAt(untilMs, nowMs) };
}

/** Whether a server observes at that moment whose observation ends then. */
export function isObservedAt(untilMs: number, nowMs: number): boolean {
  const leftMs = untilMs - nowMs;
  return leftMs > 0 && leftMs <= longestObservationMs;
}

/** Whether what no rule allows passes at that moment. */
export function isObserving(server: Server, nowMs: number): boolean {
  return observationOf(server, nowMs)?.live === true;
}

/** Those that observe, for a status; nothing if none does. */
export function observingNow(
  servers: readonly Server[],
  nowMs: number,
): { readonly observing?: readonly { readonly server: string; readonly until: string }[] } {
  const observing = servers
    .filter((server) => isObserving(server, nowMs))
    .map(({ name, until }) => ({ server: name, until: until! }));
  return observing.length === 0 ? {} : { observing };
}

/** The same servers as if none of them observed. */
export function enforced(servers: readonly Server[]): readonly Server[] {
  if (!servers.some(({ mode }) => mode === 'observe')) return servers;
  return servers.map((server): Server => (server.mode === 'observe' ? without(server) : server));
}

function without(server: Server): Server {
  const rest: { -readonly [K in keyof Server]: Server[K] } = { ...server };
  delete rest.mode;
  delete rest.until;
  return rest;
}

const pastWords = 'this moment has passed: the server enforces its rules';

/** An end that has passed is refused where one sets it. One that was right once stays, whatever else is changed. */
export function lateEnd(
  { until }: Pick<Server, 'until'>,
  before: Pick<Server, 'until'> | undefined,
  nowMs: number,
): { readonly path: string; readonly message: string }[] {
  const isNew = until !== undefined && until !== before?.until;
  return isNew && Date.parse(until) <= nowMs ? [{ path: 'until', message: pastWords }] : [];
}

interface Complaint {
  readonly key: 'mode' | 'until';
  readonly severity: 'error' | 'warning';
  readonly message: Message;
}

/** What is wrong with what a server says of it. */
export function complaintOf(
  { mode, until }: Pick<Server, 'mode' | 'until'>,
  nowMs: number,
): Complaint | undefined {
  if (mode !== 'observe') {
    if (until === undefined) return undefined;
    return { key: 'until', severity: 'error', message: 'only mode: observe has an end' };
  }
  if (until === undefined) {
    const message = `observe needs an end: add until with a time at most ${longestWords} ahead`;
    return { key: 'mode', severity: 'error', message };
  }
  if (Date.parse(until) - nowMs > longestObservationMs) {
    const message = (): string =>
      `expected a time at most ${longestWords} ahead, which is ${momentText(nowMs + longestObservationMs)}`;
    return { key: 'until', severity: 'error', message };
  }
  return Date.parse(until) <= nowMs
    ? { key: 'until', severity: 'warning', message: pastWords }
    : undefined;
}

/** When something else is said of servers than at this moment, by the clock alone. */
export function turnsOf(
  servers: readonly Pick<Server, 'mode' | 'until'>[],
  nowMs: number,
): readonly number[] {
  return servers.flatMap(({ mode, until }) => {
    if (mode !== 'observe' || until === undefined) return [];
    const untilMs = Date.parse(until);
    // That it is too far ahead is said with the moment that would not be.
    if (untilMs - nowMs > longestObservationMs) return [nowMs, nowMs + 1];
    return [untilMs - longestObservationMs, untilMs];
  });
}

/** Whether one of the turns lies between two moments. */
export function isTurned(turns: readonly number[], thenMs: number, nowMs: number): boolean {
  return turns.some((turn) => thenMs < turn !== nowMs < turn);
}
