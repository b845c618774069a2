/**
 * Removes from etcd what nobody can ask for any more: texts that neither the policy nor a version in a history names, and old
 * commits without such a version.
 *
 * Each step is one transaction that compares `head` and writes it again, as it is. So a change that is being made meanwhile
 * fails, reads again, and writes its texts again: no text goes between the moment when it is written and the commit that names
 * it. No clock is part of this. After a crash the rest goes with the next collection, and so do texts of changes that failed.
 *
 * Gateways that run do this, now and then; whoever is first, does it for all.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { keptListBytes, keptVersions } from '../files/history.ts';
import type { VersionedKind } from '../versions.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-errors.ts';
import type { Commits } from './etcd-history.ts';
import { decoded, encoded } from './layout.ts';
import type { Head, Keys, StoredVersion } from './layout.ts';
import { unchanged } from './replica.ts';
import type { SharedReading } from './replica.ts';
import type { RangeAnswer, TxnAnswer } from './texts.ts';

export interface Limits {
  /** Versions of each template and set. */
  readonly versions: number;
  /** Bytes of lists of each set; the newest is kept in any case. */
  readonly listBytes: number;
  /** Newest commits, whatever is in them: a gateway that was away copies them into its audit log. */
  readonly commits: number;
  /** Changes from one collection to the next. */
  readonly every: number;
}

/** Versions and lists: as many as there are in files. */
export const usualLimits: Limits = {
  versions: keptVersions,
  listBytes: keptListBytes,
  commits: 5000,
  every: 200,
};

/** Keys of a transaction: the cluster takes 128. */
const batch = 100;
/** Keys that are listed at once. */
const page = 5000;
/** Changes have their turn between two steps. */
const pauseMs = 60;
/** Gateways that see at once that it is time do not begin at once. */
const jitterMs = 5000;

export interface CollectorParts {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly commits: Commits;
  readonly limits: Limits;
  readonly refresh: () => Promise<SharedReading>;
  readonly onWarning: (message: string) => void;
}

export class Collector {
  readonly #parts: CollectorParts;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<unknown> | undefined;
  /** Of those whose role only reads, nothing is asked. */
  #isDenied = false;
  #isClosed = false;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Collects soon, if it is time. */
  look(head: Head): void {
    if (this.#isDenied || this.#timer !== undefined || !this.#isDue(head)) return;
    this.#timer = setTimeout(() => {
      this.#running = this.collect().finally(() => (this.#timer = undefined));
    }, Math.random() * jitterMs);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** Collects, if it is time. Never throws. @returns how many keys are gone */
  async collect(): Promise<number> {
    try {
      return await this.#collect();
    } catch (error) {
      this.#isDenied = error instanceof EtcdError && error.trouble === 'denied';
      if (!this.#isDenied) {
        this.#parts.onWarning(`old versions are still in etcd: ${(error as Error).message}`);
      }
      return 0;
    }
  }

  #isDue({ seq, collected = 0 }: Head): boolean {
    return seq - collected >= this.#parts.limits.every;
  }

  async #collect(): Promise<number> {
    let removed = 0;
    let scan: Scan | undefined;
    for (;;) {
      const reading = await this.#parts.refresh();
      const { head } = reading;
      if (this.#isClosed || !this.#isDue(head)) return removed;
      if (scan?.generation !== head.generation) scan = new Scan(this.#parts, head.generation);
      await scan.update();
      const garbage = scan.garbage(head);
      const some = garbage.slice(0, batch);
      const isAll = some.length === garbage.length;
      const next = isAll ? { ...head, collected: head.seq } : head;
      if (await this.#remove(reading, some, next)) {
        scan.forget(some);
        removed += some.length;
        if (isAll) return removed;
      }
      await sleep(Math.random() * pauseMs);
    }
  }

  /** @returns false when somebody else has written `head` */
  async #remove(
    { headRevision }: SharedReading,
    removed: readonly string[],
    head: Head,
  ): Promise<boolean> {
    const { client, keys } = this.#parts;
    const { succeeded } = await client.write<TxnAnswer>('/v3/kv/txn', {
      compare: [unchanged(keys.head, headRevision)],
      success: [
        { request_put: { key: keys.head, value: encoded(JSON.stringify(head)) } },
        ...removed.map((key) => ({ request_delete_range: { key } })),
      ],
    });
    return succeeded === true;
  }
}

