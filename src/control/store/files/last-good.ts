/**
 * The configuration that was in force last, in the state directory: `last-good.json`, the texts of all its files.
 *
 * A firewall that starts while the configuration has errors starts with this one. Otherwise one bad file that the running
 * firewall has refused would stop everything at the next restart.
 */
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import { filesOf } from './config-files.ts';
import type { RawDirectory, RawFile } from './config-files.ts';
import { writeDurably } from './durable-file.ts';
import { makeStateDirectory } from './state-directory.ts';

const mode = 0o640;
const maxBytes = 256 << 20;

interface Stored {
  readonly version: 1;
  readonly revision: string;
  /** In the order of `filesOf`. */
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

export class LastGood {
  readonly #stateDirectory: string;
  #revision: string | undefined;

  constructor(stateDirectory: string) {
    this.#stateDirectory = stateDirectory;
  }

  /** Keeps these files instead of those from before. @throws when they cannot be written */
  async keep(revision: string, raw: RawDirectory): Promise<void> {
    this.#revision ??= (await this.#read())?.revision;
    if (this.#revision === revision) return;
    const files = filesOf(raw).flatMap(({ name, text }) =>
      text === undefined ? [] : { name, text },
    );
    const stored: Stored = { version: 1, revision, files };
    await makeStateDirectory(this.#stateDirectory);
    await writeDurably(this.#path, JSON.stringify(stored), mode);
    this.#revision = revision;
  }

  /** `undefined` when there are none, or they cannot be read. */
  async files(): Promise<RawDirectory | undefined> {
    const stored = await this.#read();
    if (stored === undefined) return undefined;
    const files = stored.files.map(({ name, text }): RawFile => ({
      name,
      text,
      problem: undefined,
    }));
    const templates = files.filter(({ name }) => name.startsWith('templates/'));
    return {
      gateway: files.find(({ name }) => name === 'gateway.yaml'),
      servers: files.find(({ name }) => name === 'servers.yaml'),
      templates: templates.length === 0 ? undefined : templates,
      fingerprint: '',
      stamps: new Map(),
    };
  }

  get #path(): string {
    return join(this.#stateDirectory, 'last-good.json');
  }

  async #read(): Promise<Stored | undefined> {
    try {
      const read = await readOwnFile(this.#path, maxBytes);
      if (read === undefined) return undefined;
      const stored = JSON.parse(read.bytes.toString('utf8')) as Partial<Stored> | null;
      return stored?.version === 1 && Array.isArray(stored.files) ? (stored as Stored) : undefined;
    } catch {
      return undefined;
    }
  }
}
