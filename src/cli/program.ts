/**
 * The frame of the command line: one commander program, built from the given verbs, and the one place that turns
 * arguments into an exit code.
 *
 * A verb is a module that adds itself to the program and calls an action which it is given; main.ts
 * gives them. Verbs set the exit code through {@link Verb}; nothing calls process.exit, so output into a pipe is always
 * complete.
 */
import { Command, CommanderError } from 'commander';
import { ExitCode, errorForProgram, printError } from './errors.ts';
import { inTodaysWords, withoutDestructive } from './old-spellings.ts';
import { line, linesOf } from '../text/line.ts';
import { notesAsJson } from './output.ts';
import type { Output } from './output.ts';

/** The result of a verb's action: its exit code. */
export type Outcome = Promise<number>;

/**
 * Adds a verb to the program. `finish` takes the outcome of its action; a verb's commander action must
 * return what `finish` returns.
 */
export type Verb = (
  program: Command,
  output: Output,
  finish: (outcome: Outcome) => Promise<void>,
) => void;

export interface ProgramParts {
  readonly version: string;
  readonly output: Output;
  readonly verbs: readonly Verb[];
}

const description =
  'A stateful, default-drop userspace firewall on a Linux TUN device.\n\n' +
  'Firewall templates (sets of allow rules) are assigned to servers; everything else is dropped.';

/**
 * Parses `args` (without node and script), runs the verb and returns the exit code. Never throws.
 */
export async function runProgram(args: readonly string[], parts: ProgramParts): Promise<number> {
  let exitCode: number = ExitCode.ok;
  const finish = async (outcome: Outcome): Promise<void> => {
    exitCode = await outcome;
  };
  const { args: words, notices } = inTodaysWords(args);
  const asJson = words.includes('--json');
  const output = asJson ? notesAsJson(parts.output) : parts.output;
  const program = buildProgram({ ...parts, output }, finish, asJson);
  try {
    for (const notice of notices) output.error(line`${output.style('yellow', 'note:')} ${notice}`);
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return ExitCode.ok;
      // commander has printed its message for people; its own code is 1 for everything but help.
      if (asJson) output.jsonError(errorForProgram(usageError(error), ExitCode.usage));
      return ExitCode.usage;
    }
    if (asJson) output.jsonError(errorForProgram(error, ExitCode.failed));
    else printError(output, error);
    return ExitCode.failed;
  }
}

function usageError({ code, message }: CommanderError): Error {
  if (code === 'commander.help') return new Error('expected a verb: --help lists them');
  return new Error(withoutDestructive(message.replace(/^error: /, '')));
}

function buildProgram(
  parts: ProgramParts,
  finish: (outcome: Outcome) => Promise<void>,
  asJson: boolean,
): Command {
  const { output, version, verbs } = parts;
  const program = new Command('tunwall')
    .description(description)
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [verb]', 'print the help of a verb')
    // An option belongs to the command that it follows: `flows` and `flows kill` share some.
    .enablePositionalOptions()
    .showHelpAfterError('(tunwall --help lists the verbs and options)')
    .configureOutput({
      writeOut: (text) => output.print(linesOf(text.trimEnd())),
      // A program gets its error as JSON, once it is thrown.
      writeErr: (text) => {
        if (!asJson) output.error(linesOf(text.trimEnd()));
      },
      outputError: (text, write) =>
        write(withoutDestructive(text.replace(/^error: /, 'tunwall: '))),
    })
    // In lists only the first line is shown.
    .configureHelp({
      subcommandDescription: (command) =>
        command.summary() || command.description().split('\n')[0]!,
    })
    .exitOverride()
    .addHelpText(
      'after',
      '\nExit codes: 0 fine, 1 failed, 2 called wrongly. With --json errors and notes are JSON, too, on standard error.' +
        '\nEnvironment: TUNWALL_CONFIG, TUNWALL_SOCKET, TUNWALL_URL and TUNWALL_TOKEN stand for options,' +
        '\nNO_COLOR turns colours off, TUNWALL_DEBUG=1 prints stacks of errors.',
    );
  for (const verb of verbs) verb(program, output, finish);
  return program;
}

/** Text for `addHelpText('after', ...)`: commands with what they do, in two columns. */
export function examples(rows: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...rows.map(([command]) => command.length));
  const lines = rows.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`);
  return `\nExamples:\n${lines.join('\n')}`;
}
