/**
 * The store on the configuration directory.
 *
 * Changes, under the directory's lock (`system/lock.ts`):
 *
 *     read the directory -> note hand edits in the history -> of each change: edit -> draft -> validate the whole
 *       -> stage every file beside its old one -> check for hand edits made meanwhile: if there are any, start again
 *       -> audit log -> rename them into place, in an order that is valid at every instant -> history
 *
 * - Changes of this process that wait together are written together. Each is judged alone, upon those before it, and has its
 *   own answer, history and audit record; a refused one does not hold up the others.
 * - The order is: lists, sets, templates, servers.yaml, each new or changed; then removed templates, sets, lists. So
 *   nothing names what is missing, and a process that dies at any point leaves a directory that loads, with a part of
 *   the change at worst. A server with a new name is the exception: templates and servers.yaml both name it. If the
 *   process dies between these two, the directory has errors, and the last good configuration stays in force.
 * - Between the check and the renames are some hundred microseconds in which an editor's save would be overwritten.
 *   Earlier edits are in the history, as far as they were seen.
 * - A name is checked before it becomes part of a path. A file that is a link is read, but not written: replacing the
 *   link would detach it from its target, and following it would allow writes anywhere.
 * - If the process dies between the renames and the history, a note written before names the author to the next process
 *   (`recorder.ts`).
 */
