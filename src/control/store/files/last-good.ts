/**
 * The configuration that was in force last, in the state directory: `last-good.json`, the texts of all its files. Lists of
 * addresses, which may be large and rarely change, are files of their own in `last-good`, named by their digest.
 *
 * A firewall that starts while the configuration has errors starts with this one. Otherwise one bad file that the running
 * firewall has refused would stop everything at the next restart.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import type { ConfigJudge } from '../config-judge.ts';
import { filesOf, maxListBytes, placeOf, textDigestOf } from '../config-texts.ts';
import type { ConfigFiles, RawFile } from '../config-texts.ts';
import type { Snapshot } from '../store.ts';
import { removeLeftovers, writeDurably } from './durable-file.ts';
import { makeStateDirectory } from './state-directory.ts';
import { hasTexts, isObject, parsedJson } from './stored-json.ts';

const mode = 0o640;
const maxBytes = 256 << 20;

interface StoredFile {
  readonly name: string;
  readonly text?: string;
  /** Of a list's text. */
  readonly sha256?: string;
}

interface Stored {
  readonly version: 1;
  readonly revision: string;
  /** In the order of `filesOf`. */
  readonly files: readonly StoredFile[];
}

export class LastGood {
  readonly #stateDirectory: string;
  #revision: string | undefined;

  constructor(stateDirectory: string) {
    this.#stateDirectory = stateDirectory;
  }

  /** Keeps these files instead of those from before. @throws when they cannot be written */
  async keep(revision: string, raw: ConfigFiles): Promise<void> {
    this.#revision ??= (await this.#read())?.revision;
    if (this.#revision === revision) return;
    await makeStateDirectory(this.#stateDirectory);
    const files: StoredFile[] = [];
    for (const file of filesOf(raw)) {
      const { name, text } = file;
      if (text === undefined) continue;
      const isList = placeOf(name)?.kind === 'list';
      files.push(isList ? { name, sha256: await this.#keepList(file) } : { name, text });
    }
    const stored: Stored = { version: 1, revision, files };
    await writeDurably(this.#path, JSON.stringify(stored), mode);
    this.#revision = revision;
    await this.#forgetLists(files);
  }

  async #keepList(file: RawFile): Promise<string> {
    const sha256 = textDigestOf(file);
    await makeStateDirectory(this.#lists);
    if (!(await readdir(this.#lists)).includes(sha256)) {
      await writeDurably(join(this.#lists, sha256), file.text!, mode);
    }
    return sha256;
  }

  async #forgetLists(files: readonly StoredFile[]): Promise<void> {
    const kept = new Set(files.map(({ sha256 }) => sha256));
    const names = await readdir(this.#lists).catch(() => []);
    for (const name of names.filter((each) => /^[0-9a-f]{64}$/.test(each) && !kept.has(each))) {
      await rm(join(this.#lists, name), { force: true });
    }
    await removeLeftovers(this.#lists);
  }

  /** `undefined` when there are none, or they cannot be read. */
  async files(): Promise<ConfigFiles | undefined> {
    const stored = await this.#read();
    if (stored === undefined) return undefined;
    const files: RawFile[] = [];
    for (const { name, text, sha256 } of stored.files) {
      const found = sha256 === undefined ? text : await this.#list(sha256);
      const problem = found === undefined ? 'it is not among what was kept' : undefined;
      files.push({ name, text: found, problem });
    }
    const inFolder = (folder: string): RawFile[] | undefined => {
      const found = files.filter(({ name }) => name.startsWith(folder));
      return found.length === 0 ? undefined : found;
    };
    return {
      gateway: files.find(({ name }) => name === 'gateway.yaml'),
      servers: files.find(({ name }) => name === 'servers.yaml'),
      templates: inFolder('templates/'),
      sets: inFolder('sets/'),
    };
  }

  get #path(): string {
    return join(this.#stateDirectory, 'last-good.json');
  }

  get #lists(): string {
    return join(this.#stateDirectory, 'last-good');
  }

  async #list(sha256: string): Promise<string | undefined> {
    if (!/^[0-9a-f]{64}$/.test(sha256)) return undefined;
    try {
      const read = await readOwnFile(join(this.#lists, sha256), maxListBytes);
      return read?.bytes.toString('utf8');
    } catch {
      return undefined;
    }
  }

  async #read(): Promise<Stored | undefined> {
    const read = await readOwnFile(this.#path, maxBytes).catch(() => undefined);
    const stored = read && parsedJson(read.bytes.toString('utf8'));
    return isStored(stored) ? stored : undefined;
  }
}

function isStored(value: unknown): value is Stored {
  if (!isObject(value) || value['version'] !== 1 || !hasTexts(value, 'revision')) return false;
  const { files } = value;
  return (
    Array.isArray(files) &&
    files.every(
      (each) =>
        isObject(each) && hasTexts(each, 'name', each['sha256'] === undefined ? 'text' : 'sha256'),
    )
  );
}

/** The state that was in force last, as snapshots. */
export class KeptState {
  readonly #files: LastGood;
  readonly #judge: ConfigJudge;
  readonly #onWarning: (message: string) => void;
  #next: Snapshot | undefined;
  #keeping: Promise<void> | undefined;
  /** Why the last try failed. */
  #problem: string | undefined;

  constructor(stateDirectory: string, judge: ConfigJudge, onWarning: (message: string) => void) {
    this.#files = new LastGood(stateDirectory);
    this.#judge = judge;
    this.#onWarning = onWarning;
  }

  /** Of states that come while one is being written, only the newest is kept. Never throws. */
  keep(snapshot: Snapshot): Promise<void> {
    this.#next = snapshot;
    this.#keeping ??= this.#keepAll().finally(() => (this.#keeping = undefined));
    return this.#keeping;
  }

  async #keepAll(): Promise<void> {
    for (let next = this.#next; next !== undefined; next = this.#next) {
      this.#next = undefined;
      const raw = this.#judge.filesOf(next);
      if (raw === undefined) continue;
      try {
        await this.#files.keep(next.revision, raw);
        this.#problem = undefined;
      } catch (error) {
        const { message } = error as Error;
        // Told once, not with every change.
        if (this.#problem === undefined) {
          this.#onWarning(`the last good configuration cannot be kept for a restart: ${message}`);
        }
        this.#problem = message;
      }
    }
  }

  /** `undefined` when there are none, or they cannot be read. */
  files(): Promise<ConfigFiles | undefined> {
    return this.#files.files();
  }

  /** `undefined` when there is none without errors. */
  async read(): Promise<Snapshot | undefined> {
    const raw = await this.#files.files();
    const snapshot = raw && this.#judge.judge(raw);
    return snapshot?.problems.every(({ severity }) => severity !== 'error') === true
      ? snapshot
      : undefined;
  }
}
