/**
 * `tunwall reference`: the help of every command, as Markdown, which `scripts/docs` puts into docs/command-line.md, or as manual
 * pages. Read from commander's own tree, so that no verb can be forgotten; hidden, because users have `--help`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { helpOf, visibleVerbs } from './help-tree.ts';
import { manPages } from './man-pages.ts';
import type { Verb } from './program.ts';

export const referenceCommand: Verb = (program, output, finish) => {
  program
    .command('reference', { hidden: true })
    .description('the help of every command, as Markdown')
    .option('--man <directory>', 'manual pages into this directory instead')
    .action(({ man }: { man?: string }) => {
      if (man === undefined) output.document(referenceOf(program));
      else writePages(man, program);
      return finish(Promise.resolve(0));
    });
};

function writePages(directory: string, program: Command): void {
  for (const [name, text] of manPages(program, program.version()!)) {
    writeFileSync(join(directory, name), text);
  }
}

function referenceOf(program: Command): string {
  const verbs = visibleVerbs(program);
  return [...verbs.map(summaryRow), '', ...verbs.flatMap((verb) => sections(verb, 'tunwall', 2))]
    .join('\n')
    .replace(/^/, '| verb | does |\n|---|---|\n')
    .trimEnd();
}

function summaryRow(verb: Command): string {
  const anchor = `tunwall-${verb.name()}`;
  const does = (verb.summary() || verb.description().split('\n')[0]!).replaceAll('|', '\\|');
  return `| [\`tunwall ${verb.name()}\`](#${anchor}) | ${does} |`;
}

function sections(command: Command, parent: string, level: number): string[] {
  const path = `${parent} ${command.name()}`;
  const children = visibleVerbs(command);
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