interface ScannedVersion extends Pick<StoredVersion, 'kind' | 'name' | 'text' | 'list'> {
  readonly seq: number;
}

/** What lies in etcd. Texts that come later are not in it, and stay. */
class Scan {
  readonly generation: string;
  readonly #parts: CollectorParts;
  readonly #commits: Set<number> = new Set<number>();
  /** By kind and name, the oldest first. */
  readonly #versions: Map<string, ScannedVersion[]> = new Map<string, ScannedVersion[]>();
  /** Keys of the pieces, by digest. */
  #texts: Map<string, string[]> | undefined;
  #last = 0;

  constructor(parts: CollectorParts, generation: string) {
    this.#parts = parts;
    this.generation = generation;
  }

  async update(): Promise<void> {
    this.#texts ??= await this.#listTexts();
    for await (const { seq, versions } of this.#parts.commits.after(this.#last)) {
      this.#last = seq;
      this.#commits.add(seq);
      for (const { kind, name, text, list } of versions) {
        const of = idOf(kind, name);
        const known = this.#versions.get(of) ?? [];
        known.push({ seq, kind, name, ...(text && { text }), ...(list && { list }) });
        this.#versions.set(of, known);
      }
    }
  }

  async #listTexts(): Promise<Map<string, string[]>> {
    const { client, keys } = this.#parts;
    const found = new Map<string, string[]>();
    for (let from = keys.texts; ;) {
      const { kvs = [], more = false } = await client.read<RangeAnswer>('/v3/kv/range', {
        ...{ key: from, range_end: keys.afterTexts, limit: String(page), keys_only: true },
      });
      for (const { key } of kvs) {
        const sha256 = keys.digestOf(key);
        found.set(sha256, [...(found.get(sha256) ?? []), key]);
      }
      if (!more) return found;
      from = encoded(Buffer.concat([decoded(kvs.at(-1)!.key), Buffer.of(0)]));
    }
  }

  /** Keys that nobody needs, with this head. */
  garbage({ seq, files }: Head): string[] {
    const { limits, keys } = this.#parts;
    const commits = new Set<number>();
    const texts = new Set(Object.values(files));
    for (const all of this.#versions.values()) {
      const kept = all.slice(-limits.versions);
      for (const { seq: of, text } of kept) {
        commits.add(of);
        if (text !== undefined) texts.add(text);
      }
      for (const digest of keptLists(kept, limits.listBytes)) texts.add(digest);
    }
    const oldest = seq - limits.commits;
    return [
      ...[...this.#commits]
        .filter((each) => each <= oldest && !commits.has(each))
        .map((each) => keys.commit(each)),
      ...[...(this.#texts ?? [])].flatMap(([digest, pieces]) => (texts.has(digest) ? [] : pieces)),
    ];
  }

  forget(removed: readonly string[]): void {
    const gone = new Set(removed);
    for (const seq of this.#commits) {
      if (gone.has(this.#parts.keys.commit(seq))) this.#commits.delete(seq);
    }
    for (const [digest, pieces] of this.#texts ?? []) {
      const left = pieces.filter((key) => !gone.has(key));
      if (left.length === 0) this.#texts!.delete(digest);
      else if (left.length < pieces.length) this.#texts!.set(digest, left);
    }
  }
}

function idOf(kind: VersionedKind, name: string): string {
  return `${kind} ${name}`;
}

/** The lists of the newest versions, as far as the bound in bytes goes. */
function keptLists(versions: readonly ScannedVersion[], limit: number): string[] {
  const newestFirst = versions.flatMap(({ list }) => list ?? []).reverse();
  const bytesOf = new Map(newestFirst.map(({ sha256, bytes }) => [sha256, bytes]));
  let sum = 0;
  return [...bytesOf].flatMap(([sha256, bytes], index) => {
    sum += bytes;
    return index > 0 && sum > limit ? [] : [sha256];
  });
}
