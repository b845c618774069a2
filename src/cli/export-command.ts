/** `tunwall export nft`: the policy of a configuration directory for another firewall. */
import { exportNft } from '../interop/rules/nft.ts';
import { didYouMean, formatProblem } from '../policy/problem.ts';
import type { PolicySource, Problem, Server } from '../policy/types.ts';
import { ExitCode, UserError } from './errors.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import { configOption } from './run-command.ts';

/** The part of a configuration directory that is needed. */
export interface ExportConfig extends PolicySource {
  readonly problems: readonly Problem[];
}

interface Flags {
  readonly server?: string;
  readonly config: string;
  readonly json?: boolean;
}

export function exportCommand(readConfig: (directory: string) => Promise<ExportConfig>): Verb {
  return (program, output, finish) => {
    const command = program
      .command('export')
      .description('print the policy in the language of another firewall');
    command
      .command('nft')
      .description(
        'an nft ruleset that gives the same verdicts on what the kernel forwards.\n' +
          'It replaces the table inet tunwall, and drops what no rule allows, as tunwall does.',
      )
      .option('--server <server>', "this server only: the other servers' rules are not asked")
      .addOption(configOption())
      .option('--json', 'print JSON: { ruleset }')
      .addHelpText(
        'after',
        examples([
          ['tunwall export nft > tunwall.nft', 'the whole policy'],
          ['tunwall export nft --server web-1 | nft -c -f -', 'check one of a server'],
        ]),
      )
      .action((flags: Flags) => finish(printNft(flags, readConfig, output)));
  };
}

async function printNft(
  flags: Flags,
  readConfig: (directory: string) => Promise<ExportConfig>,
  output: Output,
): Promise<number> {
  const config = await readConfig(flags.config);
  const wrong = config.problems.find(({ severity }) => severity === 'error');
  if (wrong !== undefined) {
    throw new UserError(
      formatProblem(wrong),
      `see all that is wrong: tunwall check --config ${flags.config}`,
    );
  }
  const ruleset = exportNft(config, choose(config.servers, flags.server));
  if (flags.json === true) output.json({ ruleset });
  else output.document(ruleset);
  return ExitCode.ok;
}

/** Names of the servers to export; undefined: all. */
function choose(servers: readonly Server[], name: string | undefined): string[] | undefined {
  if (name === undefined) return undefined;
  const known = servers.map((server) => server.name);
  if (known.includes(name)) return [name];
  throw new UserError(
    `there is no server "${name}"${didYouMean(name, known)}`,
    known.length === 0 ? 'servers.yaml has no servers' : `servers: ${known.join(', ')}`,
  );
}
