/**
 * Every version of every template, in the state directory; of every set, likewise in `set-history`; and of servers.yaml:
 *
 *     history/web/index.jsonl     a line for each version: number, time, actor, action, digest
 *     history/web/000012.yaml     the text of version 12, as it was written, comments included
 *     set-history/drop/3f….txt    a list, by its digest: versions share it
 *     servers-history/servers     likewise those of servers.yaml
 *
 * Of the lists of a set only the newest are kept, up to a bound in bytes: they may have a million lines, and come anew
 * every day.
 *
 * A text is written before its line, so that a line always has its text; an incomplete last line is skipped. The newest
 * `keptVersions` are kept. The history of a destroyed template stays, and the template can be restored from it. Only
 * the holder of the configuration directory's lock writes; hand edits are found by comparing digests.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
import { hasTexts, isActor, isObject, parsedJson } from './stored-json.ts';
import { StoreError } from '../store.ts';
import type { Version, VersionHistory, VersionText } from '../store.ts';
import { maxListBytes, sha256 } from '../config-texts.ts';
import { versionsDiff } from '../text-diff.ts';
import { keptVersions } from '../versions.ts';
import type { NewVersion } from '../versions.ts';

export { keptVersions };
const mode = 0o640;
/** A text has 4 MiB at most, and an index a few hundred lines. */
const maxBytes = 16 << 20;

/** Bytes of lists that are kept for one set, and of its texts; the newest is in any case. */
export const keptListBytes: number = 64 << 20;

function isVersion(value: unknown): value is Version {
  if (!isObject(value) || !hasTexts(value, 'at', 'action') || !isActor(value['actor']))
    return false;
  const { version, sha256, list } = value;
  if (list !== undefined && !(isObject(list) && hasTexts(list, 'file', 'sha256'))) return false;
  return Number.isSafeInteger(version) && ['string', 'undefined'].includes(typeof sha256);
}

export class HistoryFiles implements VersionHistory {
  readonly #directory: string;
  readonly #kept: number;
  /** Cached last version of each template; valid only under the lock. */
  readonly #newest: Map<string, Version> = new Map<string, Version>();

  constructor(
    stateDirectory: string,
    kept: number = keptVersions,
    folder: 'history' | 'set-history' | 'servers-history' = 'history',
  ) {
    this.#directory = join(stateDirectory, folder);
    this.#kept = kept;
  }

  async names(): Promise<readonly string[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names.filter((name) => namePattern.test(name)).sort();
  }

