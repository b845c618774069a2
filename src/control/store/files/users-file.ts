/**
 * users.yaml. Mode 0600, edited like the other files (its comments stay), under the same lock.
 *
 * It is read for each query; so a revoked token or a changed role takes effect at once, also when it was changed by hand or by
 * another process. If it cannot be read, or is accessible to others, there are no users: no login is possible.
 */
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

type Locked = <T>(work: () => Promise<T>) => Promise<T>;

interface FileText extends UsersText {
  readonly mode: number;
}

export class UsersFile implements UsersPlace<FileText> {
  readonly path: string;
  readonly exclusively: Locked;
  readonly #directory: string;
  readonly #audit: AuditLog;

  /** @param locked runs its argument while holding the lock of the directory */
  constructor(directory: string, audit: AuditLog, locked: Locked) {
    this.#directory = directory;
    this.path = join(directory, 'users.yaml');
    this.#audit = audit;
    this.exclusively = locked;
  }

  read(): Promise<FileText> {
    return Promise.resolve(this.#read());
  }

  #read(): FileText {
    const problem = (message: string, severity: Problem['severity'] = 'error'): Problem => ({
      ...{ severity, file: this.path, line: 0, column: 0, path: '', message },
    });
    const none = { text: undefined, mode: 0o600, closed: true };
    try {
      const { bytes, stats } = readRegularFile(this.path, maxFileBytes);
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
      return { text, mode: mode & 0o777, closed: open, problems };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { ...none, problems: [] };
      return { ...none, problems: [problem(`cannot be read: ${reasonOf(error)}`)] };
    }
  }

  async replace(before: FileText, next: string, event: AuditEvent): Promise<boolean> {
    await requireWritable(this.#directory, 'the configuration directory');
    await removeLeftovers(this.#directory);
    if ((await lstat(this.path).catch(() => undefined))?.isSymbolicLink() === true) {
      const message = `${this.path} is a link: change what it leads to`;
      throw new StoreError([{ kind: 'read-only', message }]);
    }
    if (this.#read().text !== before.text) return false;
    await this.#audit.record(event);
    await writeDurably(this.path, next, before.mode & 0o640);
    return true;
  }

  failureOf(error: unknown): StoreError {
    return writeFailure(error);
  }

  get busy(): string {
    return `${this.path} is being edited by hand again and again: try again`;
  }
}
