/**
 * Records changes: the history of templates, and the audit log.
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
import { templateNameOf } from './config-files.ts';
import type { RawDirectory, RawFile } from './config-files.ts';
import type { Cause } from '../draft.ts';
import { inBatches, requireWritable, writeDurably } from './durable-file.ts';
import { sha256 } from './history.ts';
import type { HistoryFiles, NewVersion } from './history.ts';
import { operationWords } from '../operation-words.ts';
import { makeStateDirectory } from './state-directory.ts';
import { StoreError } from '../store.ts';
import type { Actor, AuditEvent, AuditLog, Changed, Operation } from '../store.ts';

/** A pending change: its author, and the digests of its templates by name. */
interface Pending {
  readonly actor: Actor;
  readonly templates: Readonly<Record<string, { sha256: string; cause: Cause }>>;
}

/** A change, and the files that it writes and removes. */
interface Written {
  readonly actor: Actor;
  readonly operations: readonly Operation[];
  readonly changed: readonly Changed[];
  readonly writes: readonly RawFile[];
  readonly removals: readonly string[];
  readonly causes: ReadonlyMap<string, Cause>;
}

const maxPendingBytes = 64 << 20;
const fileActor: Actor = { name: 'file', via: 'file' };

export class Recorder {
  readonly #stateDirectory: string;
  readonly #history: HistoryFiles;
  readonly #audit: AuditLog;
  /** Files whose text is known to be in the history: they are not checked again until they change. */
  readonly #recorded: WeakSet<RawFile> = new WeakSet<RawFile>();

  constructor(stateDirectory: string, history: HistoryFiles, audit: AuditLog) {
    this.#stateDirectory = stateDirectory;
    this.#history = history;
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
    const pending = changes.map(({ actor, writes, causes }): Pending => {
      const templates: Record<string, { sha256: string; cause: Cause }> = {};
      for (const { name, text } of writes) {
        const template = templateNameOf(name);
        const cause = template === undefined ? undefined : causes.get(template);
        if (cause !== undefined) templates[template!] = { sha256: sha256(text!), cause };
      }
      return { actor, templates };
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
    await this.#history.add(...changes.flatMap(versionsOf));
    await this.forget();
  }

  /** Adds versions that are missing in the history: those of a process that died, and hand edits. Under the lock. */
  async recordHandEdits({ snapshot, raw }: Reading): Promise<void> {
    if (raw === undefined || !(await this.#mayRecord())) return;
    const texts = templateTexts(raw);
    const pending = await this.#readPending();
    const record = async (name: string): Promise<string | undefined> => {
      const text = texts.get(name);
      const newest = await this.#history.newest(
        name,
        text === undefined ? undefined : sha256(text),
      );
      if (text === undefined) {
        if (newest?.sha256 === undefined) return undefined;
        await this.#history.add({ name, actor: fileActor, action: 'destroy' });
        return name;
      }
      const digest = sha256(text);
      if (newest?.sha256 === digest) return undefined;
      const died = pending.find(({ templates }) => templates[name]?.sha256 === digest);
      const action = newest?.sha256 === undefined ? 'create' : 'edit';
      await this.#history.add({
        name,
        text,
        actor: died?.actor ?? fileActor,
        ...(died?.templates[name]?.cause ?? { action }),
      });
      return died === undefined ? name : undefined;
    };
    const files = new Map((raw.templates ?? []).map((file) => [templateNameOf(file.name), file]));
    const valid = snapshot.templates
      .map(({ name }) => name)
      .filter((name) => !this.#recorded.has(files.get(name)!));
    const gone = (await this.#history.names()).filter((name) => !texts.has(name));
    const edited = (await inBatches([...valid, ...gone], record)).filter(
      (name) => name !== undefined,
    );
    for (const name of valid) this.#recorded.add(files.get(name)!);
    for (const { actor, templates } of pending.toReversed()) {
      await this.#audit.append({
        actor,
        action: 'policy.change',
        result: 'failed',
        target: Object.keys(templates),
        summary: 'the change before was interrupted: a part of it may have been written',
      });
    }
    if (pending.length > 0) await this.forget();
    if (edited.length === 0) return;
    await this.#audit.append({
      actor: fileActor,
      action: 'template.edit',
      result: 'ok',
      target: edited,
      summary: 'found changed by hand',
    });
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

function versionsOf({ actor, writes, removals, causes }: Written): NewVersion[] {
  const versions: NewVersion[] = removals.map((name) => ({
    name,
    actor,
    ...(causes.get(name) ?? { action: 'destroy' }),
  }));
  for (const { name: file, text } of writes) {
    const name = templateNameOf(file);
    if (name === undefined) continue;
    versions.push({ name, actor, text: text!, ...(causes.get(name) ?? { action: 'edit' }) });
  }
  return versions;
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

/** Texts of the template files, by the templates' names. */
export function templateTexts(raw: RawDirectory): Map<string, string> {
  return new Map(
    (raw.templates ?? []).flatMap(({ name, text }): [string, string][] => {
      const template = templateNameOf(name);
      return template === undefined ? [] : [[template, text ?? '']];
    }),
  );
}

/** `template.create`, `template.add-rule`, `server.assign`. */
function auditAction({ kind }: Operation): string {
  const match = /^(.*)-(template|server)$/.exec(kind);
  if (match !== null) return `${match[2]!}.${match[1]!}`;
  return kind.endsWith('-rule') ? `template.${kind}` : `server.${kind}`;
}

function targetsOf(operation: Operation): readonly string[] {
  if ('servers' in operation) return [...operation.servers, ...operation.templates];
  return [
    operation.kind.endsWith('-rule')
      ? (operation as { template: string }).template
      : (operation as { name: string }).name,
  ];
}
