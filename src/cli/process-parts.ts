/** What verbs need from their process: its user, its signals, its files. main.ts passes them on. */
import { userInfo } from 'node:os';
import type { Writable } from 'node:stream';
import { openOutputFile } from '../system/output-file.ts';
import { visible } from '../text/controls.ts';
import { UserError } from './errors.ts';

/** The user, for the audit log; under sudo the user that called it. */
export function callerName(
  environment: Readonly<Record<string, string | undefined>>,
  uid: number,
): string {
  let name = environment['SUDO_USER'];
  try {
    name ??= userInfo().username;
  } catch {
    // A user without an entry in the password file is named by number.
  }
  return name !== undefined && /^[\w.@-]{1,64}$/.test(name) ? name : `uid-${uid}`;
}

/** Aborted by the first Ctrl-C or SIGTERM, which end the current work; the second one ends the process as usual. */
export function interruptedBy(emitter: NodeJS.EventEmitter): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    emitter.off('SIGINT', abort).off('SIGTERM', abort);
    controller.abort();
  };
  emitter.on('SIGINT', abort).on('SIGTERM', abort);
  return controller.signal;
}

/** Asks a person. @returns `undefined` when there is nobody to be asked */
export async function confirm(
  question: string,
  input: NodeJS.ReadStream,
  output: NodeJS.WriteStream,
): Promise<boolean | undefined> {
  if (!input.isTTY) return undefined;
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input, output });
  try {
    return /^y(es)?$/i.test((await terminal.question(visible(`${question} [y/N] `))).trim());
  } finally {
    terminal.close();
  }
}

/** A file to be overwritten; `-` is standard output. */
export async function openToWrite(path: string, stdout: Writable): Promise<Writable> {
  if (path === '-') return stdout;
  try {
    return await openOutputFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(
      `${path} cannot be written: ${code ?? message}`,
      'name a file in a directory that is there, and no link in a shared one; - is standard output',
      { cause: error },
    );
  }
}
