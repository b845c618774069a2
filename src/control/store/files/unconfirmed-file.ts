/** The change that waits for confirmation, in the state directory: `unconfirmed.json`. Written before the change is. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import { StoreError } from '../failures.ts';
import type { Unconfirmed } from '../store.ts';
import { readOnly, writeDurably } from './durable-file.ts';
import { hasTexts, isActor, isObject, parsedJson } from './stored-json.ts';

const maxBytes = 64 << 10;

export class UnconfirmedFile {
  readonly #path: string;

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, 'unconfirmed.json');
  }

  /**
   * Undefined: nothing waits. Nobody may pass over what does, so that a file which cannot be read is no missing one.
   *
   * @throws StoreError `read-only`, or `failed` for one that is damaged
   */
  async read(): Promise<Unconfirmed | undefined> {
    let text: string | undefined;
    try {
      text = (await readOwnFile(this.#path, maxBytes))?.bytes.toString('utf8');
    } catch (error) {
      throw new StoreError([readOnly(this.#path, 'the file', error)], error);
    }
    if (text === undefined) return undefined;
    const found = parsedJson(text);
    if (isUnconfirmed(found)) return found;
    const message = `${this.#path} is damaged: a change waits for confirmation, and which one is lost. See the history, and remove the file`;
    throw new StoreError([{ kind: 'failed', message }]);
  }

  async write(change: Unconfirmed): Promise<void> {
    await writeDurably(this.#path, JSON.stringify(change), 0o640);
  }

  async remove(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

function isUnconfirmed(found: unknown): found is Unconfirmed {
  return (
    isObject(found) &&
    hasTexts(found, 'summary', 'at', 'until') &&
    isActor(found['actor']) &&
    !Number.isNaN(Date.parse(found['until'] as string)) &&
    ['number', 'back'].every((key) => Number.isInteger(found[key]))
  );
}
