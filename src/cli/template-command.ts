/** `tunwall template`: templates as a whole. Their rules, history and editor are in files of their own. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { route } from './api-client.ts';
import type {
  Changed,
  PresetListView,
  PresetView,
  TemplateListView,
  TemplateView,
} from './api-types.ts';
import { clientCommand, clientVerb, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { printRules } from './rules.ts';
import type { Output } from './output.ts';
import { collect } from './option-values.ts';
import type { Verb } from './program.ts';
import { line } from '../text/line.ts';
import { formatTable } from '../text/table.ts';
import { addEditCommand } from './resource-edit.ts';
import type { TextEditor } from './resource-edit.ts';
import { parseBodyText } from './resource-file.ts';
import { addHistoryCommands } from './resource-history.ts';
import { addCopyCommand, addDestroyCommand, addRenameCommand } from './resource-verbs.ts';
import { templateText } from './template-file.ts';
import { addRuleCommands } from './template-rules.ts';
import { counted } from '../text/numbers.ts';

export interface TemplateActions {
  readonly connections: Connections;
  /** The text of a file, or of standard input for `-`. */
  readonly readText: (file: string) => Promise<string>;
  readonly editor: TextEditor;
}

export function templateCommand(actions: TemplateActions): Verb {
  return clientVerb(actions.connections, (program, parts) => {
    const family = program
      .command('template')
      .description('firewall templates: sets of allow rules that are assigned to servers');
    addReadCommands(family, parts);
    addCreateCommand(family, parts, actions);
    addCopyCommand(family, parts, 'template', 'copy a template; no server gets the copy');
    addRenameCommand(family, parts, 'template', {
      description:
        'rename a template; servers and rules that name it follow, and so does its history',
      examples: [['tunwall template rename web site', 'servers have "site" from then on']],
    });
    addDestroyCommand(family, parts, 'template', {
      description: 'destroy a template. Refused while others name it; its history stays',
      examples: [
        ['tunwall template destroy old', 'fails if a server has it, and says which'],
        ['tunwall template destroy old --force', 'takes it from its servers first'],
        ['tunwall template rollback old 3', 'brings it back'],
      ],
    });
    addRuleCommands(family, parts);
    addHistoryCommands(family, parts, 'template');
    addEditCommand(family, parts, actions, {
      word: 'template',
      description:
        'edit a template with $VISUAL or $EDITOR; or replace what it says with that of a file',
      textOf: templateText,
    });
  });
}

function addReadCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    usage: 'list',
    description: 'all templates: rules, servers, flows opened, last change',
    examples: [['tunwall template list --json', 'for a script']],
  }).action((flags: ClientFlags) =>
    run(flags, async (client) => {
      const list = await client.get<TemplateListView>('/templates', { changed: true });
      if (flags.json === true) output.json(list);
      else printList(list, output);
    }),
  );

  clientCommand(family, {
    usage: 'show <template>',
    description: 'one template: its rules with their numbers, and the servers that have it',
    examples: [['tunwall template show web', 'hits: flows that a rule has opened']],
  }).action((name: string, flags: ClientFlags) =>
    run(flags, async (client) => {
      const template = await client.get<TemplateView>(route`/templates/${name}`);
      if (flags.json === true) output.json(template);
      else printTemplate(template, output);
    }),
  );

  clientCommand(family, {
    usage: 'presets [preset]',
    description: 'pre-defined rule sets to begin a template with; with a name, the rules of one',
    examples: [
      ['tunwall template presets', 'all of them'],
      ['tunwall template presets web-server', 'what is in it'],
      ['tunwall template create web --preset web-server', 'begin with it'],
    ],
  }).action((name: string | undefined, flags: ClientFlags) =>
    run(flags, async (client) => {
      if (name !== undefined) {
        const preset = await client.get<PresetView>(route`/presets/${name}`);
        if (flags.json === true) output.json(preset);
        else printPreset(preset, output);
        return;
      }
      const list = await client.get<PresetListView>('/presets');
      if (flags.json === true) output.json(list);
      else {
        const rows = list.presets.map((preset) => [preset.name, preset.category, preset.title]);
        output.print(formatTable(['preset', 'category', 'title'], rows));
      }
    }),
  );
}