  async list(name: string): Promise<readonly Version[]> {
    return (await this.#versions(name)).slice(-this.#kept).reverse();
  }

  async text(name: string, version: number): Promise<string> {
    if (namePattern.test(name) && Number.isSafeInteger(version) && version > 0) {
      const read = await readOwnFile(this.#textPath(name, version), maxBytes);
      if (read !== undefined) return read.bytes.toString('utf8');
      // A version that marks the template's removal has no text.
      const found = (await this.#versions(name)).find((each) => each.version === version);
      if (found !== undefined && found.sha256 === undefined) return '';
    }
    throw new StoreError([{ kind: 'not-found', what: 'version', name: `${name} ${version}` }]);
  }

  async version(name: string, version: number): Promise<VersionText> {
    const text = await this.text(name, version);
    const found = (await this.#versions(name)).find((each) => each.version === version);
    if (found?.list === undefined) return { text };
    const { file, sha256: digest } = found.list;
    const read = await readOwnFile(this.#listPath(name, digest), maxListBytes);
    if (read !== undefined) return { text, list: { file, text: read.bytes.toString('utf8') } };
    throw new StoreError([
      { kind: 'not-found', what: 'list', name: `${file} of version ${version}` },
    ]);
  }

  diff(name: string, from: number, to: number): Promise<string> {
    return versionsDiff(this, name, from, to);
  }

  /**
   * The last version; `undefined` without any. Only for the holder of the lock.
   *
   * @param digest of the present template: if it equals the cached version's, the index is not read again
   */
  async newest(name: string, digest: string | undefined): Promise<Version | undefined> {
    const known = this.#newest.get(name);
    if (known !== undefined && known.sha256 === digest) return known;
    const last = (await this.#versions(name)).at(-1);
    if (last !== undefined) this.#newest.set(name, last);
    return last;
  }

  /** Adds versions, those of one name in their order. Only for the holder of the lock. @returns their numbers */
  async add(...added: readonly NewVersion[]): Promise<number[]> {
    const names = [...new Set(added.map(({ name }) => name))];
    const numbers = new Map<NewVersion, number>();
    await inBatches(names, async (name) => {
      const own = added.filter((version) => version.name === name);
      const first = await this.#addTo(name, own);
      for (const [index, each] of own.entries()) numbers.set(each, first + index);
    });
    return added.map((each) => numbers.get(each)!);
  }

  /** @returns the number of the first one */
  async #addTo(name: string, added: readonly NewVersion[]): Promise<number> {
    const directory = join(this.#directory, name);
    await makeStateDirectory(directory);
    const versions = await this.#versions(name);
    const before = versions.length;
    for (const { actor, action, text, digest, list, from, to } of added) {
      const version = (versions.at(-1)?.version ?? 0) + 1;
      versions.push({
        version,
        at: new Date().toISOString(),
        actor,
        action,
        ...(text !== undefined && { sha256: digest ?? sha256(text) }),
        ...(list !== undefined && { list: { file: list.file, sha256: list.sha256 } }),
        ...(from !== undefined && { from }),
        ...(to !== undefined && { to }),
      });
      if (list !== undefined) await this.#keepList(name, list);
      if (text === undefined) continue;
      await commitFile(await stageFile(this.#textPath(name, version), text, mode));
    }
    if (added.some(({ text }) => text !== undefined)) await syncDirectory(directory);
    const lines = versions.slice(before).map((entry) => JSON.stringify(entry));
    await appendDurably(this.#indexPath(name), lines, mode);
    this.#newest.set(name, versions.at(-1)!);
    await this.#forget(name, versions, added.length);
    if (added.some(({ list }) => list !== undefined)) await this.#forgetLists(name, versions);
    return versions[before]!.version;
  }

  async #keepList(
    name: string,
    { text, sha256: digest }: { text: string; sha256: string },
  ): Promise<void> {
    const path = this.#listPath(name, digest);
    const known = await stat(path).catch(() => undefined);
    if (known === undefined) await writeDurably(path, text, mode);
  }

  /** Keeps the lists of the newest versions, as far as the bound in bytes goes. */
  async #forgetLists(name: string, versions: readonly Version[]): Promise<void> {
    const newestFirst = versions.flatMap(({ list }) => list?.sha256 ?? []).reverse();
    let bytes = 0;
    for (const [index, digest] of [...new Set(newestFirst)].entries()) {
      const path = this.#listPath(name, digest);
      bytes += (await stat(path).catch(() => undefined))?.size ?? 0;
      if (index > 0 && bytes > keptListBytes) await rm(path, { force: true });
    }
  }

  /** Removes what is older than the versions that are kept, after `added` new ones. */
  async #forget(name: string, versions: readonly Version[], added: number): Promise<void> {
    await this.#forgetLarge(name, versions);
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

  /** Of large texts fewer are kept. The list of versions still has all of them. */
  async #forgetLarge(name: string, versions: readonly Version[]): Promise<void> {
    const sizeOf = async (version: number): Promise<number> =>
      (await stat(this.#textPath(name, version)).catch(() => undefined))?.size ?? 0;
    const newest = versions.at(-1)!;
    if ((await sizeOf(newest.version)) * this.#kept <= keptListBytes) return;
    let bytes = 0;
    for (const { version } of versions.slice(-this.#kept).reverse()) {
      bytes += await sizeOf(version);
      if (version !== newest.version && bytes > keptListBytes) {
        await rm(this.#textPath(name, version), { force: true });
      }
    }
  }

  async #versions(name: string): Promise<Version[]> {
    if (!namePattern.test(name)) return [];
    const text = (await readOwnFile(this.#indexPath(name), maxBytes))?.bytes.toString('utf8') ?? '';
    return text.split('\n').map(parsedJson).filter(isVersion);
  }

  #indexPath(name: string): string {
    return join(this.#directory, name, 'index.jsonl');
  }

  #listPath(name: string, digest: string): string {
    return join(this.#directory, name, `${digest.replace(/[^0-9a-f]/g, '')}.txt`);
  }

  #textPath(name: string, version: number): string {
    return join(this.#directory, name, `${String(version).padStart(6, '0')}.yaml`);
  }
}
