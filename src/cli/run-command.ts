/** `tunwall run`: its options and help; the firewall itself is given. */
import { Option } from 'commander';
import { examples, type Outcome, type Verb } from './program.ts';

export const defaultConfigDirectory = '/etc/tunwall';

/** Where the configuration is if no option says so. */
export function usualDirectory(): string {
  return process.env['TUNWALL_CONFIG'] ?? defaultConfigDirectory;
}

/** `--config` of the verbs that read a directory. */
export function configOption(): Option {
  return new Option('--config <dir>', 'configuration directory')
    .default(defaultConfigDirectory)
    .env('TUNWALL_CONFIG');
}

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
      .addOption(configOption())
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