interface CreateFlags extends ClientFlags {
  readonly preset?: string;
  readonly clone?: string;
  readonly file?: string;
  readonly description?: string;
  readonly assign?: readonly string[];
}

function addCreateCommand(
  family: Command,
  { output, run }: ClientParts,
  { readText }: TemplateActions,
): void {
  clientCommand(family, {
    changes: true,
    usage: 'create <name>',
    description: 'a new template: empty, from a preset, as a copy, or from a file (YAML or JSON)',
    examples: [
      ['tunwall template create web --preset web-server --assign web-1,web-2', 'in force at once'],
      ['tunwall template create web2 --file web.yaml', 'the format of the template files'],
      ['tunwall template create web2 --file - < web.json', 'from standard input'],
    ],
  })
    .addOption(new Option('--preset <preset>', 'begin with a pre-defined rule set'))
    .addOption(
      new Option('--clone <template>', 'begin with a copy of another one').conflicts('preset'),
    )
    .addOption(
      new Option('--file <file>', 'description and rules; - is standard input').conflicts([
        'preset',
        'clone',
      ]),
    )
    .addOption(new Option('--description <text>', 'what it is for').conflicts('clone'))
    .option('--assign <server>', 'a server that gets it at once; again for more', collect)
    .action((name: string, flags: CreateFlags) =>
      run(flags, async (client) => {
        const { preset, clone, file, description, assign } = flags;
        const written =
          file === undefined ? {} : parseBodyText('template', file, await readText(file));
        const body = {
          ...written,
          name,
          ...(preset !== undefined && { preset }),
          ...(clone !== undefined && { clone }),
          ...(description !== undefined && { description }),
          ...(assign !== undefined && { assignTo: assign }),
        };
        const made = await client.change<TemplateView & Changed>('POST', '/templates', { body });
        if (flags.json === true) output.json(made);
        else {
          const rules = counted(made.inbound.length + made.outbound.length, 'rule');
          printChange(output, `template "${name}" created with ${rules}`, made.applied);
        }
      }),
    );
}

function printList({ templates }: TemplateListView, output: Output): void {
  if (templates.length === 0) {
    output.print('there are no templates: tunwall template create NAME --preset web-server');
    return;
  }
  const counted = templates.some(({ hits }) => hits !== undefined);
  const rows = templates.map((each) => [
    each.name,
    String(each.ruleCount),
    String(each.servers.length + each.appliedServers.length),
    ...(counted ? [String(each.hits ?? '-')] : []),
    each.changed === undefined ? '-' : `${each.changed.at.slice(0, 19)}Z by ${each.changed.actor}`,
    inOneLine(each.description ?? ''),
  ]);
  const headings = [
    'template',
    'rules',
    'servers',
    ...(counted ? ['hits'] : []),
    'changed',
    'description',
  ];
  output.print(formatTable(headings, rows));
}

function printTemplate(template: TemplateView, output: Output): void {
  const { name, description, appliesTo, servers, appliedServers, revision, changed } = template;
  output.print(line`template ${output.style('bold', name)}, revision ${revision}`);
  if (description !== undefined) output.print(`  ${inOneLine(description)}`);
  if (changed !== undefined) {
    output.print(
      `  last change: ${changed.action} by ${changed.actor} (${changed.via}) at ${changed.at}`,
    );
  }
  if (appliesTo !== undefined) output.print(`  applies to: ${appliesTo.join(' or ')}`);
  output.print(`  servers: ${servers.length === 0 ? 'none' : servers.join(', ')}`);
  if (appliedServers.length > 0) {
    const applied = appliedServers.map(({ server, selector }) => `${server} (${selector})`);
    output.print(`  servers by label: ${applied.join(', ')}`);
  }
  printRules(output, 'inbound', template.inbound);
  printRules(output, 'outbound', template.outbound);
}

function printPreset(preset: PresetView, output: Output): void {
  output.print(
    line`preset ${output.style('bold', preset.name)} (${preset.category}): ${preset.title}`,
  );
  output.print(`  ${preset.description}`);
  printRules(output, 'inbound', preset.inbound);
  printRules(output, 'outbound', preset.outbound);
}

/** A description may be a block of YAML. */
function inOneLine(description: string): string {
  return description.replaceAll(/\s+/g, ' ').trim();
}
