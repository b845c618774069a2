/** users.yaml in etcd: for all gateways. Changes are commits, so that they are in the audit log of all. */
import { commitFailure } from './committer.ts';
import type { StoreError } from '../failures.ts';
import type { AuditEvent } from '../store.ts';
import type { UsersPlace, UsersText } from '../user-document.ts';
import type { LocalState } from './local-state.ts';
import type { Replica, SharedReading } from './replica.ts';

interface SharedText extends UsersText {
  /** Absent: it is from this gateway's disk. */
  readonly reading?: SharedReading;
}

export interface SharedUsersParts {
  readonly path: string;
  readonly replica: Replica;
  readonly local: LocalState;
  /** Whether this process is told of changes; otherwise each query asks etcd. */
  readonly isTold: () => boolean;
  readonly replace: (before: SharedReading, users: string, event: AuditEvent) => Promise<boolean>;
}

export class SharedUsers implements UsersPlace<SharedText> {
  readonly path: string;
  readonly busy = 'users are being changed elsewhere again and again: try again';
  readonly #parts: SharedUsersParts;

  constructor(parts: SharedUsersParts) {
    this.path = parts.path;
    this.#parts = parts;
  }

  async read(newest: boolean): Promise<SharedText> {
    const { replica, local, isTold } = this.#parts;
    try {
      const known = replica.known;
      const reading = newest || known === undefined || !isTold() ? await replica.refresh() : known;
      return { text: reading.users, closed: false, problems: [], reading };
    } catch (error) {
      if (newest) throw error;
      // Without etcd those that were known last may log in.
      const reading = replica.known;
      const text = reading === undefined ? await local.users() : reading.users;
      return { text, closed: false, problems: [] };
    }
  }

  exclusively<R>(work: () => Promise<R>): Promise<R> {
    return work();
  }

  replace({ reading }: SharedText, next: string, event: AuditEvent): Promise<boolean> {
    return this.#parts.replace(reading!, next, event);
  }

  failureOf(error: unknown): StoreError {
    return commitFailure(error);
  }
}
