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
import type { Reading } from './config-directory.ts';
import { placeOf, textDigestOf } from './config-files.ts';
import type { RawDirectory, RawFile } from './config-files.ts';
import type { Cause } from '../documents.ts';
import { inBatches, requireWritable, writeDurably } from './durable-file.ts';
import { versionDigest } from './history.ts';
import type { HistoryFiles, NewVersion } from './history.ts';
import { operationWords } from '../operation-words.ts';
import { makeStateDirectory } from './state-directory.ts';
import { StoreError } from '../store.ts';
import type { Actor, AuditEvent, AuditLog, Changed, Operation, Snapshot } from '../store.ts';

/** What has a history. */
export const versionedKinds = ['template', 'set'] as const;
export type VersionedKind = (typeof versionedKinds)[number];

type Digests = Readonly<Record<string, { sha256: string; cause: Cause }>>;

/** A pending change: its author, and the digests of its templates and sets by name. */
interface Pending {
  readonly actor: Actor;
  readonly templates: Digests;
  readonly sets?: Digests;
}

/** A template or set as it is in the files, with the list of the set. */
export interface Versioned {
  readonly file: RawFile;
  readonly list?: RawFile;
}

/** A change, and what it writes and removes of templates and sets. */
interface Written {
  readonly actor: Actor;
  readonly operations: readonly Operation[];
  readonly changed: readonly Changed[];
  readonly versions: readonly WrittenVersion[];
}

/** A template or set that a change has written or removed. */
export interface WrittenVersion {
  readonly kind: VersionedKind;
  readonly name: string;
  readonly cause: Cause;
  /** Absent: removed. */
  readonly now?: Versioned;
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
            own === kind && now !== undefined ? [[name, { sha256: digestOf(now), cause }]] : [],
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
    try {
      const read = await readOwnFile(this.#pendingPath(), maxPendingBytes);
      if (read === undefined) return [];
      // Older versions wrote one.
      const noted = JSON.parse(read.bytes.toString('utf8')) as Pending | Pending[];
      return Array.isArray(noted) ? noted.reverse() : [noted];
    } catch {
      return [];
    }
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
    raw: RawDirectory,
    pending: readonly Pending[],
  ): Promise<string[]> {
    const history = this.#histories[kind];
    const own = versionedFiles(kind, raw);
    const versions = versionsOf(kind, snapshot, raw);
    const record = async (name: string): Promise<string | undefined> => {
      const now = versions.get(name);
      const digest = now && digestOf(now);
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
      ...changes.map(({ actor, operations, changed }) => eventOf(actor, operations, 'ok', changed)),
    );
  }

  async audit(
    actor: Actor,
    operations: readonly Operation[],
    result: 'ok' | 'refused' | 'failed',
    changed: readonly Changed[],
    summary?: string,
  ): Promise<void> {
    const [first] = operations;
    if (first === undefined && result === 'ok') return;
    await this.#audit.append(eventOf(actor, operations, result, changed, summary));
  }
}

function eventOf(
  actor: Actor,
  operations: readonly Operation[],
  result: AuditEvent['result'],
  changed: readonly Changed[],
  summary?: string,
): AuditEvent {
  const kinds = new Set(operations.map(auditAction));
  return {
    actor,
    action: kinds.size === 1 ? [...kinds][0]! : 'policy.change',
    result,
    target: [...new Set(operations.flatMap(targetsOf))],
    changed,
    summary: summary ?? operations.map(operationWords).join('; '),
  };
}

/** The files of templates or sets, valid or not, by name. */
export function versionedFiles(kind: VersionedKind, raw: RawDirectory): Map<string, RawFile> {
  const files = (kind === 'template' ? raw.templates : raw.sets) ?? [];
  return new Map(
    files.flatMap((file): [string, RawFile][] => {
      const place = placeOf(file.name);
      return place?.kind === kind ? [[place.name, file]] : [];
    }),
  );
}

/** The valid ones, with the lists of sets. */
export function versionsOf(
  kind: VersionedKind,
  snapshot: Snapshot,
  raw: RawDirectory,
): Map<string, Versioned> {
  const files = versionedFiles(kind, raw);
  if (kind === 'template') {
    return new Map(snapshot.templates.map(({ name }) => [name, { file: files.get(name)! }]));
  }
  const lists = new Map((raw.sets ?? []).map((file) => [file.name, file]));
  return new Map(
    snapshot.sets.map(({ name, file }) => {
      const list = file === undefined ? undefined : lists.get(`sets/${file}`);
      return [name, { file: files.get(name)!, ...(list !== undefined && { list }) }];
    }),
  );
}

function digestOf({ file, list }: Versioned): string {
  return versionDigest(textDigestOf(file), list && textDigestOf(list));
}

/** What the history keeps of it; nothing of what is gone. */
function contentOf(now: Versioned | undefined): Pick<NewVersion, 'text' | 'digest' | 'list'> {
  if (now === undefined) return {};
  const { file, list } = now;
  return {
    text: file.text!,
    digest: digestOf(now),
    ...(list !== undefined && {
      list: {
        file: list.name.slice('sets/'.length),
        text: list.text!,
        sha256: textDigestOf(list),
      },
    }),
  };
}

/** `template.create`, `template.add-rule`, `server.assign`, `set.change-addresses`. */
function auditAction({ kind }: Operation): string {
  const match = /^(.*)-(template|server|set)$/.exec(kind);
  if (match !== null) return `${match[2]!}.${match[1]!}`;
  if (kind === 'change-addresses') return `set.${kind}`;
  return kind.endsWith('-rule') ? `template.${kind}` : `server.${kind}`;
}

function targetsOf(operation: Operation): readonly string[] {
  if ('servers' in operation) return [...operation.servers, ...operation.templates];
  if ('template' in operation) return [operation.template];
  return ['set' in operation ? operation.set : operation.name];
}
