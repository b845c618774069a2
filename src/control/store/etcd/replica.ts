/**
 * What this process knows of the policy in etcd.
 *
 * `refresh` asks the cluster, through a majority: a member that lags behind, or is cut off from the others, cannot answer. A state is
 * taken only if it goes on from the one that was taken last: the same generation, a greater number, and the same commit
 * under the old number. Everything else (restored from a backup, emptied, another prefix) is a problem for an operator: the policy
 * stays, and changes are refused until somebody says that it is right (`tunwall store adopt`).
 */
import { readText } from '../files/config-files.ts';
import type { ConfigJudge, Reading } from '../config-judge.ts';
import { filesOf, sortedFiles, textDigestOf } from '../config-texts.ts';
import type { ConfigFiles, RawFile } from '../config-texts.ts';
import { StoreError } from '../failures.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError } from './etcd-errors.ts';
import { decoded, parseHead } from './layout.ts';
import type { Head, Keys, StoredCommit } from './layout.ts';
import type { LocalState, Mark } from './local-state.ts';
import { getTexts } from './texts.ts';
import type { KeyValue, TxnAnswer } from './texts.ts';

const fetches = 5;

/** A state that was read, and where: a commit is built upon it. */
export interface SharedReading extends Reading {
  readonly raw: ConfigFiles;
  readonly head: Head;
  /** In which `head` and `users` were written last. */
  readonly headRevision: string;
  readonly usersRevision: string;
  readonly users: string | undefined;
}

export interface ReplicaParts {
  readonly client: EtcdClient;
  readonly keys: Keys;
  readonly judge: ConfigJudge;
  readonly local: Pick<LocalState, 'mark'>;
  /** The configuration directory: gateway.yaml is there. */
  readonly directory: string;
}

