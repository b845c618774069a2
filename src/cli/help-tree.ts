/** Commander's own tree, as the reference and the manual pages read it. */
import type { Command } from 'commander';

const columns = 100;

/** Commands below a command, but for the `help` that commander makes for every one that has others. */
export function visibleVerbs(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((child) => child.name() !== 'help');
}

/** As `--help` prints it, with what was added behind it. */
export function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (piece) => (text += piece),
    getOutHelpWidth: () => columns,
  });
  command.outputHelp();
  return text.trimEnd();
}
