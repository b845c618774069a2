/** The command line as it is typed, without a process: verbs, arguments, and what is printed. */
import type { WatchParts } from '../../src/cli/gateway-watch.ts';
import { createOutput } from '../../src/cli/output.ts';
import { runProgram } from '../../src/cli/program.ts';
import type { Verb } from '../../src/cli/program.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly tty?: boolean;
  readonly environment?: Record<string, string>;
  /** Called with everything that is printed on standard output, as it comes. */
  readonly onOut?: (text: string) => void;
}

/** For commands of `gateway` that watch nothing. */
export const unwatched: WatchParts = {
  watch: () => Promise.reject(new Error('not asked')),
  createLogger: () => Promise.reject(new Error('not asked')),
  interrupted: () => AbortSignal.abort(),
  notify: () => Promise.reject(new Error('not asked')),
};

/** A line of arguments; quotes hold blanks together. */
export function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|\S+/g)].map(([whole, quoted]) => quoted ?? whole);
}

export async function runCli(
  verbs: readonly Verb[],
  args: readonly string[],
  { tty = false, environment = {}, onOut }: RunOptions = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  const stdout = {
    isTTY: tty,
    write: (text: string) => {
      out += text;
      onOut?.(text);
    },
  };
  const stderr = { isTTY: tty, write: (text: string) => (err += text) };
  const output = createOutput(stdout, stderr, environment);
  const code = await runProgram(args, { version: '1.2.3', output, verbs });
  return { code, out, err };
}
