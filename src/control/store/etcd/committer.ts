/**
 * Makes a commit: one transaction, or nothing.
 *
 * An answer can be lost: the cluster has made the change, and the gateway does not know. Then the commit is looked for. If it is there, it
 * was made; if another one is in its place, it was not, and never will be; if neither, the very same transaction is sent
 * again: of two that arrive, the second finds that `head` was written. Only if nobody answers at all it stays unknown, and
 * the error says so.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '../failures.ts';
import type { Unconfirmed } from '../store.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-errors.ts';
import { decoded, encoded, maxValueBytes } from './layout.ts';
import type { Head, Keys, StoredCommit } from './layout.ts';
import { unavailable, unchanged } from './replica.ts';
import type { SharedReading } from './replica.ts';
import { putTexts } from './texts.ts';
import type { TxnAnswer } from './texts.ts';

/** How long a lost answer is looked for, about. */
const patienceMs = 10_000;
/** Two that have come into each other's way do not meet again. */
const jitterMs = 30;

/** What a commit adds, on top of a reading. */
export interface Addition {
  /** One for each change, in their order. */
  readonly commits: readonly Omit<StoredCommit, 'id' | 'at'>[];
  /** Digests of all files afterwards, by name. */
  readonly files: Readonly<Record<string, string>>;
  /** New texts, by digest. */
  readonly texts: ReadonlyMap<string, string>;
  readonly users?: string;
  /** What waits for confirmation afterwards; `null`: nothing; absent: what did before. */
  readonly unconfirmed?: Unconfirmed | null | undefined;
}

/** What was written. */
export interface Written {
  readonly head: Head;
  readonly headRevision: string;
  readonly usersRevision: string;
}

export class Committer {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  #conflicts = 0;

  constructor(client: EtcdClient, keys: Keys) {
    this.#client = client;
    this.#keys = keys;
  }

  /** How many commits somebody else was faster than. */
  get conflicts(): number {
    return this.#conflicts;
  }

  /** @returns `undefined` when the reading is not the newest state any more. @throws StoreError */
  async commit(reading: SharedReading, addition: Addition): Promise<Written | undefined> {
    try {
      const texts = await putTexts(this.#client, this.#keys, addition.texts);
      const written = await this.#commit(reading, addition, texts);
      if (written !== undefined) return written;
    } catch (error) {
      throw commitFailure(error);
    }
    this.#conflicts++;
    await sleep(Math.random() * jitterMs);
    return undefined;
  }

  /** @param texts operations that write those that are not in etcd yet */
  async #commit(
    reading: SharedReading,
    addition: Addition,
    texts: readonly object[],
  ): Promise<Written | undefined> {
    const { seq, generation, collected } = reading.head;
    const { unconfirmed = reading.head.unconfirmed } = addition;
    const at = new Date().toISOString();
    const commits = addition.commits.map((each): StoredCommit => ({ id: newId(), at, ...each }));
    const head: Head = {
      ...{ version: 1, generation },
      seq: seq + commits.length,
      commit: commits.at(-1)!.id,
      files: addition.files,
      ...(collected !== undefined && { collected }),
      ...(unconfirmed !== undefined && unconfirmed !== null && { unconfirmed }),
    };
    const { users } = addition;
    const keys = this.#keys;
    const body = {
      compare: [
        unchanged(keys.head, reading.headRevision),
        unchanged(keys.users, reading.usersRevision),
        ...commits.map((_, index) => unchanged(keys.commit(seq + 1 + index), '0')),
      ],
      success: [
        ...texts,
        putting(keys.head, JSON.stringify(head)),
        ...(users === undefined ? [] : [putting(keys.users, users)]),
        ...commits.map((each, index) =>
          putting(keys.commit(seq + 1 + index), JSON.stringify(each)),
        ),
      ],
    };
    const revision = await this.#send(body, reading, commits[0]!.id);
    if (revision === undefined) return undefined;
    const usersRevision = users === undefined ? reading.usersRevision : revision;
    return { head, headRevision: revision, usersRevision };
  }

  /** @returns the revision in which it was made; `undefined` when it was not, and never will be */
  async #send(body: object, reading: SharedReading, id: string): Promise<string | undefined> {
    const untilMs = performance.now() + patienceMs;
    let wasLost = false;
    for (;;) {
      try {
        const answer = await this.#client.write<TxnAnswer>('/v3/kv/txn', body);
        if (answer.succeeded === true) return answer.header.revision;
        // An earlier try may have been the one that was in the way.
        return wasLost ? await this.#found(reading, id) : undefined;
      } catch (error) {
        if (!(error instanceof EtcdError) || !error.isLost) throw error;
        wasLost = true;
        const found = await this.#look(reading, id, error);
        if (found !== 'neither') return found === 'other' ? undefined : found.revision;
        if (performance.now() > untilMs) throw notKnown(error);
      }
    }
  }

  async #found(reading: SharedReading, id: string): Promise<string | undefined> {
    const found = await this.#look(reading, id, undefined);
    return typeof found === 'object' ? found.revision : undefined;
  }

  /** What has become of a commit. @throws StoreError when nobody says it */
  async #look(
    { head: { seq } }: SharedReading,
    id: string,
    cause: EtcdError | undefined,
  ): Promise<{ readonly revision: string } | 'other' | 'neither'> {
    const range = { key: this.#keys.commit(seq + 1) };
    let answer: TxnAnswer;
    try {
      answer = await this.#client.read<TxnAnswer>('/v3/kv/txn', {
        success: [{ request_range: range }],
      });
    } catch (error) {
      throw notKnown(cause ?? (error as Error));
    }
    const found = answer.responses?.[0]?.response_range?.kvs?.[0];
    if (found === undefined) return 'neither';
    const stored = JSON.parse(decoded(found.value).toString('utf8')) as StoredCommit;
    return stored.id === id ? { revision: found.mod_revision! } : 'other';
  }
}

export function newId(): string {
  return randomBytes(9).toString('base64url');
}

function putting(key: string, text: string): object {
  if (Buffer.byteLength(text) > maxValueBytes) {
    const message =
      'the change concerns so much that etcd cannot take it at once: make it in several parts';
    throw new StoreError([{ kind: 'failed', message }]);
  }
  return { request_put: { key, value: encoded(text) } };
}

function notKnown(cause: Error): StoreError {
  const message = `etcd has not answered, and whether the change was made is not known: look at the history before you make it again (${cause.message})`;
  return new StoreError([{ kind: 'store-unavailable', message }], cause);
}

export function commitFailure(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  return unavailable(error instanceof Error ? error.message : String(error), error);
}
