/**
 * What a user sees when something goes wrong: one line with the error and its place, one with the remedy, and an exit
 * code. Never a stack, unless TUNWALL_DEBUG asks for it.
 */
import { line, linesOf } from '../text/line.ts';
import type { Output } from './output.ts';

/** 0 success, 1 failure, 2 usage error, 3 done, and not yet everywhere (`--wait`). */
export const ExitCode = { ok: 0, failed: 1, usage: 2, pending: 3 } as const;

/**
 * An error that the user can do something about. Other folders throw their own classes; an error is the user's if it
 * has a `hint` (see {@link printError}).
 */
export class UserError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UserError';
    this.hint = hint;
  }
}

/** Prints any thrown value on stderr. */
export function printError(output: Output, error: unknown): void {
  const debug = output.environment['TUNWALL_DEBUG'] === '1';
  const isUsers = error instanceof Error && 'hint' in error;
  const message = error instanceof Error ? error.message : String(error);
  const [first, ...rest] = linesOf(`${isUsers ? '' : 'unexpected error: '}${message}`);
  output.error([line`${output.style('red', 'tunwall:')} ${first!}`, ...rest]);
  if (isUsers && typeof error.hint === 'string') output.error(`  ${error.hint}`);
  if (debug && error instanceof Error) output.error(linesOf(describeWithCauses(error)));
  else if (!isUsers) output.error('  set TUNWALL_DEBUG=1 for the stack, and report it');
}

/** An error for a program: what `printError` says, and for an answer of the API its kind and the places of all errors. */
export function errorForProgram(error: unknown, exitCode: number): object {
  const message = error instanceof Error ? error.message : String(error);
  const isUsers = error instanceof Error && 'hint' in error;
  const { hint, kind, details } = (isUsers ? error : {}) as Partial<{
    hint: string;
    kind: string;
    details: { readonly detail?: string; readonly errors?: readonly object[] };
  }>;
  return {
    error: {
      message: details?.detail ?? message,
      ...(kind !== undefined && kind !== '' && { kind }),
      ...(hint !== undefined && { hint }),
      ...(details?.errors !== undefined && { errors: details.errors }),
      exitCode,
    },
  };
}

function describeWithCauses(error: Error): string {
  const own = error.stack ?? error.message;
  return error.cause instanceof Error
    ? `${own}\ncaused by: ${describeWithCauses(error.cause)}`
    : own;
}