import { lstat, realpath, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { withDirectoryLock } from '../../../system/lock.ts';
import { AuditFile } from './audit-log.ts';
import { ConfigReader } from './config-directory.ts';
import type { Reading } from './config-directory.ts';
import { diffOf, makePlan, pathsOf, together } from './change-plan.ts';
import type { Plan, Writing } from './change-plan.ts';
import { filesOf, fingerprintOf, readText } from './config-files.ts';
import type { RawDirectory } from './config-files.ts';
import { ConfigWatcher } from './config-watcher.ts';
import {
  commitFile,
  discardFile,
  removeLeftovers,
  requireWritable,
  stageFile,
  syncDirectory,
  writeFailure,
} from './durable-file.ts';
import type { StagedFile } from './durable-file.ts';
import { HistoryFiles, keptVersions } from './history.ts';
import { LastGood } from './last-good.ts';
import { inodeOf } from './path-identity.ts';
import { Recorder } from './recorder.ts';
import { makeDirectory, stateDirectoryOf } from './state-directory.ts';
import { StoreError } from '../store.ts';
import type {
  Actor,
  AuditLog,
  ChangeResult,
  Edit,
  Guard,
  Operation,
  Preview,
  Snapshot,
  Store,
  Users,
  VersionHistory,
  WatchOptions,
  Watching,
} from '../store.ts';
import { UsersFile } from './users-file.ts';

/** How long a change waits for others, and how often it is retried because of hand edits. */
const lockPatienceMs = 10_000;
const maxAttempts = 20;
/** So many changes at most are made together: another process may wait for the lock. */
const mostTogether = 32;

/** What the audit log says of an attempt that was logged, but not made. */
export const notMade = 'not made: the files were edited by hand in this moment; begun anew';

export interface FileStoreOptions {
  readonly onWarning: (message: string) => void;
  /** Directory of the history and audit log. Default: `stateDirectoryOf`. */
  readonly stateDirectory?: string;
  readonly lockPatienceMs?: number;
}

/** A change that waits for the lock, and what became of it. */
interface WaitingChange {
  readonly actor: Actor;
  readonly edit: Edit;
  readonly guard: Guard | undefined;
  operations: readonly Operation[];
  outcome: { readonly result: ChangeResult } | { readonly error: unknown } | undefined;
}

/** A change that may be made; without a plan there is nothing to write for it. */
interface PlannedChange {
  readonly change: WaitingChange;
  readonly plan: Plan | undefined;
  readonly result: ChangeResult;
}

export class FileStore implements Store {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly audit: AuditLog;
  readonly users: Users;
  readonly #reader: ConfigReader;
  readonly #recorder: Recorder;
  readonly #histories: Readonly<Record<'template' | 'set', HistoryFiles>>;
  readonly #options: FileStoreOptions;
  readonly #patienceMs: number;
  readonly #lastGood: LastGood;
  #goodToKeep: Snapshot | undefined;
  #keeping: Promise<void> | undefined;
  /** Why the last try failed. */
  #cannotKeep: string | undefined;
  /** The directory that is locked: its path without links, and what it is. */
  #target = '';
  #inode = '';
  /** Who needs the lock, in this process, one after the other. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #waiting: Set<WaitingChange> = new Set<WaitingChange>();

  static async open(directory: string, options: FileStoreOptions): Promise<FileStore> {
    const path = resolve(directory);
    const state = options.stateDirectory ?? (await stateDirectoryOf(path));
    return new FileStore(path, state, options);
  }

  private constructor(directory: string, stateDirectory: string, options: FileStoreOptions) {
    this.directory = directory;
    this.stateDirectory = stateDirectory;
    this.#options = options;
    this.#patienceMs = options.lockPatienceMs ?? lockPatienceMs;
    this.#reader = new ConfigReader(directory);
    this.#histories = {
      template: new HistoryFiles(stateDirectory),
      set: new HistoryFiles(stateDirectory, keptVersions, 'set-history'),
    };
    this.#lastGood = new LastGood(stateDirectory);
    this.audit = new AuditFile(stateDirectory, { onWarning: options.onWarning });
    this.#recorder = new Recorder(stateDirectory, this.#histories, this.audit);
    this.users = new UsersFile(directory, this.audit, (work) => this.#locked(work));
  }

  get history(): VersionHistory {
    return this.#histories.template;
  }

  get setHistory(): VersionHistory {
    return this.#histories.set;
  }

  listText(snapshot: Snapshot, file: string): Promise<string> {
    const name = `sets/${file}`;
    const raw = this.#reader.filesOf(snapshot) ?? this.#reader.read().raw;
    const text = filesOf(raw).find((each) => each.name === name)?.text;
    if (text !== undefined) return Promise.resolve(text);
    return Promise.reject(new StoreError([{ kind: 'not-found', what: 'list', name: file }]));
  }

  read(): Promise<Snapshot> {
    return Promise.resolve(this.#reader.read().snapshot);
  }

  /**
   * Keeps a state that is in force, for a start that finds errors. Of states that come while one is being written, only the
   * newest is. Never throws.
   */
  keepGood(snapshot: Snapshot): Promise<void> {
    this.#goodToKeep = snapshot;
    this.#keeping ??= this.#keepGoodOnes().finally(() => (this.#keeping = undefined));
    return this.#keeping;
  }

  async #keepGoodOnes(): Promise<void> {
    for (let next = this.#goodToKeep; next !== undefined; next = this.#goodToKeep) {
      this.#goodToKeep = undefined;
      const raw = this.#reader.filesOf(next);
      if (raw === undefined) continue;
      try {
        await this.#lastGood.keep(next.revision, raw);
        this.#cannotKeep = undefined;
      } catch (error) {
        const { message } = error as Error;
        // Told once, not with every change.
        if (this.#cannotKeep === undefined) {
          this.#options.onWarning(
            `the last good configuration cannot be kept for a restart: ${message}`,
          );
        }
        this.#cannotKeep = message;
      }
    }
  }

  /** The state that was in force last; `undefined` when there is none without errors. */
  async lastGood(): Promise<Snapshot | undefined> {
    const raw = await this.#lastGood.files();
    const snapshot = raw && this.#reader.judge(raw);
    return snapshot?.problems.every(({ severity }) => severity !== 'error') === true
      ? snapshot
      : undefined;
  }

  async watch(options: WatchOptions): Promise<Watching> {
    const watching = await ConfigWatcher.start(
      this.directory,
      {
        ...options,
        onChange: async (snapshot) => {
          await options.onChange(snapshot);
          await this.recordHandEdits();
        },
      },
      this.#reader,
    );
    await this.recordHandEdits();
    return watching;
  }

  /** Adds hand edits since the last change to the history. Never throws: the next change tries again. */
  async recordHandEdits(): Promise<void> {
    try {
      await this.#locked(async () => this.#recorder.recordHandEdits(this.#reader.read()));
    } catch (error) {
      this.#options.onWarning(
        `hand edits were not put into the history: ${(error as Error).message}`,
      );
    }
  }

  /** Puts it into the history of a template that time has changed what it means. Never throws. */
  async markEnd(name: string, actor: Actor, action: 'expire' | 'revive'): Promise<void> {
    try {
      await this.#locked(async () => {
        await this.#recorder.recordHandEdits(this.#reader.read());
        const newest = await this.#histories.template.newest(name, undefined);
        if (newest?.sha256 === undefined) return;
        const text = await this.#histories.template.text(name, newest.version);
        await this.#histories.template.add({ name, actor, action, text });
      });
    } catch (error) {
      this.#options.onWarning(
        `the end of a rule of template ${name} was not put into its history: ${(error as Error).message}`,
      );
    }
  }

  async change(actor: Actor, edit: Edit, guard?: Guard): Promise<ChangeResult> {
    const own: WaitingChange = { actor, edit, guard, operations: [], outcome: undefined };
    this.#waiting.add(own);
    try {
      await this.#inTurn(async () => {
        try {
          // Who came before may have made this one, too.
          if (own.outcome === undefined) await this.#lockedHere(() => this.#makeWaiting());
        } finally {
          this.#waiting.delete(own);
        }
      });
      if ('error' in own.outcome!) throw own.outcome.error;
      return own.outcome!.result;
    } catch (error) {
      const failure = writeFailure(error);
      const failed = failure.failures.some(({ kind }) => kind === 'failed');
      await this.#recorder.audit(
        actor,
        own.operations,
        failed ? 'failed' : 'refused',
        [],
        failure.message,
      );
      throw failure;
    }
  }

  /** Makes the changes that wait. @throws StoreError when none could be made; who still waits may try again */
  async #makeWaiting(): Promise<void> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      this.#requireSameDirectory();
      const reading = this.#reader.read();
      await this.#recorder.recordHandEdits(reading);
      const planned = await this.#planWaiting(reading);
      try {
        if (!(await this.#write(reading, planned))) continue;
      } catch (error) {
        if (error instanceof DirectoryReplaced) throw error;
        for (const { change } of planned) change.outcome = { error };
        return;
      }
      for (const { change, result } of planned) change.outcome = { result };
      return;
    }
    const message = `${this.directory} is being edited by hand again and again: try again`;
    throw new StoreError([{ kind: 'busy', message }]);
  }

  /** Judges each change that waits upon those before it. Settles those that are refused, and returns the others. */
  async #planWaiting(reading: Reading): Promise<PlannedChange[]> {
    const planned: PlannedChange[] = [];
    let { snapshot, raw } = reading;
    for (const change of this.#waiting) {
      if (change.outcome !== undefined) continue;
      if (planned.length === mostTogether) break;
      try {
        change.guard?.((await this.users.list()).users);
        change.operations = change.edit(snapshot);
        const plan = await this.#plan({ snapshot, raw }, change.operations);
        if (plan !== undefined) {
          await this.#requireWritable(plan);
          ({ next: snapshot, after: raw } = plan);
        }
        planned.push({ change, plan, result: { snapshot, changed: plan?.changed ?? [] } });
      } catch (error) {
        change.outcome = { error };
      }
    }
    return planned;
  }

  async preview(edit: Edit): Promise<Preview> {
    const reading = this.#reader.read();
    const { snapshot: before } = reading;
    const plan = await this.#plan(reading, edit(before));
    if (plan === undefined) return { before, after: before, changed: [], diff: '' };
    return { before, after: plan.next, changed: plan.changed, diff: diffOf(plan) };
  }

  /** Runs `work` alone, in this process and among processes. */
  #locked<T>(work: () => Promise<T>): Promise<T> {
    return this.#inTurn(() => this.#lockedHere(work));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      try {
        return await work();
      } catch (error) {
        throw writeFailure(error);
      }
    });
    this.#queue = turn.catch(() => undefined);
    return await turn;
  }

  /** Locks the directory to which the path leads now; if it leads to another one afterwards, that one instead. */
  async #lockedHere<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const target = await realpath(this.directory);
      this.#target = target;
      this.#inode = inodeOf(target);
      try {
        return await withDirectoryLock(
          target,
          this.#patienceMs,
          async () => {
            this.#requireSameDirectory();
            return await work();
          },
          join(this.stateDirectory, 'history'),
        );
      } catch (error) {
        if (!(error instanceof DirectoryReplaced) || attempt === maxAttempts) throw error;
      }
    }
  }

  /** @throws DirectoryReplaced when the path leads to another directory than the one that is locked */
  #requireSameDirectory(): void {
    if (inodeOf(this.directory) !== this.#inode) throw new DirectoryReplaced();
  }

  #plan(reading: Reading, operations: readonly Operation[]): Promise<Plan | undefined> {
    return makePlan(reading, operations, { reader: this.#reader, histories: this.#histories });
  }

  /** @returns false when a file was edited by hand meanwhile: then nothing is written */
  async #write(reading: Reading, planned: readonly PlannedChange[]): Promise<boolean> {
    const toWrite = planned.flatMap(({ change, plan }) =>
      plan === undefined ? [] : [{ ...change, ...plan }],
    );
    if (toWrite.length > 0 && !(await this.#writeAll(reading.raw!, toWrite))) return false;
    for (const { change, plan } of planned) {
      if (plan === undefined) await this.#recorder.audit(change.actor, change.operations, 'ok', []);
    }
    return true;
  }

  async #writeAll(raw: RawDirectory, changes: readonly (WaitingChange & Plan)[]): Promise<boolean> {
    const writing = together(raw, changes);
    const { writes, removals } = writing;
    await this.#removeLeftovers();
    const staged: StagedFile[] = [];
    let begun = false;
    try {
      for (const { name, text } of writes) {
        staged.push(await stageFile(join(this.#target, name), text!));
      }
      await this.#recorder.note(changes);
      if (this.#isEdited(raw, writing)) return false;
      await this.#recorder.intend(changes);
      if (this.#isEdited(raw, writing)) {
        for (const { actor, operations } of changes) {
          await this.#recorder.audit(actor, operations, 'refused', [], notMade);
        }
        return false;
      }
      begun = true;
      while (staged.length > 0) {
        await commitFile(staged[0]!);
        staged.shift();
      }
      for (const name of removals) await rm(join(this.#target, name));
    } finally {
      for (const file of staged) await discardFile(file);
      if (!begun) await this.#recorder.forget();
    }
    const touched = pathsOf(writing).map((name) => dirname(join(this.#target, name)));
    for (const path of new Set(touched)) await syncDirectory(path);
    await this.#recorder.record(changes);
    return true;
  }

  /** Finds every foreseeable obstacle of a change before anything is written. */
  async #requireWritable(writing: Writing): Promise<void> {
    await requireWritable(this.#target, 'the configuration directory');
    const paths = pathsOf(writing);
    const folders = new Set(paths.map((name) => dirname(name)).filter((name) => name !== '.'));
    for (const folder of folders) {
      const path = join(this.#target, folder);
      if (writing.writes.some(({ name }) => dirname(name) === folder)) await makeDirectory(path);
      await requireWritable(path, 'the directory');
    }
    for (const name of [...paths, ...folders]) {
      const found = await lstat(join(this.#target, name)).catch(() => undefined);
      if (found?.isSymbolicLink() !== true) continue;
      const message = `${join(this.#target, name)} is a link: change what it leads to`;
      throw new StoreError([{ kind: 'read-only', message }]);
    }
    await this.#recorder.requireStateDirectory();
  }

  async #removeLeftovers(): Promise<void> {
    await removeLeftovers(this.#target);
    for (const folder of ['templates', 'sets']) await removeLeftovers(join(this.#target, folder));
    await removeLeftovers(this.stateDirectory);
  }

  /** Whether any file changed on disk since these changes were planned: by times, and by content. */
  #isEdited(raw: RawDirectory, writing: Writing): boolean {
    this.#requireSameDirectory();
    const read = new Map(filesOf(raw).map((file) => [file.name, file]));
    if (fingerprintOf(this.#target) !== raw.fingerprint) return true;
    return pathsOf(writing).some(
      (name) => readText(this.#target, name)?.text !== read.get(name)?.text,
    );
  }
}

/** Begun anew in the directory that is there now. */
class DirectoryReplaced extends Error {
  override name = 'DirectoryReplaced';

  constructor() {
    super('the configuration directory was replaced by another one again and again');
  }
}
