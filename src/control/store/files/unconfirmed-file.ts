/** The change that waits for confirmation, in the state directory: `unconfirmed.json`. Written before the change is. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import type { Unconfirmed } from '../store.ts';
import { writeDurably } from './durable-file.ts';

const maxBytes = 64 << 10;

export class UnconfirmedFile {
  readonly #path: string;

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, 'unconfirmed.json');
  }

  async read(): Promise<Unconfirmed | undefined> {
    const read = await readOwnFile(this.#path, maxBytes);
    return read && (JSON.parse(read.bytes.toString('utf8')) as Unconfirmed);
  }

  async write(change: Unconfirmed): Promise<void> {
    await writeDurably(this.#path, JSON.stringify(change), 0o640);
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
