/** `tunwall run`: its options and help; the firewall itself is given. */
import { examples, type Outcome, type Verb } from './program.ts';

export const defaultConfigDirectory = '/etc/tunwall';

export interface RunOptions {
  readonly configDirectory: string;
}

export function runCommand(action: (options: RunOptions) => Outcome): Verb {
  return (program, _output, finish) => {
    program
      .command('run')
      .description(
        'run the firewall until SIGTERM or SIGINT; SIGHUP, or saving a file, reloads.\n' +
          'Needs no privilege: the device belongs to the user named at `tunwall gateway up --user`.',
      )
      .option('--config <dir>', 'configuration directory', defaultConfigDirectory)
      .addHelpText(
        'after',
        examples([
          ['tunwall run', `with ${defaultConfigDirectory}`],
          ['tunwall run --config ./config', 'with another configuration directory'],
        ]),
      )
      .action((flags: { config: string }) => finish(action({ configDirectory: flags.config })));
  };
}
