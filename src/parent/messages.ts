/**
 * What the parent and its children say to each other, over the channel that Node opens between a process and one that it has started.
 *
 *     an upgrade, step by step          the child in force      parent      the next child
 *                                            upgrade ->
 *                                                               starts it
 *                                                                       <- prepared
 *                                                      <- close
 *                                             closed ->
 *                                                                 refresh ->
 *                                                                       <- refreshed
 *                                                      <- stop
 *                                            stopped ->
 *                                                                   begin ->
 *                                                                       <- ready
 *
 * Until `stop` the child in force judges packets, and goes on if the next one fails (`resume`). From `stop` to `begin` packets wait
 * in the queues of the device.
 */

/** To a child. */
export type Order =
  /** Take no more requests: what was accepted is to be stored when you say `closed`. */
  | { readonly kind: 'close' }
  /** The next child has failed; take requests again. */
  | { readonly kind: 'resume'; readonly reason: string }
  /** Stop judging packets, and end. */
  | { readonly kind: 'stop' }
  /** Read the configuration again. */
  | { readonly kind: 'refresh' }
  /** Judge packets. Nobody has done so since `stoppedMs` (process.hrtime in ms). */
  | { readonly kind: 'begin'; readonly stoppedMs: number };

/** From a child. */
export type Report =
  | { readonly kind: 'prepared' | 'refreshed' | 'closed' | 'ready' | 'upgrade' }
  | { readonly kind: 'stopped'; readonly stoppedMs: number }
  /** It cannot start; it ends with these words for people. */
  | { readonly kind: 'failed'; readonly reason: string };

const plainReports: readonly unknown[] = ['prepared', 'refreshed', 'closed', 'ready', 'upgrade'];

/** What a child has said; nothing if it is no report. The child reads what strangers send, and the parent trusts it no more than that. */
export function reportOf(message: unknown): Report | undefined {
  const said = (typeof message === 'object' ? message : undefined) ?? {};
  const { kind, reason, stoppedMs } = said as Record<string, unknown>;
  if (kind === 'failed' && typeof reason === 'string') return { kind, reason };
  if (kind === 'stopped' && Number.isFinite(stoppedMs)) {
    return { kind, stoppedMs: stoppedMs as number };
  }
  return plainReports.includes(kind) ? ({ kind } as Report) : undefined;
}

/** What a child is born with, in the environment variable {@link birthVariable}. */
export interface Birth {
  /** The process that started it. */
  readonly parent: number;
  /** When that process started, in ms since 1970. */
  readonly parentStartedMs: number;
  /** How many descriptors of /dev/net/tun it has, from {@link firstDescriptor} on. */
  readonly descriptors: number;
  /** It prepares everything, and waits for `begin`. */
  readonly waits: boolean;
  /** Children that were started because one before had died, and upgrades, this one included. */
  readonly restarts: number;
  readonly upgrades: number;
  /** How the child before died, and when (process.hrtime in ms). Absent: none has. */
  readonly died?: string;
  readonly diedMs?: number;
}

export const birthVariable = 'TUNWALL_CHILD';

/** Behind standard input, output, error and the channel. */
export const firstDescriptor = 4;

/** CLOCK_MONOTONIC in ms, which all processes of a machine share. */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
