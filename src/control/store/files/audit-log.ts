/**
 * The audit log: JSON lines, one record each, in two logs (`rotating-log.ts`):
 *
 *     audit.log           changes, logins, captures, and changes that the store has refused
 *     audit-denied.log    clients without access
 *
 * Anybody can cause denials as often as they like. So denials have their own files: they displace older denials, never
 * records of changes. For the same reason a record is short: long texts
 * and lists are cut, and say so.
 *
 * Ids ascend, over both logs and all processes: a writer holds the lock of the state directory and takes the number after
 * the last one. So a page begins at a place in the log, whatever the clock has shown. Older versions made ids from the
 * time; such records are the oldest ones and are read in the order of the file.
 */
import { withDirectoryLock } from '../../../system/lock.ts';
import { RotatingLog } from './rotating-log.ts';
import { makeStateDirectory } from './state-directory.ts';
import { hasTexts, isActor, isObject, parsedJson } from './stored-json.ts';
import { StoreError } from '../store.ts';
import { cutEvent } from '../audit-events.ts';
import type { AuditEvent, AuditLog, AuditQuery, AuditRecord } from '../store.ts';

/** Bounds of each log: 10 files of 8 MiB are 80,000 records at least, and usually some 300,000. */
const maxBytes = 8 << 20;
const keptFiles = 10;

/** Bytes of a record. */
export const maxRecordBytes = 1024;
/** Those of older versions were longer. */
const maxOldRecordBytes = 8192;

const defaultLimit = 100;
const maxLimit = 1000;

export interface AuditFileOptions {
  readonly onWarning: (message: string) => void;
  readonly maxBytes?: number;
  readonly keptFiles?: number;
}

export class AuditFile implements AuditLog {
  readonly #directory: string;
  readonly #onWarning: (message: string) => void;
  readonly #done: RotatingLog;
  readonly #denied: RotatingLog;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(stateDirectory: string, { onWarning, ...bounds }: AuditFileOptions) {
    this.#directory = stateDirectory;
    this.#onWarning = onWarning;
    const options = { maxBytes, keptFiles, ...bounds };
    this.#done = new RotatingLog(stateDirectory, 'audit.log', options);
    this.#denied = new RotatingLog(stateDirectory, 'audit-denied.log', options);
  }

  async append(event: AuditEvent): Promise<void> {
    try {
      await this.record(event);
    } catch (error) {
      this.#onWarning((error as Error).message);
    }
  }

  record(...events: readonly AuditEvent[]): Promise<void> {
    const done = this.#queue.then(async () => {
      try {
        await makeStateDirectory(this.#directory);
        await withDirectoryLock(this.#directory, 10_000, () => this.#write(events));
      } catch (error) {
        const message = `the audit log in ${this.#directory} cannot be written: ${(error as Error).message}`;
        throw new StoreError([{ kind: 'failed', message }], error);
      }
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }

  async query(query: AuditQuery): Promise<{ records: readonly AuditRecord[]; next?: string }> {
    const limit = Math.min(Math.max(1, query.limit ?? defaultLimit), maxLimit);
    const records: AuditRecord[] = [];
    for await (const record of startingAfter(this.#newestFirst(), query.before)) {
      if (!matches(record, query)) continue;
      if (records.length === limit) return { records, next: records.at(-1)!.id };
      records.push(record);
    }
    return { records };
  }

  /** The newest number of a commit in the log; 0 without one. */
  async newestCommit(): Promise<number> {
    for await (const { commit } of recordsOf(this.#done)) {
      if (commit !== undefined) return commit;
    }
    return 0;
  }

  async #write(events: readonly AuditEvent[]): Promise<void> {
    const first = 1 + Math.max(await lastSequence(this.#done), await lastSequence(this.#denied));
    const now = new Date();
    const lines = events.map(({ result }, index) => ({
      log: result === 'denied' ? this.#denied : this.#done,
      line: recordLine(first + index, now, events[index]!),
    }));
    for (const log of [this.#done, this.#denied]) {
      const own = lines.filter((each) => each.log === log).map(({ line }) => line);
      if (own.length > 0) await log.append(...own);
    }
  }

  /** Both logs as one. */
  async *#newestFirst(): AsyncGenerator<AuditRecord> {
    const logs = [recordsOf(this.#done), recordsOf(this.#denied)];
    const heads = await Promise.all(logs.map((log) => log.next()));
    for (;;) {
      const sequences = heads.map(({ done, value }) =>
        done === true ? -Infinity : sequenceOf(value.id),
      );
      const at = sequences[0]! >= sequences[1]! ? 0 : 1;
      const { done, value } = heads[at]!;
      if (done === true) return;
      yield value;
      heads[at] = await logs[at]!.next();
    }
  }
}

/** The number that an id is; 0 for ids of older versions. */
function sequenceOf(id: string): number {
  return /^\d{12}$/.test(id) ? Number(id) : 0;
}

async function lastSequence(log: RotatingLog): Promise<number> {
  for await (const line of log.tails(2 * maxOldRecordBytes)) {
    const record = parseRecord(line);
    if (record !== undefined) return sequenceOf(record.id);
  }
  return 0;
}

async function* recordsOf(log: RotatingLog): AsyncGenerator<AuditRecord, undefined> {
  for await (const line of log.newestFirst()) {
    const record = parseRecord(line);
    if (record !== undefined) yield record;
  }
}

/** The records that follow the one with this id. */
async function* startingAfter(
  records: AsyncGenerator<AuditRecord>,
  id: string | undefined,
): AsyncGenerator<AuditRecord> {
  const sequence = id === undefined ? Infinity : sequenceOf(id);
  let found = false;
  for await (const record of records) {
    // The id of an older version has no number: it must be found.
    if (sequence > 0 ? sequenceOf(record.id) < sequence : found) yield record;
    found ||= record.id === id;
  }
}

/** A record as it is written, within its bounds for any event. */
export function recordLine(sequence: number, at: Date, event: AuditEvent): string {
  const id = String(sequence).padStart(12, '0');
  for (let share = 4; ; share /= 2) {
    const line = JSON.stringify({
      id,
      at: at.toISOString(),
      ...cutEvent(event, maxRecordBytes * share),
    });
    if (Buffer.byteLength(line) < maxRecordBytes) return line;
  }
}

function isRecord(value: unknown): value is AuditRecord {
  return (
    isObject(value) && hasTexts(value, 'id', 'at', 'action', 'result') && isActor(value['actor'])
  );
}

/** `undefined` for a line that was torn. */
function parseRecord(line: string): AuditRecord | undefined {
  const value = parsedJson(line);
  return isRecord(value) ? value : undefined;
}

function matches(record: AuditRecord, query: AuditQuery): boolean {
  const { actor, action, target, result, since, until } = query;
  return (
    (actor === undefined || record.actor.name === actor) &&
    (action === undefined || record.action === action || record.action.startsWith(`${action}.`)) &&
    (target === undefined || isAbout(record, target)) &&
    (result === undefined || record.result === result) &&
    (since === undefined || Date.parse(record.at) >= Date.parse(since)) &&
    (until === undefined || Date.parse(record.at) <= Date.parse(until))
  );
}

/** Also of a new name, or of what was changed with it. */
function isAbout({ target = [], changed = [] }: AuditRecord, name: string): boolean {
  return target.includes(name) || changed.some((each) => each.name === name);
}
