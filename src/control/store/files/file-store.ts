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
import type { Problem } from '../../../policy/types.ts';
import { lstat, realpath, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { exposedFolders } from '../../../system/folders-above.ts';
import { withDirectoryLock } from '../../../system/lock.ts';
import { reasonOf } from '../../../text/system-errors.ts';
import { changeEvent } from '../audit-events.ts';
import { pathsOf, previewOf, together } from '../change-plan.ts';
import type { PlanParts, Writing } from '../change-plan.ts';
import { ChangeQueue, PlaceReplaced, maxAttempts } from '../change-queue.ts';
import type { Commits, PlannedChange } from '../change-queue.ts';
import { filesOf } from '../config-texts.ts';
import { confirmedEvent, requireWaiting, waitingAfter } from '../confirmation.ts';
import { ChangeHistory } from '../policy-history.ts';
import { StoreError } from '../store.ts';
import type {
  Actor,
  AuditLog,
  ChangeOptions,
  ChangeResult,
  ConfirmOptions,
  Edit,
  Preview,
  Snapshot,
  PolicyStore,
  Unconfirmed,
  Users,
  VersionHistory,
  WatchOptions,
  Watching,
} from '../store.ts';
import { UserDocument } from '../user-document.ts';
import type { VersionedKind } from '../versions.ts';
import { AuditFile } from './audit-log.ts';
import { ChangeLog } from './change-log.ts';
import { ConfigReader } from './config-directory.ts';
import type { DirectoryReading } from './config-directory.ts';
import { fingerprintOf, readText } from './config-files.ts';
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
import { KeptState } from './last-good.ts';
import { inodeOf } from './path-identity.ts';
import { failedTests } from './policy-tests.ts';
import { Recorder } from './recorder.ts';
import { actingOwners, makeDirectory, statePlaceOf } from './state-directory.ts';
import type { StatePlace } from './state-directory.ts';
import { UnconfirmedFile } from './unconfirmed-file.ts';
import { UsersFile } from './users-file.ts';

/** How long a change waits for others. */
const lockPatienceMs = 10_000;

/** What the audit log says of an attempt that was logged, but not made. */
export const notMade = 'not made: the files were edited by hand in this moment; begun anew';

export interface FileStoreOptions {
  readonly onWarning: (message: string) => void;
  readonly lockPatienceMs?: number;
}

export class FileStore implements PolicyStore {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly actingOwners: readonly string[];
  readonly audit: AuditLog;
  readonly users: Users;
  readonly changes: ChangeHistory;
  readonly #reader: ConfigReader;
  readonly #recorder: Recorder;
  readonly #histories: Readonly<Record<VersionedKind, HistoryFiles>>;
  readonly #options: FileStoreOptions;
  readonly #patienceMs: number;
  readonly #kept: KeptState;
  readonly #unconfirmed: UnconfirmedFile;
  readonly #queue: ChangeQueue<DirectoryReading>;
  readonly #parts: PlanParts;
  /** The directory that is locked instead of the configuration directory. */
  readonly #lockPath: string | undefined;
  /** The configuration directory under the lock: its path without links, and what it is. */
  #target = '';
  #inode = '';

  static async open(directory: string, options: FileStoreOptions): Promise<FileStore> {
    const path = resolve(directory);
    return new FileStore(path, await statePlaceOf(path), options);
  }

  private constructor(directory: string, state: StatePlace, options: FileStoreOptions) {
    const stateDirectory = state.path;
    this.directory = directory;
    this.stateDirectory = stateDirectory;
    this.actingOwners = actingOwners(directory, state);
    this.#lockPath = state.isNamed ? join(stateDirectory, 'lock') : undefined;
    this.#options = options;
    this.#patienceMs = options.lockPatienceMs ?? lockPatienceMs;
    this.#reader = new ConfigReader(directory);
    this.#histories = {
      template: new HistoryFiles(stateDirectory),
      set: new HistoryFiles(stateDirectory, keptVersions, 'set-history'),
      servers: new HistoryFiles(stateDirectory, keptVersions, 'servers-history'),
    };
    const changeLog = new ChangeLog(stateDirectory);
    this.changes = new ChangeHistory(() => changeLog.newestFirst(), this.#histories);
    this.#kept = new KeptState(stateDirectory, this.#reader.judge, options.onWarning);
    this.audit = new AuditFile(stateDirectory, { onWarning: options.onWarning });
    this.#unconfirmed = new UnconfirmedFile(stateDirectory);
    this.#recorder = new Recorder(stateDirectory, this.#histories, changeLog, this.audit);
    this.#parts = {
      judge: this.#reader.judge,
      histories: this.#histories,
      changes: this.changes,
      failedTests: (snapshot: Snapshot) => this.failedTests(snapshot),
    };
    this.#queue = new ChangeQueue(this.#commits(), this.#parts, this.audit);
    const users = new UsersFile(directory, state, this.audit, (work) => this.#locked(work));
    this.users = new UserDocument(users, this.audit);
  }

  get history(): VersionHistory {
    return this.#histories.template;
  }

  get setHistory(): VersionHistory {
    return this.#histories.set;
  }

  listText(snapshot: Snapshot, file: string): Promise<string> {
    const name = `sets/${file}`;
    const raw = this.#reader.judge.filesOf(snapshot) ?? this.#reader.read().raw;
    const text = filesOf(raw).find((each) => each.name === name)?.text;
    if (text !== undefined) return Promise.resolve(text);
    return Promise.reject(new StoreError([{ kind: 'not-found', what: 'list', name: file }]));
  }

  read(): Promise<Snapshot> {
    return Promise.resolve(this.#reader.read().snapshot);
  }

  async keepGood(snapshot: Snapshot): Promise<void> {
    // A start must not fall back on what nobody has confirmed.
    let waits = true;
    try {
      waits = (await this.#unconfirmed.read()) !== undefined;
    } catch (error) {
      this.#options.onWarning(`the state is not kept as a good one: ${(error as Error).message}`);
    }
    if (!waits) await this.#kept.keep(snapshot);
  }

  failedTests(snapshot: Snapshot): readonly Problem[] {
    return failedTests(this.directory, snapshot);
  }

  lastGood(): Promise<Snapshot | undefined> {
    return this.#kept.read();
  }

  async watch(options: WatchOptions): Promise<Watching> {
    const named = this.#lockPath === undefined ? [] : [this.stateDirectory];
    for (const each of [this.directory, ...named]) exposedFolders(each).forEach(options.onWarning);
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
        await this.#recorder.mark(name, actor, action);
      });
    } catch (error) {
      this.#options.onWarning(
        `the end of a rule of template ${name} was not put into its history: ${(error as Error).message}`,
      );
    }
  }

  change(actor: Actor, edit: Edit, options?: ChangeOptions): Promise<ChangeResult> {
    return this.#queue.change(actor, edit, options);
  }

  unconfirmed(): Promise<Unconfirmed | undefined> {
    return this.#unconfirmed.read();
  }

  confirm(actor: Actor, { guard, why, number }: ConfirmOptions = {}): Promise<Unconfirmed> {
    return this.#locked(async () => {
      guard?.((await this.users.list()).users);
      const waiting = requireWaiting(await this.#unconfirmed.read(), number);
      await this.audit.record(confirmedEvent(actor, waiting, why));
      await this.#unconfirmed.remove();
      return waiting;
    });
  }

  preview(edit: Edit): Promise<Preview> {
    return previewOf(this.#reader.read(), edit, this.#parts);
  }

  #commits(): Commits<DirectoryReading> {
    return {
      exclusively: (work) => this.#lockedHere(work),
      newest: async () => {
        this.#requireSameDirectory();
        const reading = this.#reader.read();
        await this.#recorder.recordHandEdits(reading);
        return reading;
      },
      users: async () => (await this.users.list()).users,
      unconfirmed: () => this.#unconfirmed.read(),
      settle: async (_reading, event) => {
        await this.audit.record(event);
        await this.#unconfirmed.remove();
        return true;
      },
      allow: (plan) => this.#requireWritable(plan),
      commit: ({ raw }, changes) => this.#writeAll(raw!, changes),
      failureOf: writeFailure,
      busy: `${this.directory} is being edited by hand again and again: try again`,
    };
  }

  /** Runs `work` alone, in this process and among processes. */
  #locked<T>(work: () => Promise<T>): Promise<T> {
    return this.#queue.inTurn(() => this.#lockedHere(work));
  }

  /** Locks the directory to which the path leads now; if it leads to another one afterwards, that one instead. */
  async #lockedHere<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const target = await this.#realDirectory();
      this.#target = target;
      this.#inode = inodeOf(target);
      try {
        return await withDirectoryLock(
          await this.#lockOf(target),
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

  /** The configuration directory, or one of the state directory's: whoever may read a directory can lock it. */
  async #lockOf(target: string): Promise<string> {
    if (this.#lockPath === undefined) return target;
    await this.#recorder.requireStateDirectory();
    await makeDirectory(this.#lockPath, 0o750);
    return this.#lockPath;
  }

  async #realDirectory(): Promise<string> {
    try {
      return await realpath(this.directory);
    } catch (error) {
      const message = `the configuration directory ${this.directory} cannot be changed: ${reasonOf(error)}`;
      throw new StoreError([{ kind: 'read-only', message }], error);
    }
  }

  /** @throws DirectoryReplaced when the path leads to another directory than the one that is locked */
  #requireSameDirectory(): void {
    if (inodeOf(this.directory) !== this.#inode) throw new DirectoryReplaced();
  }

  /** @returns false when a file was edited by hand meanwhile: then nothing is written */
  async #writeAll(raw: RawDirectory, changes: readonly PlannedChange[]): Promise<boolean> {
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
      const waits = await this.#noteUnconfirmed(changes);
      if (this.#isEdited(raw, writing)) {
        if (waits) await this.#unconfirmed.remove();
        for (const { actor, operations } of changes) {
          await this.audit.append(changeEvent(actor, operations, 'refused', [], notMade));
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
    if (changes.some(({ settles }) => settles)) await this.#unconfirmed.remove();
    return true;
  }

  /** Before the files: a process that dies now leaves a change that is undone, or was not made. */
  async #noteUnconfirmed(changes: readonly PlannedChange[]): Promise<boolean> {
    const waiting = await waitingAfter(changes, async () => {
      const back = (await this.changes.newest())?.number ?? 0;
      return { number: back + 1, back };
    });
    if (waiting === undefined || waiting === null) return false;
    await this.#unconfirmed.write(waiting);
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
class DirectoryReplaced extends PlaceReplaced {
  constructor() {
    super('the configuration directory was replaced by another one again and again');
  }
}
