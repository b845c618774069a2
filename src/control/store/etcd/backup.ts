/**
 * A policy in etcd as one file: head, users, commits and texts, with their keys, gzipped JSON. What gateways say of themselves is not in it.
 *
 * It is of one moment: everything is read at the revision of the first answer. A restore takes the head away first and puts it last, with a
 * generation of its own. So nobody changes anything meanwhile; one that was cut off leaves no policy, and is made again. Gateways that run keep
 * the policy in force until somebody says that what was restored is right.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import { StoreError } from '../failures.ts';
import { newId } from './committer.ts';
import type { EtcdClient } from './etcd-client.ts';
import { decoded, encoded, maxValueBytes, parseHead } from './layout.ts';
import type { Head, Keys } from './layout.ts';
import { unchanged } from './replica.ts';
import type { KeyValue, RangeAnswer, TxnAnswer } from './texts.ts';

/** Keys of an answer: pieces of texts have 512 KiB. */
const page = 20;
/** Keys of a transaction, and their bytes. */
const batch = 100;
const batchBytes = 600 << 10;
const maxBytes = 1 << 30;

interface Entry {
  /** Behind the prefix: `commit/000000000012`. */
  readonly key: string;
  /** Base64. */
  readonly value: string;
}

interface BackupFile {
  readonly tunwall: 'backup';
  readonly version: 1;
  /** ISO 8601. */
  readonly at: string;
  readonly entries: readonly Entry[];
}

export interface BackupSummary {
  readonly seq: number;
  readonly files: number;
  readonly commits: number;
  readonly hasUsers: boolean;
  readonly at: string;
}

/** @throws EtcdError, StoreError */
export async function makeBackup(
  client: EtcdClient,
  keys: Keys,
): Promise<{ readonly bytes: Buffer; readonly summary: BackupSummary }> {
  const first = await client.read<RangeAnswer & Header>('/v3/kv/range', {
    ...{ key: keys.head, range_end: keys.afterUsers },
  });
  const { revision } = first.header;
  const entries = (first.kvs ?? []).map((each) => entryOf(keys, each));
  const ranges = [
    [keys.commit(0), keys.commit(999_999_999_999)],
    [keys.texts, keys.afterTexts],
  ] as const;
  for (const [start, end] of ranges) {
    for (let from: string = start; ;) {
      const { kvs = [], more = false } = await client.read<RangeAnswer>('/v3/kv/range', {
        ...{ key: from, range_end: end, limit: String(page), revision },
      });
      entries.push(...kvs.map((each) => entryOf(keys, each)));
      if (!more) break;
      from = encoded(Buffer.concat([decoded(kvs.at(-1)!.key), Buffer.of(0)]));
    }
  }
  const file: BackupFile = { tunwall: 'backup', version: 1, at: new Date().toISOString(), entries };
  return { bytes: gzipSync(JSON.stringify(file)), summary: summaryOf(file) };
}

interface Header {
  readonly header: { readonly revision: string };
}

function entryOf(keys: Keys, { key, value = '' }: KeyValue): Entry {
  return {
    key: decoded(key)
      .toString('utf8')
      .slice(keys.prefix.length + 1),
    value,
  };
}

export class Backup {
  readonly summary: BackupSummary;
  readonly #entries: readonly Entry[];

