/**
 * Every version of every template, in the state directory:
 *
 *     history/web/index.jsonl     a line for each version: number, time, actor, action, digest
 *     history/web/000012.yaml     the text of version 12, as it was written, comments included
 *
 * A text is written before its line, so that a line always has its text; an incomplete last line is skipped. The newest
 * `keptVersions` are kept. The history of a destroyed template stays, and the template can be restored from it. Only
 * the holder of the configuration directory's lock writes; hand edits are found by comparing digests.
 */
import { createHash } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { readOwnFile } from '../../../system/safe-file.ts';
import { namePattern } from '../../../policy/validate.ts';
import {
  appendDurably,
  commitFile,
  inBatches,
  removeLeftovers,
  stageFile,
  syncDirectory,
  writeDurably,
} from './durable-file.ts';
import { makeStateDirectory } from './state-directory.ts';
import { StoreError } from '../store.ts';
import type { Actor, TemplateHistory, TemplateVersion } from '../store.ts';

/** Versions kept of each template; the index is shortened when it has twice as many. */
export const keptVersions = 200;
const mode = 0o640;
/** A text has 4 MiB at most, and an index a few hundred lines. */
const maxBytes = 16 << 20;

/** A version to add; without a text the template was removed. */
export interface NewVersion {
  readonly name: string;
  readonly actor: Actor;
  readonly action: TemplateVersion['action'];
  readonly text?: string;
  readonly from?: string;
  readonly to?: string;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The name of a missing file. */
export const nowhere = '/dev/null';

/** Empty for equal texts. */
export function unifiedDiff(from: string, to: string, before: string, after: string): string {
  if (before === after) return '';
  return createTwoFilesPatch(from, to, before, after, undefined, undefined, {
    headerOptions: { includeIndex: false, includeUnderline: false, includeFileHeaders: true },
  });
}

export class HistoryFiles implements TemplateHistory {
  readonly #directory: string;
  readonly #kept: number;
  /** Cached last version of each template; valid only under the lock. */
  readonly #newest: Map<string, TemplateVersion> = new Map<string, TemplateVersion>();

  constructor(stateDirectory: string, kept: number = keptVersions) {
    this.#directory = join(stateDirectory, 'history');
    this.#kept = kept;
  }

  async names(): Promise<readonly string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.filter((name) => namePattern.test(name)).sort();
  }

  async list(name: string): Promise<readonly TemplateVersion[]> {
    return (await this.#versions(name)).slice(-this.#kept).reverse();
  }

  async text(name: string, version: number): Promise<string> {
    if (namePattern.test(name) && Number.isSafeInteger(version) && version > 0) {
      const read = await readOwnFile(this.#textPath(name, version), maxBytes);
      if (read !== undefined) return read.bytes.toString('utf8');
      // A version that marks the template's removal has no text.
      const versions = await this.#versions(name);
      if (versions.some((each) => each.version === version)) return '';
    }
    throw new StoreError([{ kind: 'not-found', what: 'version', name: `${name} ${version}` }]);
  }

  async diff(name: string, from: number, to: number): Promise<string> {
    const [before, after] = await Promise.all(
      [from, to].map(async (version) => (version === 0 ? '' : await this.text(name, version))),
    );
    const label = (version: number): string =>
      version === 0 ? nowhere : `${name}.yaml version ${version}`;
    return unifiedDiff(label(from), label(to), before!, after!);
  }

  /**
   * The last version; `undefined` without any. Only for the holder of the lock.
   *
   * @param digest of the present template: if it equals the cached version's, the index is not read again
   */
  async newest(name: string, digest: string | undefined): Promise<TemplateVersion | undefined> {
    const known = this.#newest.get(name);
    if (known !== undefined && known.sha256 === digest) return known;
    const last = (await this.#versions(name)).at(-1);
    if (last !== undefined) this.#newest.set(name, last);
    return last;
  }

  /** Adds versions, those of one name in their order. Only for the holder of the lock. */
  async add(...added: readonly NewVersion[]): Promise<void> {
    const names = [...new Set(added.map(({ name }) => name))];
    await inBatches(names, async (name) => {
      await this.#addTo(
        name,
        added.filter((version) => version.name === name),
      );
    });
  }

  async #addTo(name: string, added: readonly NewVersion[]): Promise<void> {
    const directory = join(this.#directory, name);
    await makeStateDirectory(directory);
    const versions = await this.#versions(name);
    const before = versions.length;
    for (const { actor, action, text, from, to } of added) {
      const version = (versions.at(-1)?.version ?? 0) + 1;
      versions.push({
        version,
        at: new Date().toISOString(),
        actor,
        action,
        ...(text !== undefined && { sha256: sha256(text) }),
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to }),
      });
      if (text === undefined) continue;
      await commitFile(await stageFile(this.#textPath(name, version), text, mode));
    }
    if (added.some(({ text }) => text !== undefined)) await syncDirectory(directory);
    const lines = versions.slice(before).map((entry) => JSON.stringify(entry));
    await appendDurably(this.#indexPath(name), lines, mode);
    this.#newest.set(name, versions.at(-1)!);
    await this.#forget(name, versions, added.length);
  }

  /** Removes what is older than the versions that are kept, after `added` new ones. */
  async #forget(name: string, versions: readonly TemplateVersion[], added: number): Promise<void> {
    const old = versions.length - this.#kept;
    if (old <= 0) return;
    for (const { version } of versions.slice(Math.max(0, old - added), old)) {
      await rm(this.#textPath(name, version), { force: true });
    }
    if (versions.length < this.#kept * 2) return;
    const kept = versions.slice(-this.#kept);
    await writeDurably(
      this.#indexPath(name),
      kept.map((each) => `${JSON.stringify(each)}\n`).join(''),
      mode,
    );
    await removeLeftovers(dirname(this.#indexPath(name)));
  }

  async #versions(name: string): Promise<TemplateVersion[]> {
    if (!namePattern.test(name)) return [];
    const text = (await readOwnFile(this.#indexPath(name), maxBytes))?.bytes.toString('utf8') ?? '';
    return text.split('\n').flatMap((line) => {
      try {
        return [JSON.parse(line) as TemplateVersion];
      } catch {
        return [];
      }
    });
  }

  #indexPath(name: string): string {
    return join(this.#directory, name, 'index.jsonl');
  }

  #textPath(name: string, version: number): string {
    return join(this.#directory, name, `${String(version).padStart(6, '0')}.yaml`);
  }
}
