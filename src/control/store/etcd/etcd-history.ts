/**
 * The histories of templates and sets, out of the commits in etcd. The number of a version is that of its commit.
 *
 * Commits never change, so those that were read are kept in memory, without texts, and only newer ones are asked for.
 */
import { namePattern } from '../../../policy/validate.ts';
import { StoreError } from '../failures.ts';
import { keptChanges } from '../policy-history.ts';
import type { KeptChange } from '../policy-history.ts';
import type { AuditEvent, Version, VersionHistory, VersionText } from '../store.ts';
import { versionsDiff } from '../text-diff.ts';
import type { VersionedKind } from '../versions.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-errors.ts';
import { decoded } from './layout.ts';
import type { Head, Keys, StoredCommit, StoredVersion } from './layout.ts';
import { getTexts } from './texts.ts';
import type { RangeAnswer } from './texts.ts';

/** Commits that are asked for at once. */
const page = 500;

/** A commit, and its number. */
export interface NumberedCommit extends StoredCommit {
  readonly seq: number;
}

interface KnownVersion {
  readonly version: Version;
  /** Digest of its text. */
  readonly text?: string;
}

export class Commits {
  readonly #client: EtcdClient;
  readonly #keys: Keys;
  readonly #kept: number;
  readonly #versions: Readonly<Record<VersionedKind, Map<string, KnownVersion[]>>> = {
    template: new Map<string, KnownVersion[]>(),
    set: new Map<string, KnownVersion[]>(),
    servers: new Map<string, KnownVersion[]>(),
  };
  /** The oldest first. */
  readonly #changes: KeptChange[] = [];
  #last: Pick<NumberedCommit, 'seq' | 'id'> = { seq: 0, id: '' };
  #reading: Promise<unknown> = Promise.resolve();

  /** @param kept versions of each name */
  constructor(client: EtcdClient, keys: Keys, kept: number) {
    this.#client = client;
    this.#keys = keys;
    this.#kept = kept;
  }

  async names(kind: VersionedKind, newest: Pick<Head, 'seq' | 'commit'>): Promise<string[]> {
    await this.#read(newest);
    return [...this.#versions[kind].keys()].sort();
  }

  /** Those that are kept, the oldest first, up to a commit. */
  async versions(
    kind: VersionedKind,
    name: string,
    newest: Pick<Head, 'seq' | 'commit'>,
  ): Promise<readonly KnownVersion[]> {
    await this.#read(newest);
    return this.#versions[kind].get(name)?.slice(-this.#kept) ?? [];
  }

  /** Changes of the policy, the newest first. */
  async newestFirst(newest: Pick<Head, 'seq' | 'commit'>): Promise<readonly KeptChange[]> {
    await this.#read(newest);
    return this.#changes.slice(-keptChanges).reverse();
  }

  async #read(newest: Pick<Head, 'seq' | 'commit'>): Promise<void> {
    const read = this.#reading.then(() => this.#readUpTo(newest));
    this.#reading = read.catch(() => undefined);
    await read;
  }

  /** What was read may not be the past of the newest commit, if etcd was restored: then it is read anew. */
  async #readUpTo({ seq, commit: id }: Pick<Head, 'seq' | 'commit'>): Promise<void> {
    const { seq: last, id: lastId } = this.#last;
    if (seq === last && id === lastId) return;
    if (seq <= last) this.#forget();
    for await (const commit of this.after(Math.max(0, this.#last.seq - 1))) {
      if (commit.seq !== this.#last.seq) this.#add(commit);
      else if (commit.id !== this.#last.id) {
        this.#forget();
        await this.#readUpTo({ seq, commit: id });
        return;
      }
    }
  }

  #forget(): void {
    for (const each of Object.values(this.#versions)) each.clear();
    this.#changes.length = 0;
    this.#last = { seq: 0, id: '' };
  }

  /** Commits after the one of this number, in their order. */
  async *after(seq: number): AsyncGenerator<NumberedCommit> {
    for (let from = seq + 1; ;) {
      const { kvs = [], more = false } = await this.#client.read<RangeAnswer>('/v3/kv/range', {
        key: this.#keys.commit(from),
        range_end: this.#keys.commit(999_999_999_999),
        limit: String(page),
      });
      for (const { key, value } of kvs) {
        const number = Number(decoded(key).toString('utf8').slice(-12));
        const commit = JSON.parse(decoded(value).toString('utf8')) as StoredCommit;
        yield { ...commit, seq: number };
        from = number + 1;
      }
      if (!more) return;
    }
  }

  #add(commit: NumberedCommit): void {
    const { seq, id, at, versions } = commit;
    this.#last = { seq, id };
    // Those of users, and of the store itself, are none of the policy.
    if (versions.length > 0) this.#changes.push(changeOf(commit));
    if (this.#changes.length > 2 * keptChanges) this.#changes.splice(0, keptChanges);
    for (const each of versions) {
      const { kind, name } = each;
      const known = this.#versions[kind].get(name) ?? [];
      known.push(versionOf(each, seq, at));
      // Twice as many are remembered as are listed, so that this is rare.
      if (known.length > 2 * this.#kept) known.splice(0, known.length - this.#kept);
      this.#versions[kind].set(name, known);
    }
  }
}

/** What a commit says for the audit log. */
export function eventOf({ event, versions }: Pick<StoredCommit, 'event' | 'versions'>): AuditEvent {
  return (
    event ?? {
      actor: versions[0]?.actor ?? { name: 'tunwall', via: 'system' },
      action: `template.${versions[0]?.action ?? 'edit'}`,
      result: 'ok',
      target: versions.map(({ name }) => name),
    }
  );
}

function changeOf(commit: NumberedCommit): KeptChange {
  const { seq, at, versions } = commit;
  const touched = versions.map(({ kind, name }) => ({ kind, name, version: seq }));
  return { number: seq, at, event: eventOf(commit), versions: touched };
}

function versionOf(
  { actor, action, text, list, from, to }: StoredVersion,
  version: number,
  at: string,
): KnownVersion {
  return {
    version: {
      ...{ version, at, actor, action },
      ...(text !== undefined && { sha256: text }),
      ...(list !== undefined && { list: { file: list.file, sha256: list.sha256 } }),
      ...(from !== undefined && { from }),
      ...(to !== undefined && { to }),
    },
    ...(text !== undefined && { text }),
  };
}

export interface HistoryParts {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly commits: Commits;
  readonly newest: () => Promise<Pick<Head, 'seq' | 'commit'>>;
}

export class EtcdHistory implements VersionHistory {
  readonly #kind: VersionedKind;
  readonly #parts: HistoryParts;

  constructor(kind: VersionedKind, parts: HistoryParts) {
    this.#kind = kind;
    this.#parts = parts;
  }

  async names(): Promise<readonly string[]> {
    const { commits, newest } = this.#parts;
    return await unlessUnavailable(async () => commits.names(this.#kind, await newest()));
  }

  async list(name: string): Promise<readonly Version[]> {
    if (!namePattern.test(name)) return [];
    return (await this.#versions(name)).map(({ version }) => version).reverse();
  }

  async text(name: string, version: number): Promise<string> {
    const { text } = await this.#find(name, version);
    // A version that marks the removal has no text.
    return text === undefined ? '' : await this.#text(text, 'version', `${name} ${version}`);
  }

  async version(name: string, version: number): Promise<VersionText> {
    const {
      version: { list },
    } = await this.#find(name, version);
    const text = await this.text(name, version);
    if (list === undefined) return { text };
    const { file, sha256 } = list;
    const own = await this.#text(sha256, 'list', `${file} of version ${version}`);
    return { text, list: { file, text: own } };
  }

  diff(name: string, from: number, to: number): Promise<string> {
    return versionsDiff(this, name, from, to);
  }

  async #versions(name: string): Promise<readonly KnownVersion[]> {
    const { commits, newest } = this.#parts;
    return await unlessUnavailable(async () => commits.versions(this.#kind, name, await newest()));
  }

  async #find(name: string, version: number): Promise<KnownVersion> {
    const found = (await this.#versions(name)).find((each) => each.version.version === version);
    if (found !== undefined) return found;
    throw notKept('version', `${name} ${version}`);
  }

  /** Old ones go, also while they are looked at. */
  async #text(sha256: string, what: 'version' | 'list', name: string): Promise<string> {
    const { client, keys } = this.#parts;
    try {
      const texts = await unlessUnavailable(() => getTexts(client, keys, [sha256]));
      return texts.get(sha256)!;
    } catch (error) {
      const { cause } = error as Error;
      const isMissing = cause instanceof EtcdError && cause.trouble === 'missing';
      throw isMissing ? notKept(what, name) : error;
    }
  }
}

function notKept(what: 'version' | 'list', name: string): StoreError {
  return new StoreError([{ kind: 'not-found', what, name }]);
}

export async function unlessUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof EtcdError)) throw error;
    throw new StoreError([{ kind: 'store-unavailable', message: error.message }], error);
  }
}
