/** `tunwall demo`: its options and help; the demonstration itself is given. */
import { examples, type Outcome, type Verb } from './program.ts';

export interface DemoOptions {
  /** End after the tries instead of waiting for Ctrl-C. */
  readonly once: boolean;
  readonly json: boolean;
}

export function demoCommand(action: (options: DemoOptions) => Outcome): Verb {
  return (program, _output, finish) => {
    program
      .command('demo')
      .description(
        'three network namespaces, ping and curl through the firewall, a live reload.\n' +
          'Needs no root, unless this machine forbids user namespaces to ordinary users.\n' +
          'Stays up until Ctrl-C, with the panel at an address that it prints, and removes everything that it made.',
      )
      .option('--once', 'end after the last try; exit code 1 if anything was not as expected')
      .option('--json', 'print the tries as JSON')
      .addHelpText(
        'after',
        examples([
          ['tunwall demo', 'watch, then play with it from another terminal'],
          ['tunwall demo --once --json', 'for a script'],
        ]),
      )
      .action((flags: { once?: boolean; json?: boolean }) =>
        finish(action({ once: flags.once === true, json: flags.json === true })),
      );
  };
}
