/**
 * Records changes: the histories of templates, sets and servers.yaml, the log of changes, and the audit log.
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
import { madeEvent } from '../audit-events.ts';
import type { Cause } from '../documents.ts';
import { StoreError } from '../store.ts';
import type { Touched } from '../policy-history.ts';
import type { Actor, AuditEvent, AuditLog, Snapshot } from '../store.ts';
import {
  contentOf,
  versionedDigest,
  versionedFiles,
  versionedKinds,
  versionsOf,
} from '../versions.ts';
import type { NewVersion, VersionedKind, Written } from '../versions.ts';
import { inBatches, requireWritable, writeDurably } from './durable-file.ts';
import type { ChangeLog } from './change-log.ts';
import type { HistoryFiles } from './history.ts';
import { makeStateDirectory } from './state-directory.ts';
import { hasTexts, isActor, isObject, parsedJson } from './stored-json.ts';

type Digests = Readonly<Record<string, { sha256: string; cause: Cause }>>;

/** A pending change: its author, and the digests of its templates, sets and servers.yaml by name. */
interface Pending {
  readonly actor: Actor;
  readonly why?: string;
  readonly templates: Digests;
  readonly sets?: Digests;
  readonly servers?: Digests;
}

const digestsOf = (kind: VersionedKind, intent: Pending): Digests =>
  (kind === 'template' ? intent.templates : kind === 'set' ? intent.sets : intent.servers) ?? {};

/** A version that was found in the files, and who has made it. */
interface Found extends Touched {
  /** Absent: by hand. */
  readonly died?: Pending;
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
  readonly #changes: ChangeLog;
  readonly #audit: AuditLog;
  /** Files, with their lists, that are known to be in the history: they are not checked again until they change. */
  readonly #recorded: WeakMap<RawFile, RawFile | undefined> = new WeakMap<
    RawFile,
    RawFile | undefined
  >();

