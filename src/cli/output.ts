/**
 * Where the command line writes to: two sinks, the environment, and colours, for standard output and standard error
 * only on a terminal. Each command gets one, so tests can read its output.
 */
import { styleText } from 'node:util';

type Colour = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

/** A text sink such as process.stdout. */
export interface Sink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface Output {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** One line, or several, on standard output. */
  print(text: string): void;
  /** Likewise on standard error. */
  error(text: string): void;
  /** Data for programs, on standard output. */
  json(value: unknown): void;
  /** Coloured on a terminal, unless NO_COLOR is set (https://no-color.org). */
  style(colour: Colour, text: string): string;
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
    print: (text) => void stdout.write(`${text}\n`),
    error: (text) => void stderr.write(`${text}\n`),
    json: (value) => void stdout.write(`${JSON.stringify(value, null, 2)}\n`),
    style: (colour, text) => (colours ? styleText(colour, text, { validateStream: false }) : text),
  };
}
