/**
 * `tunwall reference`: the help of every command, as Markdown. `scripts/docs` puts it into docs/command-line.md. Read from
 * commander's own tree, so that no verb can be forgotten; hidden, because users have `--help`.
 */
import type { Command } from 'commander';
import type { Verb } from './program.ts';

const columns = 100;

export const referenceCommand: Verb = (program, output, finish) => {
  program
    .command('reference', { hidden: true })
    .description('the help of every command, as Markdown')
    .action(() => {
      output.document(referenceOf(program));
      return finish(Promise.resolve(0));
    });
};

function referenceOf(program: Command): string {
  const verbs = program.createHelp().visibleCommands(program).filter(isReal);
  return [...verbs.map(summaryRow), '', ...verbs.flatMap((verb) => sections(verb, 'tunwall', 2))]
    .join('\n')
    .replace(/^/, '| verb | does |\n|---|---|\n')
    .trimEnd();
}

/** commander makes a `help` for every command that has others. */
function isReal(command: Command): boolean {
  return command.name() !== 'help';
}

function summaryRow(verb: Command): string {
  const anchor = `tunwall-${verb.name()}`;
  const does = (verb.summary() || verb.description().split('\n')[0]!).replaceAll('|', '\\|');
  return `| [\`tunwall ${verb.name()}\`](#${anchor}) | ${does} |`;
}

function sections(command: Command, parent: string, level: number): string[] {
  const path = `${parent} ${command.name()}`;
  const children = command.createHelp().visibleCommands(command).filter(isReal);
  return [
    `${'#'.repeat(level)} ${path}`,
    '',
    '```text',
    helpOf(command),
    '```',
    '',
    ...children.flatMap((child) => sections(child, path, level + 1)),
  ];
}

/** As `--help` prints it, with what was added behind it. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (piece) => (text += piece),
    getOutHelpWidth: () => columns,
  });
  command.outputHelp();
  return text.trimEnd();
}
