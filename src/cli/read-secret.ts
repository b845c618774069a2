/** Passwords: typed without echo on a terminal, a new one twice; else lines of standard input, one per prompt. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { visible } from '../text/controls.ts';
import { UserError } from './errors.ts';
import type { ReadSecret } from './user-command.ts';

/** The part of a terminal, a pipe or a file that is needed. */
export interface SecretInput extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
}

export function createReadSecret(stdin: SecretInput, stderr: NodeJS.WritableStream): ReadSecret {
  if (stdin.isTTY !== true) return readLines(stdin);
  return async (prompt, which) => {
    const first = await ask(stdin, stderr, `${prompt}: `);
    if (which === 'known' || first === (await ask(stdin, stderr, 'again: '))) return first;
    throw new UserError('the two passwords differ', 'nothing was changed');
  };
}

function noPassword(): UserError {
  return new UserError('no password was given', 'nothing was changed');
}

/** One reader for all prompts: it may have read beyond the first line. */
function readLines(stdin: SecretInput): ReadSecret {
  let lines: NodeJS.AsyncIterator<string> | undefined;
  return async () => {
    lines ??= createInterface({ input: stdin })[Symbol.asyncIterator]();
    const next = await lines.next();
    if (next.done === true) throw noPassword();
    return next.value;
  };
}

async function ask(
  stdin: SecretInput,
  stderr: NodeJS.WritableStream,
  prompt: string,
): Promise<string> {
  stderr.write(visible(prompt));
  // readline edits the line, and echoes it to an output that discards it.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output, terminal: true });
  try {
    return await new Promise((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('close', () => reject(noPassword()));
    });
  } finally {
    lines.close();
    stderr.write('\n');
  }
}
