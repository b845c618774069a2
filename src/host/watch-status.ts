/**
 * What `gateway watch` says to whoever cannot look as closely: a file beside the gateway's record, one for each
 * network namespace and device, written after every look and every second, removed at an orderly end. Who reads it judges its
 * age and whether the process is still there: a watch that hangs or was killed says nothing any more.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Bypass } from './guard.ts';
import type { GatewayProblem } from './problems.ts';
import { isDeviceName, namespaceInode } from './record.ts';
import { readStateFile, removeStateFile } from './state-file.ts';

export interface WatchStatus {
  readonly version: 1;
  readonly pid: number;
  /** In which `pid` counts: `pid:[4026531836]`. */
  readonly pidNamespace: string;
  readonly device: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly lookedAt: string;
  /** ISO 8601: the last sign of life. There is one a second, unless a look takes too long. */
  readonly aliveAt: string;
  /** So long after `aliveAt` the next sign is overdue, and nothing here counts. */
  readonly validMs: number;
  /** `--report-only`: nothing is repaired. */
  readonly reportOnly: boolean;
  readonly state: 'ok' | 'degraded';
  /** What is left after the repairs, and what somebody changes again and again. */
  readonly problems: readonly GatewayProblem[];
  readonly bypass?: Bypass;
  /** Repairs since the start. */
  readonly repairs: number;
  /** The last ones, oldest first. */
  readonly recent: readonly Repair[];
}

export interface Repair {
  /** ISO 8601. */
  readonly at: string;
  readonly what: string;
  readonly wanted: string;
  readonly found: string;
  /** How often this was repaired since the start. */
  readonly times: number;
}

export function watchStatusPath(stateDirectory: string, device: string): string {
  return join(stateDirectory, `watch-${namespaceInode()}-${device}.json`);
}

/**
 * What the watch of this namespace said last; undefined when none does.
 *
 * @throws Error whose message is the reason, as part of a sentence, when the file must not be used.
 */
export function readWatchStatus(stateDirectory: string, device: string): WatchStatus | undefined {
  if (!isDeviceName(device)) return undefined;
  const value = readStateFile(watchStatusPath(stateDirectory, device));
  if (value === undefined) return undefined;
  if (!isWatchStatus(value)) throw new Error('it has not the form of a watch’s status');
  return value;
}

function isWatchStatus(value: unknown): value is WatchStatus {
  if (typeof value !== 'object' || value === null) return false;
  const status = value as Partial<Record<keyof WatchStatus, unknown>>;
  const { bypass } = status as { bypass?: { packets?: unknown } | null };
  return (
    status.version === 1 &&
    Number.isSafeInteger(status.pid) &&
    typeof status.pidNamespace === 'string' &&
    typeof status.lookedAt === 'string' &&
    !Number.isNaN(Date.parse(String(status.aliveAt))) &&
    typeof status.validMs === 'number' &&
    typeof status.reportOnly === 'boolean' &&
    typeof status.repairs === 'number' &&
    (bypass === undefined || typeof bypass?.packets === 'number') &&
    Array.isArray(status.problems) &&
    status.problems.every(isProblem)
  );
}

function isProblem(value: unknown): value is GatewayProblem {
  if (typeof value !== 'object' || value === null) return false;
  const { what, wanted, found, hint } = value as Partial<Record<string, unknown>>;
  const texts = [what, wanted, found, hint ?? ''];
  return texts.every((text) => typeof text === 'string');
}

/** Inode of this process's PID namespace. */
export function pidNamespace(): string {
  return readlinkSync('/proc/self/ns/pid');
}

/** Whether the watch is certainly gone: it was killed, and could not remove its file. */
export function hasEnded(status: WatchStatus): boolean {
  if (status.pidNamespace !== pidNamespace()) return false;
  try {
    process.kill(status.pid, 0);
    return false;
  } catch (error) {
    // EPERM: it is there, and root's.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Removes what watches of this namespace left behind that did not end in order. */
export function removeOldWatchStatus(stateDirectory: string): void {
  const prefix = `watch-${namespaceInode()}-`;
  for (const name of readdirSync(stateDirectory)) {
    // One that was killed may have left half of a new file.
    if (name.startsWith(prefix) && /\.(json|tmp)$/.test(name)) {
      removeStateFile(join(stateDirectory, name));
    }
  }
}
