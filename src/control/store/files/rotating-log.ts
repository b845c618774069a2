/**
 * An append-only log of bounded size: at `maxBytes` the file `NAME` becomes `NAME.1`, the previous one `NAME.2`, and so
 * on; the oldest of `keptFiles` is removed.
 *
 * Lines are one write(2) to a file opened for appending, and on disk before `append` resolves. After a crash the last line
 * may be torn: the next append ends it, and readers must skip it. A writer holds the lock of the directory, so that no
 * process writes to a rotated file.
 */
import { constants } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openOwnFile, readOwnFile } from '../../../system/safe-file.ts';
import { appendDurably, syncDirectory } from './durable-file.ts';

const mode = 0o640;
/** What the last line may add to `maxBytes`, and more. */
const maxLineBytes = 1 << 20;

export interface RotatingLogOptions {
  readonly maxBytes: number;
  readonly keptFiles: number;
}

export class RotatingLog {
  readonly #directory: string;
  readonly #name: string;
  readonly #options: RotatingLogOptions;

  constructor(directory: string, name: string, options: RotatingLogOptions) {
    this.#directory = directory;
    this.#name = name;
    this.#options = options;
  }

  async append(...lines: readonly string[]): Promise<void> {
    if ((await this.#size(0)) >= this.#options.maxBytes) await this.#rotate();
    await appendDurably(this.#path(0), lines, mode);
  }

  /** The last lines of each file, newest first. The oldest line of a file may lack its beginning. @param maxBytes of each */
  async *tails(maxBytes: number): AsyncGenerator<string, undefined> {
    for (let index = 0; index < this.#options.keptFiles; index++) {
      const size = await this.#size(index);
      if (size === 0 && index > 0) return;
      if (size === 0) continue;
      const file = await openOwnFile(this.#path(index), constants.O_RDONLY);
      try {
        const bytes = Buffer.alloc(Math.min(size, maxBytes));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, size - bytes.length);
        yield* bytes.toString('utf8', 0, bytesRead).split('\n').reverse();
      } finally {
        await file.close();
      }
    }
  }

  /** All lines, each once, also during a rotation. */
  async *newestFirst(): AsyncGenerator<string, undefined> {
    const read = new Set<number>();
    for (let index = 0; index < this.#options.keptFiles; index++) {
      const found = await this.#read(index);
      // During a rotation the first file may be missing.
      if (found === undefined && index > 0) return;
      if (found === undefined || read.has(found.inode)) continue;
      read.add(found.inode);
      const lines = found.text.split('\n');
      for (let line = lines.length - 1; line >= 0; line--) yield lines[line]!;
    }
  }

  #path(index: number): string {
    return join(this.#directory, index === 0 ? this.#name : `${this.#name}.${index}`);
  }

  async #size(index: number): Promise<number> {
    return await stat(this.#path(index)).then(
      ({ size }) => size,
      () => 0,
    );
  }

  async #read(index: number): Promise<{ text: string; inode: number } | undefined> {
    const read = await readOwnFile(this.#path(index), this.#options.maxBytes + maxLineBytes);
    return read && { text: read.bytes.toString('utf8'), inode: read.stats.ino };
  }

  async #rotate(): Promise<void> {
    const { keptFiles } = this.#options;
    await rm(this.#path(keptFiles - 1), { force: true });
    for (let index = keptFiles - 2; index >= 0; index--) {
      await rename(this.#path(index), this.#path(index + 1)).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      });
    }
    await syncDirectory(this.#directory);
  }
}
