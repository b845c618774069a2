/**
 * Records changes: the histories of templates and sets, and the audit log.
 *
 * A version gets into the history after its file was renamed into place. If a process dies in between, its change must
 * not look like a hand edit: so it writes a note (`pending.json`) before, which the next process reads. Any other
 * version that is missing in the history is a hand edit. All of this happens under the lock of the configuration
 * directory.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import type { Reading } from '../config-judge.ts';
import type { ConfigFiles, RawFile } from '../config-texts.ts';
import { changeEvent } from '../audit-events.ts';
import type { Cause } from '../documents.ts';
import { StoreError } from '../store.ts';
import type { Actor, AuditLog, Snapshot } from '../store.ts';
import {
  contentOf,
  versionedDigest,
  versionedFiles,
  versionedKinds,
  versionsOf,
} from '../versions.ts';
import type { NewVersion, VersionedKind, Written } from '../versions.ts';
import { inBatches, requireWritable, writeDurably } from './durable-file.ts';
import type { HistoryFiles } from './history.ts';
import { makeStateDirectory } from './state-directory.ts';
import { hasTexts, isActor, isObject, parsedJson } from './stored-json.ts';

type Digests = Readonly<Record<string, { sha256: string; cause: Cause }>>;

/** A pending change: its author, and the digests of its templates and sets by name. */
interface Pending {
  readonly actor: Actor;
  readonly templates: Digests;
  readonly sets?: Digests;
}

function isPending(value: unknown): value is Pending {
  if (!isObject(value) || !isActor(value['actor'])) return false;
  const { templates, sets = {} } = value;
  return isDigests(templates) && isDigests(sets);
}

function isDigests(value: unknown): value is Digests {
  if (!isObject(value)) return false;
  return Object.values(value).every(
    (each) => isObject(each) && hasTexts(each, 'sha256') && isObject(each['cause']),
  );
}

const maxPendingBytes = 64 << 20;
const fileActor: Actor = { name: 'file', via: 'file' };

export class Recorder {
  readonly #stateDirectory: string;
  readonly #histories: Readonly<Record<VersionedKind, HistoryFiles>>;
  readonly #audit: AuditLog;
  /** Files, with their lists, that are known to be in the history: they are not checked again until they change. */
  readonly #recorded: WeakMap<RawFile, RawFile | undefined> = new WeakMap<
    RawFile,
    RawFile | undefined
  >();

  constructor(
    stateDirectory: string,
    histories: Readonly<Record<VersionedKind, HistoryFiles>>,
    audit: AuditLog,
  ) {
    this.#stateDirectory = stateDirectory;
    this.#histories = histories;
    this.#audit = audit;
  }