export class Replica {
  readonly #parts: ReplicaParts;
  #known: SharedReading | undefined;
  /** The newest commit that was taken, also before the start. */
  #mark: Mark | undefined;
  #markIsRead = false;
  /** Why the last answer was not taken, or there was none; `null` when it was. */
  #problem: string | null = 'etcd has not answered yet';
  #confirmedMs: number | undefined;
  #running: Promise<SharedReading> | undefined;
  #next: Promise<SharedReading> | undefined;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
  }

  get known(): SharedReading | undefined {
    return this.#known;
  }

  /** The same, with gateway.yaml as it is on this machine now. */
  current(): SharedReading | undefined {
    if (this.#known !== undefined) this.#known = this.#judged(this.#known);
    return this.#known;
  }

  get problem(): string | null {
    return this.#problem;
  }

  /** Seconds since a majority has last confirmed the state; `undefined`: never. */
  get confirmedAgeSeconds(): number | undefined {
    return this.#confirmedMs === undefined
      ? undefined
      : (performance.now() - this.#confirmedMs) / 1000;
  }

  /** What was taken last. */
  get mark(): Mark | undefined {
    return this.#known?.head ?? this.#mark;
  }

  /** The state as it is at this moment or later. @throws StoreError `store-unavailable` */
  refresh(): Promise<SharedReading> {
    if (this.#running === undefined) return this.#begin();
    // What is in hand may have read before this moment.
    this.#next ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<SharedReading> {
    this.#next = undefined;
    this.#running = this.#refresh().finally(() => (this.#running = undefined));
    return this.#running;
  }

  /** A commit by this process has succeeded. */
  committed(reading: SharedReading): void {
    this.#take(reading);
  }

  #take(reading: SharedReading): void {
    const known = this.#known;
    if (known !== undefined && known.head.seq > reading.head.seq) return;
    this.#known = reading;
    this.#confirm();
  }

  #confirm(): void {
    this.#problem = null;
    this.#confirmedMs = performance.now();
  }

  async #refresh(): Promise<SharedReading> {
    try {
      this.#take(await this.#fetchWhole());
      return this.#known!;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#problem = message;
      if (error instanceof StoreError) throw error;
      throw unavailable(message, error);
    }
  }

  /** A text that a newer head does not name may be gone before it is read. */
  async #fetchWhole(): Promise<SharedReading> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#fetch();
      } catch (error) {
        const isMissing = error instanceof EtcdError && error.trouble === 'missing';
        if (!isMissing || tries === fetches) throw error;
      }
    }
  }

  async #fetch(): Promise<SharedReading> {
    const { client, keys } = this.#parts;
    const known = this.#known;
    const mark = await this.#readMark();
    const both = { key: keys.head, range_end: keys.afterUsers };
    const ranges = [both, ...(mark === undefined ? [] : [{ key: keys.commit(mark.seq) }])];
    const { succeeded, responses = [] } = await client.read<TxnAnswer>('/v3/kv/txn', {
      // Without a known state this compares a key with itself: false.
      compare: [
        unchanged(keys.head, known?.headRevision ?? '-1'),
        unchanged(keys.users, known?.usersRevision ?? '-1'),
      ],
      failure: ranges.map((range) => ({ request_range: range })),
    });
    if (succeeded === true) return this.#judged(known!);
    const [found, before] = responses.map(({ response_range: range }) => range?.kvs ?? []);
    const value = (key: string): KeyValue | undefined => found?.find((each) => each.key === key);
    const head = value(keys.head);
    const users = value(keys.users);
    const read = this.#headOf(head);
    await this.#requireSuccessor(read, mark, before?.[0]);
    const raw = await this.#filesOf(read, known?.raw);
    return this.#judged({
      snapshot: known?.snapshot ?? this.#parts.judge.judge(raw),
      raw,
      head: read,
      headRevision: head!.mod_revision!,
      usersRevision: users?.mod_revision ?? '0',
      users: users && decoded(users.value).toString('utf8'),
    });
  }

  /** @throws StoreError when there is none */
  #headOf(head: KeyValue | undefined): Head {
    const { keys } = this.#parts;
    if (head === undefined) {
      const was = this.mark === undefined ? 'is no policy' : 'is no policy any more';
      throw unavailable(`there ${was} in etcd under ${keys.prefix}: see tunwall store init`);
    }
    try {
      return parseHead(decoded(head.value));
    } catch (error) {
      const message = `the policy in etcd under ${keys.prefix} cannot be understood: ${(error as Error).message}`;
      throw unavailable(message);
    }
  }

  async #readMark(): Promise<Mark | undefined> {
    if (!this.#markIsRead) {
      this.#mark = await this.#parts.local.mark();
      this.#markIsRead = true;
    }
    return this.mark;
  }

  /** @throws StoreError when a state does not go on from the one that was taken last */
  async #requireSuccessor(
    head: Head,
    mark: Mark | undefined,
    before: KeyValue | undefined,
  ): Promise<void> {
    if (mark === undefined) return;
    const stored = before && (JSON.parse(decoded(before.value).toString('utf8')) as StoredCommit);
    const why = whyNoSuccessor(head, mark, stored);
    if (why === undefined) return;
    // Somebody may have said meanwhile that it is right.
    const said = await this.#parts.local.mark();
    const adopted = said?.generation === head.generation && said.commit !== mark.commit;
    if (adopted && whyNoSuccessor(head, said, undefined) === undefined) {
      this.#known = undefined;
      this.#mark = said;
      return;
    }
    throw unavailable(
      `${why}: the policy in force stays; see tunwall store status, then tunwall store adopt`,
    );
  }

  /** The files of a head; those that are known are the same objects. */
  async #filesOf({ files }: Head, known: ConfigFiles | undefined): Promise<ConfigFiles> {
    const { client, keys } = this.#parts;
    const old = new Map(filesOf(known).map((file) => [file.name, file]));
    const isKnown = (name: string, sha256: string): boolean => {
      const file = old.get(name);
      return file?.text !== undefined && textDigestOf(file) === sha256;
    };
    const missing = Object.entries(files).flatMap(([name, sha256]) =>
      isKnown(name, sha256) ? [] : sha256,
    );
    const texts = await getTexts(client, keys, [...new Set(missing)]);
    const all = Object.entries(files).map(([name, sha256]): RawFile => {
      if (isKnown(name, sha256)) return old.get(name)!;
      return { name, text: texts.get(sha256), problem: undefined };
    });
    return { ...sortedFiles(all), gateway: known?.gateway };
  }

  /** With gateway.yaml as it is on this machine now. */
  #judged(reading: SharedReading): SharedReading {
    const raw = this.withGateway(reading.raw);
    const judged = this.#parts.judge.filesOf(reading.snapshot) === raw;
    if (judged) return reading;
    return { ...reading, raw, snapshot: this.#parts.judge.judge(raw) };
  }

  /** The same object while gateway.yaml is the same. */
  withGateway(raw: ConfigFiles): ConfigFiles {
    const gateway = readText(this.#parts.directory, 'gateway.yaml');
    const same = raw.gateway?.text === gateway?.text && raw.gateway?.problem === gateway?.problem;
    return same ? raw : { ...raw, gateway };
  }
}

/** A comparison: nobody has written the key since this revision. */
export function unchanged(key: string, revision: string): object {
  return { key, target: 'MOD', result: 'EQUAL', mod_revision: revision };
}

export function unavailable(message: string, cause?: unknown): StoreError {
  const denied = cause instanceof EtcdError && cause.trouble === 'denied';
  const kind = denied ? 'read-only' : 'store-unavailable';
  return new StoreError([{ kind, message }], cause);
}

function whyNoSuccessor(
  head: Head,
  mark: Mark,
  before: StoredCommit | undefined,
): string | undefined {
  const has = `etcd has change ${head.seq}`;
  if (head.generation !== mark.generation) {
    return `${has} of another policy than the one that this gateway has taken: it was set up anew, or restored`;
  }
  if (head.seq < mark.seq) {
    return `${has}, and this gateway has taken ${mark.seq} already: etcd was restored from an older backup`;
  }
  const theirs = head.seq === mark.seq ? head.commit : before?.id;
  if (theirs !== undefined && theirs !== mark.commit) {
    return `${has}, and its change ${mark.seq} is another one than this gateway has taken: etcd was restored from a backup and changed since`;
  }
  return undefined;
}
