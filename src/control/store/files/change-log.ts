/**
 * The changes of the policy, in the state directory: `changes.jsonl`, a line for each with its number, its audit record, and the
 * versions that it has added to the histories. A line is written after those versions, so that it names nothing that is missing.
 * Only the holder of the configuration directory's lock writes.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import { cutEvent } from '../audit-events.ts';
import { keptChanges } from '../policy-history.ts';
import type { KeptChange, Touched } from '../policy-history.ts';
import { appendDurably, writeDurably } from './durable-file.ts';
import { makeStateDirectory } from './state-directory.ts';

const mode = 0o640;
/** Bytes of the record of a change. */
const eventBytes = 4096;
/** Two thousand lines, some of which name thousands of templates. */
const maxBytes = 256 << 20;

interface Read {
  /** Of the file, when it was read. */
  readonly mark: string;
  /** The oldest first. */
  readonly changes: readonly KeptChange[];
}

export class ChangeLog {
  readonly #stateDirectory: string;
  readonly #kept: number;
  #read: Read = { mark: '', changes: [] };

  /** @param kept changes that are kept; the file is shortened when it has twice as many */
  constructor(stateDirectory: string, kept: number = keptChanges) {
    this.#stateDirectory = stateDirectory;
    this.#kept = kept;
  }

  async newestFirst(): Promise<readonly KeptChange[]> {
    return (await this.#all()).slice(-this.#kept).reverse();
  }

  /** Only for the holder of the lock. */
  async add(...added: readonly Omit<KeptChange, 'number' | 'at'>[]): Promise<void> {
    if (added.length === 0) return;
    const before = await this.#all();
    const first = 1 + (before.at(-1)?.number ?? 0);
    const at = new Date().toISOString();
    const changes = added.map(({ event, versions }, index): KeptChange => {
      return { number: first + index, at, event: cutEvent(event, eventBytes), versions };
    });
    await makeStateDirectory(this.#stateDirectory);
    const all = [...before, ...changes];
    if (all.length < this.#kept * 2) {
      await appendDurably(
        this.#path,
        changes.map((each) => JSON.stringify(each)),
        mode,
      );
      this.#read = { mark: await this.#mark(), changes: all };
      return;
    }
    const kept = all.slice(-this.#kept);
    await writeDurably(this.#path, kept.map((each) => `${JSON.stringify(each)}\n`).join(''), mode);
    this.#read = { mark: await this.#mark(), changes: kept };
  }

  /** Whether one of the newest changes has added this version. */
  async has({ kind, name, version }: Touched): Promise<boolean> {
    const isIt = (each: Touched): boolean =>
      each.kind === kind && each.name === name && each.version === version;
    return (await this.#all()).slice(-100).some(({ versions }) => versions.some(isIt));
  }

  async #all(): Promise<readonly KeptChange[]> {
    const mark = await this.#mark();
    if (mark === this.#read.mark) return this.#read.changes;
    const text = (await readOwnFile(this.#path, maxBytes))?.bytes.toString('utf8') ?? '';
    const changes = text.split('\n').flatMap((line) => {
      try {
        const change = JSON.parse(line) as Partial<KeptChange> | null;
        return isChange(change) ? [change] : [];
      } catch {
        // An incomplete last line.
        return [];
      }
    });
    this.#read = { mark, changes };
    return changes;
  }

  async #mark(): Promise<string> {
    const found = await stat(this.#path, { bigint: true }).catch(() => undefined);
    return found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeNs}`;
  }

  get #path(): string {
    return join(this.#stateDirectory, 'changes.jsonl');
  }
}

/** Whether a line is one that was written here. */
function isChange(change: Partial<KeptChange> | null): change is KeptChange {
  return (
    Number.isSafeInteger(change?.number) &&
    typeof change?.at === 'string' &&
    typeof change.event?.actor === 'object' &&
    Array.isArray(change.versions)
  );
}