  /** A change that cannot be recorded in history and audit log is not made. */
  async requireStateDirectory(): Promise<void> {
    try {
      await makeStateDirectory(this.#stateDirectory);
    } catch (error) {
      const message = `the state directory ${this.#stateDirectory} cannot be made: ${(error as Error).message}`;
      throw new StoreError([{ kind: 'read-only', message }], error);
    }
    await requireWritable(this.#stateDirectory, 'the state directory');
  }

  /** Before the renames: writes the note. */
  async note(changes: readonly Written[]): Promise<void> {
    const pending = changes.map(({ actor, versions }): Pending => {
      const digests = (kind: VersionedKind): Digests =>
        Object.fromEntries(
          versions.flatMap(({ kind: own, name, now, cause }) =>
            own === kind && now !== undefined
              ? [[name, { sha256: versionedDigest(now), cause }]]
              : [],
          ),
        );
      return { actor, templates: digests('template'), sets: digests('set') };
    });
    await writeDurably(this.#pendingPath(), JSON.stringify(pending), 0o640);
  }

  /** Nothing was written. */
  async forget(): Promise<void> {
    await rm(this.#pendingPath(), { force: true });
  }

  #pendingPath(): string {
    return join(this.#stateDirectory, 'pending.json');
  }

  /** The newest first. */
  async #readPending(): Promise<Pending[]> {
    const read = await readOwnFile(this.#pendingPath(), maxPendingBytes).catch(() => undefined);
    if (read === undefined) return [];
    // Older versions wrote one.
    const noted = [parsedJson(read.bytes.toString('utf8'))].flat();
    return noted.filter(isPending).reverse();
  }

  /** After the renames: records the changes. */
  async record(changes: readonly Written[]): Promise<void> {
    for (const kind of versionedKinds) {
      const added = changes.flatMap(({ actor, versions }) =>
        versions
          .filter((each) => each.kind === kind)
          .map(({ name, cause, now }): NewVersion => ({
            name,
            actor,
            ...contentOf(now),
            ...cause,
          })),
      );
      await this.#histories[kind].add(...added);
    }
    await this.forget();
  }

  /** Adds versions that are missing in the history: those of a process that died, and hand edits. Under the lock. */
  async recordHandEdits(reading: Reading): Promise<void> {
    if (reading.raw === undefined || !(await this.#mayRecord())) return;
    const pending = await this.#readPending();
    const edited = new Map<VersionedKind, readonly string[]>();
    for (const kind of versionedKinds) {
      edited.set(kind, await this.#recordEdited(kind, reading.snapshot, reading.raw, pending));
    }
    for (const { actor, templates, sets = {} } of pending.toReversed()) {
      await this.#audit.append({
        actor,
        action: 'policy.change',
        result: 'failed',
        target: [...Object.keys(templates), ...Object.keys(sets)],
        summary: 'the change before was interrupted: a part of it may have been written',
      });
    }
    if (pending.length > 0) await this.forget();
    for (const [kind, names] of edited) {
      if (names.length === 0) continue;
      await this.#audit.append({
        actor: fileActor,
        action: `${kind}.edit`,
        result: 'ok',
        target: names,
        summary: 'found changed by hand',
      });
    }
  }

  /** @returns the names of what was changed by hand */
  async #recordEdited(
    kind: VersionedKind,
    snapshot: Snapshot,
    raw: ConfigFiles,
    pending: readonly Pending[],
  ): Promise<string[]> {
    const history = this.#histories[kind];
    const own = versionedFiles(kind, raw);
    const versions = versionsOf(kind, snapshot, raw);
    const record = async (name: string): Promise<string | undefined> => {
      const now = versions.get(name);
      const digest = now && versionedDigest(now);
      const newest = await history.newest(name, digest);
      if (now === undefined) {
        if (newest?.sha256 === undefined) return undefined;
        await history.add({ name, actor: fileActor, action: 'destroy' });
        return name;
      }
      if (newest?.sha256 === digest) return undefined;
      const noted = ({ templates, sets }: Pending): Digests[string] | undefined =>
        (kind === 'template' ? templates : sets)?.[name];
      const died = pending.find((each) => noted(each)?.sha256 === digest);
      const action = newest?.sha256 === undefined ? 'create' : 'edit';
      await history.add({
        name,
        ...contentOf(now),
        actor: died?.actor ?? fileActor,
        ...((died && noted(died)?.cause) ?? { action }),
      });
      return died === undefined ? name : undefined;
    };
    const fresh = [...versions].filter(
      ([, { file, list }]) => !this.#recorded.has(file) || this.#recorded.get(file) !== list,
    );
    const gone = (await history.names()).filter((name) => !own.has(name));
    const names = [...fresh.map(([name]) => name), ...gone];
    const edited = await inBatches(names, record);
    for (const [, { file, list }] of fresh) this.#recorded.set(file, list);
    return edited.filter((name) => name !== undefined);
  }

  async #mayRecord(): Promise<boolean> {
    try {
      await this.requireStateDirectory();
      return true;
    } catch {
      return false;
    }
  }

  /** Before changes are made. @throws StoreError when they cannot be logged: then they are not made */
  async intend(changes: readonly Written[]): Promise<void> {
    await this.#audit.record(
      ...changes.map(({ actor, operations, changed }) =>
        changeEvent(actor, operations, 'ok', changed),
      ),
    );
  }
}
