/**
 * What a gateway keeps of the shared policy on its own disk, beside the last good configuration: which commit it has taken, so
 * that it never goes back behind it, and the users, so that they may log in while there is no etcd.
 */
import { join } from 'node:path';
import { readOwnFile } from '../../../system/safe-file.ts';
import { maxFileBytes } from '../config-texts.ts';
import { writeDurably } from '../files/durable-file.ts';
import { makeStateDirectory } from '../files/state-directory.ts';
import type { Head } from './layout.ts';

/** A commit that was taken. */
export type Mark = Pick<Head, 'generation' | 'seq' | 'commit'>;

export class LocalState {
  readonly directory: string;
  #keptUsers: string | undefined;

  constructor(stateDirectory: string) {
    this.directory = join(stateDirectory, 'etcd');
  }

  /** `undefined` when there is none. @throws when it cannot be read */
  async mark(): Promise<Mark | undefined> {
    const read = await readOwnFile(join(this.directory, 'commit.json'), maxFileBytes);
    if (read === undefined) return undefined;
    const { generation, seq, commit } = JSON.parse(read.bytes.toString('utf8')) as Mark;
    return { generation, seq, commit };
  }

  async keepMark({ generation, seq, commit }: Mark): Promise<void> {
    const text = `${JSON.stringify({ generation, seq, commit })}\n`;
    await this.#write('commit.json', text, 0o640);
  }

  async users(): Promise<string | undefined> {
    const read = await readOwnFile(join(this.directory, 'users.yaml'), maxFileBytes);
    return read?.bytes.toString('utf8');
  }

  /** For times without etcd. Never throws. */
  async keepUsers(text: string | undefined, onWarning: (message: string) => void): Promise<void> {
    if (text === undefined || text === this.#keptUsers) return;
    try {
      await this.#write('users.yaml', text, 0o600);
      this.#keptUsers = text;
    } catch (error) {
      onWarning(`users cannot be kept for times without etcd: ${(error as Error).message}`);
    }
  }

  async #write(name: string, text: string, mode: number): Promise<void> {
    await makeStateDirectory(this.directory);
    await writeDurably(join(this.directory, name), text, mode);
  }
}
