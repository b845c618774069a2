/**
 * The audit log: JSON lines, one record each, only ever appended to.
 *
 * A record is one write(2) to a file that was opened for appending, and on disk before `append` resolves. After a crash the
 * last line may be torn: it is skipped when reading, and ended by the next record. At `maxBytes` the file becomes
 * `audit.log.1`, the one of before `audit.log.2`, and so on; the oldest of `keptFiles` is forgotten. That is done under the
 * lock of the state directory, which appending takes as well, so that no process writes into a file that was put aside.
 */
import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withDirectoryLock } from './directory-lock.ts';
import { appendDurably, syncDirectory } from './durable-file.ts';
import { makeStateDirectory } from './state-directory.ts';
import type { AuditEvent, AuditLog, AuditQuery, AuditRecord } from '../store.ts';

/** Bounds of the log: 10 files of 8 MiB are some 300,000 records. */
const maxBytes = 8 << 20;
const keptFiles = 10;
const mode = 0o640;

const defaultLimit = 100;
const maxLimit = 1000;

/** A summary or name that is longer is a mistake, or an attack on the log. */
const maxText = 4096;
const maxTargets = 100;

export interface AuditFileOptions {
  readonly onWarning: (message: string) => void;
  readonly maxBytes?: number;
  readonly keptFiles?: number;
}

export class AuditFile implements AuditLog {
  readonly #directory: string;
  readonly #options: Required<AuditFileOptions>;
  #queue: Promise<unknown> = Promise.resolve();
  #lastId = '';

  constructor(stateDirectory: string, options: AuditFileOptions) {
    this.#directory = stateDirectory;
    this.#options = { maxBytes, keptFiles, ...options };
  }

  append(event: AuditEvent): Promise<void> {
    const done = this.#queue.then(async () => {
      try {
        await makeStateDirectory(this.#directory);
        await withDirectoryLock(this.#directory, 10_000, () => this.#write(event));
      } catch (error) {
        const message = (error as Error).message;
        this.#options.onWarning(
          `the audit log in ${this.#directory} cannot be written: ${message}`,
        );
      }
    });
    this.#queue = done;
    return done;
  }

  async query(query: AuditQuery): Promise<{ records: readonly AuditRecord[]; next?: string }> {
    const limit = Math.min(Math.max(1, query.limit ?? defaultLimit), maxLimit);
    const records: AuditRecord[] = [];
    for (let index = 0; index < this.#options.keptFiles; index++) {
      const lines = await this.#lines(index);
      if (lines === undefined) break;
      for (let line = lines.length - 1; line >= 0; line--) {
        const record = parseRecord(lines[line]!);
        if (record === undefined || !matches(record, query)) continue;
        if (records.length === limit) return { records, next: records.at(-1)!.id };
        records.push(record);
      }
    }
    return { records };
  }

  #path(index: number): string {
    return join(this.#directory, index === 0 ? 'audit.log' : `audit.log.${index}`);
  }

  async #lines(index: number): Promise<string[] | undefined> {
    try {
      return (await readFile(this.#path(index), 'utf8')).split('\n');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #write(event: AuditEvent): Promise<void> {
    const size = await stat(this.#path(0)).then(
      (found) => found.size,
      () => 0,
    );
    if (size >= this.#options.maxBytes) await this.#rotate();
    const record: AuditRecord = {
      id: this.#nextId(),
      at: new Date().toISOString(),
      ...bounded(event),
    };
    await appendDurably(this.#path(0), JSON.stringify(record), mode);
  }

  async #rotate(): Promise<void> {
    const { keptFiles: kept } = this.#options;
    await rm(this.#path(kept - 1), { force: true });
    for (let index = kept - 2; index >= 0; index--) {
      await rename(this.#path(index), this.#path(index + 1)).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      });
    }
    await syncDirectory(this.#directory);
  }

  /** Time first, so that ids ascend; then something that tells those of one moment, and of two processes, apart. */
  #nextId(): string {
    const time = Date.now().toString(36).padStart(9, '0');
    let id = `${time}-${randomBytes(5).toString('hex')}`;
    // Within a process strictly ascending, also when the clock stands still or goes back.
    if (id <= this.#lastId) {
      const [last, rest] = this.#lastId.split('-') as [string, string];
      id = `${last}-${(BigInt(`0x${rest}`) + 1n).toString(16).padStart(10, '0')}`;
    }
    this.#lastId = id;
    return id;
  }
}

function bounded(event: AuditEvent): AuditEvent {
  const cut = (text: string): string =>
    text.length > maxText ? `${text.slice(0, maxText)}…` : text;
  return {
    ...event,
    ...(event.target !== undefined && { target: event.target.slice(0, maxTargets).map(cut) }),
    ...(event.changed !== undefined && { changed: event.changed.slice(0, maxTargets) }),
    ...(event.summary !== undefined && { summary: cut(event.summary) }),
  };
}

/** `undefined` for a line that was torn. */
function parseRecord(line: string): AuditRecord | undefined {
  try {
    const record = JSON.parse(line) as AuditRecord | null;
    return typeof record?.id === 'string' ? record : undefined;
  } catch {
    return undefined;
  }
}

function matches(record: AuditRecord, query: AuditQuery): boolean {
  const { before, actor, action, result, since, until } = query;
  return (
    (before === undefined || record.id < before) &&
    (actor === undefined || record.actor.name === actor) &&
    (action === undefined || record.action === action || record.action.startsWith(`${action}.`)) &&
    (result === undefined || record.result === result) &&
    (since === undefined || Date.parse(record.at) >= Date.parse(since)) &&
    (until === undefined || Date.parse(record.at) <= Date.parse(until))
  );
}
