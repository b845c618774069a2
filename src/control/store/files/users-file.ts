/**
 * users.yaml. Mode 0600, edited like the other files (its comments stay), under the same lock.
 *
 * It lies in the configuration directory, or in a state directory that gateway.yaml names. There, the first change takes over
 * what the configuration directory has; from then on that does not count.
 *
 * It is read for each query; so a revoked token or a changed role takes effect at once, also when it was changed by hand or by
 * another process. If it cannot be read, or is accessible to others, there are no users: no login is possible.
 */
import { lstatSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularFile } from '../../../system/safe-file.ts';
import type { Problem } from '../../../policy/types.ts';
import { maxFileBytes } from '../config-texts.ts';
import { StoreError } from '../store.ts';
import type { AuditEvent, AuditLog } from '../store.ts';
import type { UsersPlace, UsersText } from '../user-document.ts';
import { reasonOf } from '../../../text/system-errors.ts';
import { removeLeftovers, requireWritable, writeDurably, writeFailure } from './durable-file.ts';
import type { StatePlace } from './state-directory.ts';

type Locked = <T>(work: () => Promise<T>) => Promise<T>;

interface FileText extends UsersText {
  readonly mode: number;
}

export class UsersFile implements UsersPlace<FileText> {
  readonly exclusively: Locked;
  /** Where it is written. */
  readonly #directory: string;
  readonly #what: string;
  readonly #own: string;
  /** Where it is looked for if there is none. */
  readonly #first: string | undefined;
  readonly #audit: AuditLog;

  /** @param locked runs its argument while holding the lock */
  constructor(configDirectory: string, state: StatePlace, audit: AuditLog, locked: Locked) {
    this.#directory = state.isNamed ? state.path : configDirectory;
    this.#what = state.isNamed ? 'the state directory' : 'the configuration directory';
    this.#own = join(this.#directory, 'users.yaml');
    const first = join(configDirectory, 'users.yaml');
    this.#first = first === this.#own ? undefined : first;
    this.#audit = audit;
    this.exclusively = locked;
  }

  read(): Promise<FileText> {
    return Promise.resolve(this.#read());
  }

  /** Of the file that counts. */
  get path(): string {
    const counts = this.#first === undefined || isThere(this.#own) || !isThere(this.#first);
    return counts ? this.#own : this.#first;
  }

  #read(): FileText {
    const { path } = this;
    const problem = (
      message: string,
      severity: Problem['severity'] = 'error',
      file = path,
    ): Problem => ({ ...{ severity, file, line: 0, column: 0, path: '', message } });
    const none = { text: undefined, mode: 0o600, closed: true };
    try {
      const { bytes, stats } = readRegularFile(path, maxFileBytes);
      const { mode } = stats;
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      const rights = (mode & 0o777).toString(8).padStart(4, '0');
      const open = (mode & 0o027) !== 0;
      const shared = (mode & 0o040) !== 0;
      const problems: Problem[] = [];
      if (open) {
        problems.push(problem(`mode ${rights} lets others at it: expected 0600 (chmod 600)`));
      } else if (shared) {
        problems.push(problem(`mode ${rights} lets its group read it`, 'warning'));
      }
      if (this.#first !== undefined && path === this.#own && isThere(this.#first)) {
        problems.push(problem(`does not count: users lie in ${path}`, 'warning', this.#first));
      }
      return { text, mode: mode & 0o777, closed: open, problems };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { ...none, problems: [] };
      return { ...none, problems: [problem(`cannot be read: ${reasonOf(error)}`)] };
    }
  }

  async replace(before: FileText, next: string, event: AuditEvent): Promise<boolean> {
    await requireWritable(this.#directory, this.#what);
    await removeLeftovers(this.#directory);
    if ((await lstat(this.#own).catch(() => undefined))?.isSymbolicLink() === true) {
      const message = `${this.#own} is a link: change what it leads to`;
      throw new StoreError([{ kind: 'read-only', message }]);
    }
    if (this.#read().text !== before.text) return false;
    await this.#audit.record(event);
    await writeDurably(this.#own, next, before.mode & 0o640);
    return true;
  }

  failureOf(error: unknown): StoreError {
    return writeFailure(error);
  }

  get busy(): string {
    return `${this.path} is being edited by hand again and again: try again`;
  }
}

/** A link that leads nowhere is there, too, and so is what cannot be looked at: who reads it says why. */
function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}
