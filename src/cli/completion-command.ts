/** `tunwall completion`: scripts for bash and zsh, and the names that they query. */
import { Argument } from 'commander';
import type { Command } from 'commander';
import { clientVerb } from './client-verb.ts';
import { completedCommands, nameKinds } from './completion-model.ts';
import type { NameKind } from './completion-model.ts';
import { namesOf } from './completion-names.ts';
import { bashCompletion, zshCompletion } from './completion-scripts.ts';
import { addConnectionOptions } from './connection.ts';
import type { ConnectionFlags, Connections } from './connection.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';

const scripts = { bash: bashCompletion, zsh: zshCompletion } as const;

export function completionCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, { output, run }) => {
    const family = program
      .command('completion')
      .description('a script that completes the command line, names, peers and labels included')
      .addHelpText(
        'after',
        examples([
          ['source <(tunwall completion bash)', 'in ~/.bashrc'],
          ['source <(tunwall completion zsh)', 'in ~/.zshrc, behind compinit'],
          ['tunwall completion bash > /etc/bash_completion.d/tunwall', 'for everybody'],
        ]),
      );
    for (const shell of ['bash', 'zsh'] as const) {
      family
        .command(shell)
        .description(`for ${shell}`)
        .action(() => printScript(program, shell, output));
    }
    const names = family
      .command('names', { hidden: true })
      .description('the names that there are, one a line')
      .addArgument(new Argument('<kind>', 'of what').choices(nameKinds));
    addConnectionOptions(names).action((kind: NameKind, flags: ConnectionFlags) =>
      run(flags, async (client) => {
        const found = await namesOf(client, kind);
        if (found.length > 0) output.print(found);
      }),
    );
  });
}

function printScript(program: Command, shell: keyof typeof scripts, output: Output): void {
  output.document(scripts[shell](completedCommands(program)));
}