  /** @throws StoreError when it is none, or not whole */
  constructor(bytes: Buffer) {
    try {
      const text = gunzipSync(bytes, { maxOutputLength: maxBytes }).toString('utf8');
      const file = JSON.parse(text) as Partial<BackupFile>;
      if (file.tunwall !== 'backup' || file.version !== 1) throw new Error('of another kind');
      this.#entries = (file.entries ?? []).filter(({ key }) => isOfBackup.test(key));
      this.summary = summaryOf({ ...(file as BackupFile), entries: this.#entries });
      requireTexts(this.#head, this.#entries);
    } catch (error) {
      const message = `this is no backup of tunwall store backup: ${(error as Error).message}`;
      throw new StoreError([{ kind: 'failed', message }], error);
    }
  }

  get #head(): Head {
    return headIn(this.#entries);
  }

  /**
   * Puts it in the place of what is there.
   *
   * @param replaces also a policy that is there; else that is refused
   * @throws EtcdError, StoreError
   */
  async restore(client: EtcdClient, keys: Keys, replaces: boolean): Promise<void> {
    const both = { key: keys.head, range_end: keys.afterUsers };
    const { kvs = [] } = await client.read<RangeAnswer>('/v3/kv/range', both);
    const revisionOf = (key: string): string =>
      kvs.find((each) => each.key === key)?.mod_revision ?? '0';
    if (kvs.length > 0 && !replaces) {
      const message = `there is a policy in etcd under ${keys.prefix} already`;
      throw new StoreError([{ kind: 'failed', message }]);
    }
    const isUnchanged = [keys.head, keys.users].map((key) => unchanged(key, revisionOf(key)));
    await commit(client, keys, isUnchanged, [
      { request_delete_range: { key: keys.head } },
      { request_delete_range: { key: keys.users } },
      { request_delete_range: { key: keys.commit(0), range_end: keys.commit(999_999_999_999) } },
    ]);
    const putting = ({ key, value }: Entry): object => ({
      request_put: { key: encoded(`${keys.prefix}/${key}`), value },
    });
    const isLast = ({ key }: Entry): boolean => key === 'head' || key === 'users';
    for (const some of inBatches(this.#entries.filter((each) => !isLast(each)))) {
      await client.read('/v3/kv/txn', { success: some.map(putting) });
    }
    const head: Head = { ...this.#head, generation: newId() };
    const isAbsent = [keys.head, keys.users].map((key) => unchanged(key, '0'));
    await commit(client, keys, isAbsent, [
      { request_put: { key: keys.head, value: encoded(JSON.stringify(head)) } },
      ...this.#entries.filter(({ key }) => key === 'users').map(putting),
    ]);
  }
}

/** @throws StoreError when somebody else has changed the policy */
async function commit(
  client: EtcdClient,
  { prefix }: Keys,
  compare: readonly object[],
  success: readonly object[],
): Promise<void> {
  const { succeeded } = await client.write<TxnAnswer>('/v3/kv/txn', { compare, success });
  if (succeeded === true) return;
  const message = `the policy in etcd under ${prefix} was changed by somebody else meanwhile`;
  throw new StoreError([{ kind: 'busy', message }]);
}

const isOfBackup = /^(head|users|commit\/\d{12}|blob\/[0-9a-f]{64}\/\d{3})$/;

function headIn(entries: readonly Entry[]): Head {
  const head = entries.find(({ key }) => key === 'head');
  if (head === undefined) throw new Error('it has no head');
  return parseHead(decoded(head.value));
}

/** @throws Error when a text of the policy is not in it */
function requireTexts({ files }: Head, entries: readonly Entry[]): void {
  const texts = new Set(entries.map(({ key }) => /^blob\/([^/]+)\/000$/.exec(key)?.[1]));
  const missing = Object.entries(files).find(([, sha256]) => !texts.has(sha256));
  if (missing !== undefined) throw new Error(`${missing[0]} is not in it`);
}

function summaryOf({ at, entries }: BackupFile): BackupSummary {
  const { seq, files } = headIn(entries);
  return {
    ...{ seq, files: Object.keys(files).length, at: new Date(at).toISOString() },
    commits: entries.filter(({ key }) => key.startsWith('commit/')).length,
    hasUsers: entries.some(({ key }) => key === 'users'),
  };
}

function* inBatches(entries: readonly Entry[]): Generator<readonly Entry[]> {
  let some: Entry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const isFull = some.length === batch || bytes + entry.value.length > batchBytes;
    if (isFull && some.length > 0) {
      yield some;
      [some, bytes] = [[], 0];
    }
    if (entry.value.length > 2 * maxValueBytes) throw new Error(`${entry.key} is too long`);
    some.push(entry);
    bytes += entry.value.length;
  }
  if (some.length > 0) yield some;
}
