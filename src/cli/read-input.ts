/** Input that a user names: a file, or `-` for standard input. Its size is bounded, and every failure is a user error. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { UserError } from './errors.ts';

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
    const { code, message } = error as NodeJS.ErrnoException;
    const known: Record<string, string> = {
      ENOENT: 'it does not exist',
      EACCES: 'permission denied',
      EISDIR: 'it is a directory',
      ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8 text',
    };
    throw new UserError(
      `${name} cannot be read: ${known[code ?? ''] ?? message}`,
      'name a file, or - for standard input',
      { cause: error },
    );
  }
}
