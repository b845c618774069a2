/** Input that a user names: a file, or `-` for standard input. Its size is bounded, and every failure is a user error. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { UserError } from './errors.ts';
import { reasonOf } from '../text/system-errors.ts';

/** Rule sets and packet dumps are smaller; anything larger is another kind of file. */
const maxInputBytes = 64 << 20;

export async function readInput(file: string): Promise<string> {
  const name = file === '-' ? 'standard input' : file;
  const stream: Readable = file === '-' ? process.stdin : createReadStream(file);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxInputBytes) throw new Error('it is larger than 64 MiB');
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throw new UserError(
      `${name} cannot be read: ${reasonOf(error)}`,
      'name a file, or - for standard input',
      { cause: error },
    );
  }
}
