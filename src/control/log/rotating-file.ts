/**
 * A file of lines that is appended to, and put aside when it is full: NAME becomes NAME.1, that NAME.2, and the last one goes.
 *
 * It is opened again after an error. What was written of a line then is ended, so that the next line begins on its own.
 */
import { constants } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { openOwnFile } from '../../system/safe-file.ts';

const { O_APPEND, O_CREAT, O_RDWR } = constants;

/** Addresses of clients are nobody else's business. */
const fileMode = 0o640;

const newline = 0x0a;

export interface RotatingFileOptions {
  readonly path: string;
  /** Bytes after which a new file is begun. */
  readonly maxSize: number;
  /** How many full files are kept beside it. */
  readonly keep: number;
}

export class RotatingFile {
  readonly #options: RotatingFileOptions;
  #file: FileHandle | undefined;
  #size = 0;

  constructor(options: RotatingFileOptions) {
    this.#options = options;
  }

  /** Opens it if it is not open. Throws an `UnsafeFile` or the system's error. */
  async open(): Promise<void> {
    if (this.#file !== undefined) return;
    const { path } = this.#options;
    const file = await openOwnFile(path, O_RDWR | O_APPEND | O_CREAT, fileMode);
    try {
      const { size } = await file.stat();
      this.#size = size;
      if (size > 0) {
        const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
        if (buffer[0] !== newline) this.#size += (await file.write('\n')).bytesWritten;
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
  }

  /** Appends whole lines to the open file. One call at a time. Throws the system's error; then it is closed. */
  async append(lines: string): Promise<void> {
    const length = Buffer.byteLength(lines);
    try {
      if (this.#size > 0 && this.#size + length > this.#options.maxSize) {
        await this.#rotate();
        await this.open();
      }
      await this.#file!.appendFile(lines);
      this.#size += length;
    } catch (error) {
      await this.close().catch(() => undefined);
      throw error;
    }
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #rotate(): Promise<void> {
    const { path, keep } = this.#options;
    await this.close();
    if (keep === 0) await rm(path, { force: true });
    for (let number = keep; number > 0; number--) {
      const from = number === 1 ? path : `${path}.${number - 1}`;
      await rename(from, `${path}.${number}`).catch((error: unknown) => {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      });
    }
  }
}
