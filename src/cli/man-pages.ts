/**
 * Manual pages of section 1, made of commander's own tree: tunwall(1), and one for each verb, with the verbs below it. So they say
 * what `--help` says. `scripts/package` puts them into the Debian package.
 */
import type { Command } from 'commander';
import { helpOf, visibleVerbs } from './help-tree.ts';

/** Pages by their file names: `tunwall.1`, `tunwall-template.1`. */
export function manPages(program: Command, version: string): ReadonlyMap<string, string> {
  const verbs = visibleVerbs(program);
  const pages = new Map([['tunwall.1', overview(program, verbs, version)]]);
  for (const verb of verbs) {
    const name = `tunwall-${verb.name()}`;
    const sections = [
      ...heading(name, summaryOf(verb), version),
      ...synopsis(verb),
      '.SH DESCRIPTION',
      ...paragraphs(descriptionOf(verb)),
      ...details(verb, '.SH'),
      ...visibleVerbs(verb).flatMap((child) => subcommand(child)),
      ...seeAlso(['tunwall']),
    ];
    pages.set(`${name}.1`, pageOf(sections));
  }
  return pages;
}

function overview(program: Command, verbs: readonly Command[], version: string): string {
  return pageOf([
    ...heading('tunwall', 'stateful, default-drop firewall on a TUN device', version),
    ...synopsis(program),
    '.SH DESCRIPTION',
    ...paragraphs(descriptionOf(program)),
    '.SH VERBS',
    ...verbs.flatMap((verb) => item(`tunwall-${verb.name()}(1)`, summaryOf(verb))),
    ...options(program, '.SH'),
    ...remarks(program),
    '.SH FILES',
    ...item('/etc/tunwall', 'configuration: gateway.yaml, servers.yaml, templates, sets, users'),
    ...item('/var/lib/tunwall', 'history of the policy, and the audit log'),
    ...item('/run/tunwall', "control socket, the gateway's record, flows for the next process"),
    ...seeAlso(verbs.map((verb) => `tunwall-${verb.name()}`)),
  ]);
}

function heading(name: string, summary: string, version: string): string[] {
  return [
    `.TH ${name.toUpperCase()} 1 "" "tunwall ${version}" "tunwall"`,
    '.SH NAME',
    `${escape(name)} \\- ${escape(summary)}`,
  ];
}

function synopsis(command: Command): string[] {
  return ['.SH SYNOPSIS', `.B ${escape(command.createHelp().commandUsage(command))}`];
}

/** A verb below a verb: a section of its page. */
function subcommand(command: Command): string[] {
  return [
    `.SH "${escape(pathOf(command)).toUpperCase()}"`,
    `.B ${escape(command.createHelp().commandUsage(command))}`,
    '.PP',
    ...paragraphs(descriptionOf(command)),
    ...details(command, '.SS'),
    ...visibleVerbs(command).flatMap((child) => subcommand(child)),
  ];
}

function pathOf(command: Command): string {
  const above = command.parent === null ? '' : `${pathOf(command.parent)} `;
  return `${above}${command.name()}`;
}

function details(command: Command, level: '.SH' | '.SS'): string[] {
  const help = command.createHelp();
  const given = help.visibleArguments(command);
  const rows = given.flatMap((argument) =>
    item(help.argumentTerm(argument), help.argumentDescription(argument)),
  );
  const titled = rows.length === 0 ? [] : [`${level} ARGUMENTS`, ...rows];
  return [...titled, ...options(command, level), ...remarks(command, level)];
}

function options(command: Command, level: '.SH' | '.SS'): string[] {
  const help = command.createHelp();
  const rows = help
    .visibleOptions(command)
    .flatMap((option) => item(help.optionTerm(option), help.optionDescription(option)));
  return rows.length === 0 ? [] : [`${level} OPTIONS`, ...rows];
}

/** What stands behind the lists of the help: examples, exit codes, environment. */
function remarks(command: Command, level: '.SH' | '.SS' = '.SH'): string[] {
  const text = helpOf(command).slice(command.helpInformation().trimEnd().length).trim();
  return text === '' ? [] : [`${level} NOTES`, '.nf', ...text.split('\n').map(escape), '.fi'];
}

function seeAlso(pages: readonly string[]): string[] {
  return ['.SH "SEE ALSO"', pages.map((page) => `.BR ${escape(page)} (1)`).join(',\n')];
}

function summaryOf(command: Command): string {
  return command.summary() || command.description().split('\n')[0]!;
}

function descriptionOf(command: Command): string {
  return command.createHelp().commandDescription(command);
}

function item(term: string, text: string): string[] {
  return ['.TP', `.B ${escape(term)}`, ...paragraphs(text)];
}

function paragraphs(text: string): string[] {
  return text.split('\n').map((line) => (line === '' ? '.PP' : escape(line)));
}

/** Characters that groff would take for others, or for its own. */
const inRoff: Readonly<Record<string, string>> = {
  ...{ '\\': '\\e', '-': '\\-', "'": '\\(aq', '`': '\\(ga', '^': '\\(ha', '~': '\\(ti' },
};

/** Text in roff: what is copied from the page is what was written, and nothing is a control. */
function escape(text: string): string {
  return text.replace(/[-\\'`^~]/g, (character) => inRoff[character]!).replace(/^(?=\.)/, '\\&');
}

function pageOf(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