  constructor(
    stateDirectory: string,
    histories: Readonly<Record<VersionedKind, HistoryFiles>>,
    changes: ChangeLog,
    audit: AuditLog,
  ) {
    this.#stateDirectory = stateDirectory;
    this.#histories = histories;
    this.#changes = changes;
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
    const pending = changes.map(({ actor, versions, why }): Pending => {
      const digests = (kind: VersionedKind): Digests =>
        Object.fromEntries(
          versions.flatMap(({ kind: own, name, now, cause }) =>
            own === kind && now !== undefined
              ? [[name, { sha256: versionedDigest(now), cause }]]
              : [],
          ),
        );
      return {
        ...{ actor, templates: digests('template'), sets: digests('set') },
        servers: digests('servers'),
        ...(why !== undefined && { why }),
      };
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
    const intent = [parsedJson(read.bytes.toString('utf8'))].flat();
    return intent.filter(isPending).reverse();
  }

  /** After the renames: records the changes. */
  async record(changes: readonly Written[]): Promise<void> {
    const touched = changes.map((): Touched[] => []);
    for (const kind of versionedKinds) {
      const own = changes.flatMap(({ actor, versions }, change) =>
        versions
          .filter((each) => each.kind === kind)
          .map(({ name, cause, now }) => {
            const version: NewVersion = { name, actor, ...contentOf(now), ...cause };
            return { change, version };
          }),
      );
      const numbers = await this.#histories[kind].add(...own.map(({ version }) => version));
      for (const [index, { change, version }] of own.entries()) {
        touched[change]!.push({ kind, name: version.name, version: numbers[index]! });
      }
    }
    await this.#changes.add(
      ...changes.map((change, index) => ({
        event: madeEvent(change),
        versions: touched[index]!,
      })),
    );
    await this.forget();
  }

  /** Time has changed what a template means. */
  async mark(name: string, actor: Actor, action: 'expire' | 'revive'): Promise<void> {
    const history = this.#histories.template;
    const newest = await history.newest(name, undefined);
    if (newest?.sha256 === undefined) return;
    const text = await history.text(name, newest.version);
    const [version] = await history.add({ name, actor, action, text });
    const event = { actor, action: `template.${action}`, result: 'ok', target: [name] } as const;
    await this.#changes.add({ event, versions: [{ kind: 'template', name, version: version! }] });
  }

  /** Adds versions that are missing in the history: those of a process that died, and hand edits. Under the lock. */
  async recordHandEdits(reading: Reading): Promise<void> {
    if (reading.raw === undefined || !(await this.#mayRecord())) return;
    const pending = await this.#readPending();
    const found: Found[] = [];
    for (const kind of versionedKinds) {
      found.push(...(await this.#recordEdited(kind, reading.snapshot, reading.raw, pending)));
    }
    await this.#addChanges(found, pending.toReversed());
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
    for (const kind of versionedKinds) {
      const names = found.flatMap((each) =>
        each.kind === kind && each.died === undefined ? each.name : [],
      );
      if (names.length > 0) await this.#audit.append(handEdit(kind, names));
    }
  }

  /** @param interrupted the oldest first */
  async #addChanges(found: readonly Found[], interrupted: readonly Pending[]): Promise<void> {
    for (const intent of interrupted) {
      const versions = found.filter(({ died }) => died === intent);
      // It may have died between the histories and the log of changes.
      for (const kind of versionedKinds) {
        for (const [name, { sha256 }] of Object.entries(digestsOf(kind, intent))) {
          const newest = await this.#histories[kind].newest(name, sha256);
          const version = { kind, name, version: newest?.version ?? 0 };
          const isKnown = versions.some((each) => each.kind === kind && each.name === name);
          if (isKnown || newest?.sha256 !== sha256 || (await this.#changes.has(version))) continue;
          versions.push(version);
        }
      }
      if (versions.length === 0) continue;
      const { actor, why } = intent;
      const summary = 'was interrupted: this part of it was written';
      const event = { actor, action: 'policy.change', result: 'failed', summary } as const;
      const words = why === undefined ? event : { ...event, why };
      await this.#changes.add({ event: words, versions: versions.map(touchedOf) });
    }
    const byHand = found.filter(({ died }) => died === undefined);
    if (byHand.length === 0) return;
    const kinds = [...new Set(byHand.map(({ kind }) => kind))];
    const names = byHand.map(({ name }) => name);
    const event = handEdit(kinds.length === 1 ? kinds[0]! : undefined, names);
    await this.#changes.add({ event, versions: byHand.map(touchedOf) });
  }

  /** @returns what was changed by hand, or by a process that died */
  async #recordEdited(
    kind: VersionedKind,
    snapshot: Snapshot,
    raw: ConfigFiles,
    pending: readonly Pending[],
  ): Promise<Found[]> {
    const history = this.#histories[kind];
    const own = versionedFiles(kind, raw);
    const versions = versionsOf(kind, snapshot, raw);
    const record = async (name: string): Promise<Found | undefined> => {
      const now = versions.get(name);
      const digest = now && versionedDigest(now);
      const newest = await history.newest(name, digest);
      if (now === undefined) {
        if (newest?.sha256 === undefined) return undefined;
        const [version] = await history.add({ name, actor: fileActor, action: 'destroy' });
        return { kind, name, version: version! };
      }
      if (newest?.sha256 === digest) return undefined;
      const intent = (each: Pending): Digests[string] | undefined => digestsOf(kind, each)[name];
      const died = pending.find((each) => intent(each)?.sha256 === digest);
      const action = newest?.sha256 === undefined ? 'create' : 'edit';
      const [version] = await history.add({
        name,
        ...contentOf(now),
        actor: died?.actor ?? fileActor,
        ...((died && intent(died)?.cause) ?? { action }),
      });
      return { kind, name, version: version!, ...(died !== undefined && { died }) };
    };
    const fresh = [...versions].filter(
      ([, { file, list }]) => !this.#recorded.has(file) || this.#recorded.get(file) !== list,
    );
    const gone = (await history.names()).filter((name) => !own.has(name));
    const names = [...fresh.map(([name]) => name), ...gone];
    const edited = await inBatches(names, record);
    for (const [, { file, list }] of fresh) this.#recorded.set(file, list);
    return edited.filter((each) => each !== undefined);
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
    await this.#audit.record(...changes.map(madeEvent));
  }
}

function touchedOf({ kind, name, version }: Found): Touched {
  return { kind, name, version };
}

/** @param kind `undefined`: several */
function handEdit(kind: VersionedKind | undefined, names: readonly string[]): AuditEvent {
  const object = kind === 'servers' ? 'server' : (kind ?? 'policy');
  const target = names.map((name) => (kind === 'servers' ? 'servers.yaml' : name));
  const summary = 'found changed by hand';
  return { actor: fileActor, action: `${object}.edit`, result: 'ok', target, summary };
}
