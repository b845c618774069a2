/**
 * Where the command line writes to: two sinks, the environment, and colours, for standard output and standard error
 * only on a terminal. Each command gets one, so tests can read its output.
 *
 * The only way to a terminal: everything printed is a {@link Line}, in which foreign text has no effect.
 */
import { visible } from '../text/controls.ts';
import { Line, linesOf } from '../text/line.ts';
import type { Colour, Text } from '../text/line.ts';

/** A text sink such as process.stdout. */
export interface Sink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface Output {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** One line, or several, on standard output. A line break within one is shown as `\n`. */
  print(text: Text | readonly Text[]): void;
  /** Likewise on standard error. */
  error(text: Text | readonly Text[]): void;
  /** A text for programs (a script, a file) on standard output: as it is, unless a person looks at it. */
  document(text: string): void;
  /** Data for programs, on standard output. Control characters are escaped, which are the same values in JSON. */
  json(value: unknown): void;
  /** The same on standard error. */
  jsonError(value: unknown): void;
  /** Coloured on a terminal, unless NO_COLOR is set (https://no-color.org). */
  style(colour: Colour, text: Text): Line;
}

export function createOutput(
  stdout: Sink,
  stderr: Sink,
  environment: Readonly<Record<string, string | undefined>>,
): Output {
  const person = stdout.isTTY === true && stderr.isTTY === true && environment['TERM'] !== 'dumb';
  const colours = person && (environment['NO_COLOR'] ?? '') === '';
  return {
    environment,
    print: (text) => void stdout.write(terminalText(text)),
    error: (text) => void stderr.write(terminalText(text)),
    document(text) {
      const ended = `${text.trimEnd()}\n`;
      stdout.write(stdout.isTTY === true ? terminalText(linesOf(ended.slice(0, -1))) : ended);
    },
    json: (value) => void stdout.write(terminalText(linesOf(JSON.stringify(value, null, 2)))),
    jsonError: (value) => void stderr.write(terminalText(linesOf(JSON.stringify(value, null, 2)))),
    style: (colour, text) => (colours ? Line.colour(colour, text) : Line.of(text)),
  };
}

/** For a program that reads standard error as well: what is said there beside the error is JSON, too: `note`, or `warning`. */
export function notesAsJson(output: Output): Output {
  const error = (text: Text | readonly Text[]): void => {
    const lines = typeof text === 'string' || text instanceof Line ? [text] : text;
    for (const each of lines) {
      const { plain } = Line.of(each);
      const [, key = 'note', rest = plain] = /^(note|warning): (.*)$/.exec(plain) ?? [];
      output.jsonError({ [key]: rest });
    }
  };
  return { ...output, error };
}

function terminalText(text: Text | readonly Text[]): string {
  if (typeof text === 'string') return `${visible(text)}\n`;
  if (text instanceof Line) return `${text.coloured}\n`;
  return text.map((each) => `${Line.of(each).coloured}\n`).join('');
}
