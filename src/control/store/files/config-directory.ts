/**
 * Reads the whole configuration directory, and reports every problem in it.
 *
 * A caller gets the directory as it was at one moment. What has not changed is not parsed again (`config-judge.ts`).
 */
import { statSync } from 'node:fs';
import { asOwnerOf } from '../../../system/privileges.ts';
import { ConfigJudge, brokenSnapshot, unreadWords } from '../config-judge.ts';
import type { Reading } from '../config-judge.ts';
import { filesOf, revisionOf } from '../config-texts.ts';
import type { Snapshot } from '../store.ts';
import { reasonOf } from '../../../text/system-errors.ts';
import { readFiles } from './config-files.ts';
import type { RawDirectory } from './config-files.ts';

/** The content of a configuration directory. With errors among the problems, the rest is incomplete. */
export type ConfigDirectory = Snapshot;

export type DirectoryReading = Reading<RawDirectory>;

export function readConfigDirectory(directory: string): Promise<ConfigDirectory> {
  return Promise.resolve(new ConfigReader(directory).read().snapshot);
}

export class ConfigReader {
  readonly directory: string;
  readonly judge: ConfigJudge;
  #last: DirectoryReading | undefined;

  constructor(directory: string) {
    this.directory = directory;
    this.judge = new ConfigJudge(directory);
  }

  /** Never throws: a read error is one of the problems. */
  read(): DirectoryReading {
    try {
      return asOwnerOf([this.directory], () => this.#read());
    } catch (error) {
      const message = `${unreadWords}: ${reasonOf(error)}`;
      return { snapshot: brokenSnapshot(this.directory, message), raw: undefined };
    }
  }

  #read(): DirectoryReading {
    if (!statSync(this.directory).isDirectory()) throw new Error('it is not a directory');
    const raw = readFiles(this.directory, this.#last?.raw);
    const last = this.#last;
    const isSame = last?.raw !== undefined && hasSameFiles(last.raw, raw);
    this.#last = { snapshot: isSame ? last.snapshot : this.judge.judge(raw), raw };
    return this.#last;
  }

  /** The revision that reading the directory now would give. */
  revision(): string {
    try {
      const read = (): RawDirectory => readFiles(this.directory, this.#last?.raw);
      return revisionOf(asOwnerOf([this.directory], read));
    } catch {
      return '';
    }
  }
}

/** Whether two states are the same objects. */
function hasSameFiles(a: RawDirectory, b: RawDirectory): boolean {
  const [ours, theirs] = [filesOf(a), filesOf(b)];
  return ours.length === theirs.length && ours.every((file, index) => file === theirs[index]);
}
