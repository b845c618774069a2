/**
 * The audit log of a gateway that shares its policy: changes by whichever gateway, out of the commits; and what has happened at this
 * gateway only: logins, denials, changes that were refused.
 *
 * All of it is in the log on this gateway's disk, so that searching it asks nothing of etcd, works without it, and nobody can
 * fill etcd with denials. Each commit gets into it once, in the order of the commits: whoever writes holds a lock, and
 * looks first which was the last.
 */
import { withDirectoryLock } from '../../../system/lock.ts';
import type { AuditFile } from '../files/audit-log.ts';
import { makeStateDirectory } from '../files/state-directory.ts';
import type { AuditEvent, AuditLog, AuditQuery, AuditRecord } from '../store.ts';
import { eventOf } from './etcd-history.ts';
import type { Commits, NumberedCommit } from './etcd-history.ts';

const lockPatienceMs = 10_000;
/** Records that are written at once. */
const batch = 200;

export class FleetAudit implements AuditLog {
  readonly #file: AuditFile;
  readonly #commits: Commits;
  readonly #directory: string;
  readonly #onWarning: (message: string) => void;
  readonly #isConnected: () => boolean;
  #copying: Promise<unknown> = Promise.resolve();

  /** @param directory of this gateway's state: locked while commits are copied */
  constructor(
    file: AuditFile,
    commits: Commits,
    parts: {
      readonly directory: string;
      readonly onWarning: (message: string) => void;
      readonly isConnected: () => boolean;
    },
  ) {
    this.#file = file;
    this.#commits = commits;
    this.#directory = parts.directory;
    this.#onWarning = parts.onWarning;
    this.#isConnected = parts.isConnected;
  }

  /** Behind the changes that were made before. */
  async append(event: AuditEvent): Promise<void> {
    await this.#copying;
    await this.#file.append(event);
  }

  async record(...events: readonly AuditEvent[]): Promise<void> {
    await this.#copying;
    await this.#file.record(...events);
  }

  async query(
    query: AuditQuery,
  ): Promise<{ readonly records: readonly AuditRecord[]; readonly next?: string }> {
    if (this.#isConnected()) await this.copy();
    return await this.#file.query(query);
  }

  /**
   * A state is gone on from that does not follow the last one: numbers that were copied already may come again, and are other
   * changes. The copying goes on from this record.
   */
  async adopted(actor: AuditEvent['actor'], commit: number): Promise<void> {
    const summary = `what is in the store was taken, as change ${commit}`;
    await this.#file.record({ actor, action: 'store.adopt', result: 'ok', summary, commit });
  }

  /** What is being copied has been. */
  async settled(): Promise<void> {
    await this.#copying;
  }

  /** Copies the commits that are not in the log yet. Never throws. */
  async copy(): Promise<void> {
    const turn = this.#copying.then(() => this.#copy());
    this.#copying = turn;
    await turn;
  }

  async #copy(): Promise<void> {
    try {
      await makeStateDirectory(this.#directory);
      await withDirectoryLock(this.#directory, lockPatienceMs, async () => {
        let waiting: AuditEvent[] = [];
        let last = await this.#file.newestCommit();
        for await (const commit of this.#commits.after(last)) {
          if (last > 0 && commit.seq > last + 1) waiting.push(gapBefore(commit, last + 1));
          last = commit.seq;
          waiting.push({ ...eventOf(commit), at: commit.at, commit: commit.seq });
          if (waiting.length < batch) continue;
          await this.#file.record(...waiting);
          waiting = [];
        }
        if (waiting.length > 0) await this.#file.record(...waiting);
      });
    } catch (error) {
      this.#onWarning(`changes were not copied to the audit log: ${(error as Error).message}`);
    }
  }
}

/** What was collected before it was copied: this gateway was away for long. */
function gapBefore({ seq, at }: NumberedCommit, from: number): AuditEvent {
  const which = from === seq - 1 ? `change ${from} is` : `changes ${from} to ${seq - 1} are`;
  return {
    actor: { name: 'tunwall', via: 'system' },
    action: 'store.gap',
    result: 'ok',
    summary: `${which} not kept in etcd any more`,
    at,
  };
}
