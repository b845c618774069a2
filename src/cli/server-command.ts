/** `tunwall server`: the protected machines, and their templates. */
import type { Command } from 'commander';
import { route } from './api-client.ts';
import type { Changed, EffectiveRulesView, ServerListView, ServerView } from './api-types.ts';
import { clientCommand, clientVerb, collect, plural, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import type { Verb } from './program.ts';
import { printRules } from './rules.ts';
import { directions } from '../text/rule-text.ts';
import { line } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { formatTable } from '../text/table.ts';

export function serverCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, parts) => {
    const family = program
      .command('server')
      .description('protected servers: their addresses and their templates');
    addReadCommands(family, parts);
    addChangeCommands(family, parts);
    addAssignCommands(family, parts);
  });
}

interface ListFlags extends ClientFlags {
  readonly template?: string;
  readonly region?: string;
}

function addReadCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    usage: 'list',
    description: 'all servers: addresses and templates',
    examples: [['tunwall server list --template web', 'those that have a template']],
  })
    .option('--template <template>', 'those that have it')
    .option('--region <region>', 'those that are in it')
    .action((flags: ListFlags) =>
      run(flags, async (client) => {
        const { template, region } = flags;
        const list = await client.get<ServerListView>('/servers', {
          template,
          region,
        });
        if (flags.json === true) output.json(list);
        else printList(list.servers, output);
      }),
    );

  clientCommand(family, {
    usage: 'show <server>',
    description: 'one server',
    examples: [['tunwall server show web-1', '']],
  }).action((name: string, flags: ClientFlags) =>
    run(flags, async (client) => {
      const server = await client.get<ServerView>(route`/servers/${name}`);
      if (flags.json === true) output.json(server);
      else printServer(server, output);
    }),
  );

  clientCommand(family, {
    usage: 'rules <server>',
    description: 'the rules that a server is protected by: the union of those of its templates',
    examples: [['tunwall server rules web-1', 'each with its template and number there']],
  }).action((name: string, flags: ClientFlags) =>
    run(flags, async (client) => {
      const rules = await client.get<EffectiveRulesView>(route`/servers/${name}/rules`);
      if (flags.json === true) output.json(rules);
      else {
        output.print(line`server ${output.style('bold', name)}`);
        for (const direction of directions) {
          printRules(output, direction, rules[direction], [
            ['template', ({ template }) => template],
            ['#', ({ index }) => String(index)],
          ]);
        }
      }
    }),
  );
}

interface CreateFlags extends ClientFlags {
  readonly address: readonly string[];
  readonly template?: readonly string[];
  readonly region?: string;
  readonly label?: readonly string[];
}

interface ChangeFlags extends ClientFlags {
  readonly address?: readonly string[];
  readonly region?: string;
  readonly label?: readonly string[];
  readonly revision?: string;
}

interface DestroyFlags extends ClientFlags {
  readonly revision?: string;
}

function addChangeCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    usage: 'create <name>',
    description: 'a new server; with templates it is filtered by them from its first packet',
    examples: [
      ['tunwall server create web-3 --address 10.0.0.4 --template web,ssh', 'protected at once'],
      ['tunwall server create db-2 --address 10.0.0.5', 'no template: everything is dropped'],
    ],
  })
    .requiredOption(
      '--address <address>',
      'an IPv4 address; again, or with commas, for more',
      collect,
    )
    .option('--template <template>', 'a template; likewise', collect)
    .option('--region <region>', 'where it is')
    .option('--label <key=value>', 'a label; again for more', collect)
    .action((name: string, flags: CreateFlags) =>
      run(flags, async (client) => {
        const { address, template, region, label } = flags;
        const body = {
          name,
          addresses: address,
          templates: template ?? [],
          ...(region !== undefined && { region }),
          ...(label !== undefined && { labels: labelsOf(label) }),
        };
        const made = await client.change<ServerView & Changed>('POST', '/servers', { body });
        if (flags.json === true) output.json(made);
        else printChange(output, `server "${name}" created`, made.applied);
      }),
    );

  clientCommand(family, {
    usage: 'change <server>',
    description: 'give a server other addresses, another region or other labels',
    examples: [['tunwall server change web-3 --address 10.0.0.4,10.0.0.5', 'these, and no others']],
  })
    .option('--address <address>', 'its addresses from now on; as for create', collect)
    .option('--region <region>', 'where it is; "" for none')
    .option('--label <key=value>', 'its labels from now on; "" for none', collect)
    .option('--revision <revision>', 'only if it still has this revision')
    .action((name: string, flags: ChangeFlags) =>
      run(flags, async (client) => {
        const { address, region, label } = flags;
        if (address === undefined && region === undefined && label === undefined) {
          throw new UserError('nothing to change', 'give --address, --region or --label');
        }
        const server = await client.get<ServerView>(route`/servers/${name}`);
        const newRegion = region ?? server.region ?? '';
        const newLabels = label === undefined ? server.labels : labelsOf(label.filter(Boolean));
        const changed = await client.change<ServerView & Changed>('PUT', route`/servers/${name}`, {
          body: {
            name,
            addresses: address ?? server.addresses,
            templates: server.templates,
            ...(newRegion !== '' && { region: newRegion }),
            ...(newLabels !== undefined && { labels: newLabels }),
          },
          // Changes exactly the revision that was read.
          revision: flags.revision ?? server.revision,
        });
        if (flags.json === true) output.json(changed);
        else printChange(output, `server "${name}" changed`, changed.applied);
      }),
    );

  clientCommand(family, {
    usage: 'destroy <server>',
    description: 'destroy a server: what goes to it is dropped from then on',
    examples: [['tunwall server destroy web-3', 'its templates stay']],
  })
    .option('--revision <revision>', 'only if it still has this revision')
    .action((name: string, flags: DestroyFlags) =>
      run(flags, async (client) => {
        const answer = await client.change<Changed>('DELETE', route`/servers/${name}`, {
          revision: flags.revision,
        });
        if (flags.json === true) output.json(answer);
        else printChange(output, `server "${name}" destroyed`, answer.applied);
      }),
    );
}

interface AssignFlags extends ClientFlags {
  readonly template: readonly string[];
}

function addAssignCommands(family: Command, { output, run }: ClientParts): void {
  for (const [verb, path, description, done] of [
    ['assign', '/assignments', 'give templates to servers, all of them at once', 'given to'],
    ['remove', '/assignments/remove', 'take templates from servers', 'taken from'],
  ] as const) {
    clientCommand(family, {
      usage: `${verb} <servers...>`,
      description: `${description}; what is so already stays so`,
      examples: [
        [`tunwall server ${verb} web-1 web-2 --template web,ssh`, 'two servers, two templates'],
      ],
    })
      .requiredOption(
        '--template <template>',
        'a template; again, or with commas, for more',
        collect,
      )
      .action((servers: string[], flags: AssignFlags) =>
        run(flags, async (client) => {
          const body = { servers, templates: flags.template };
          const answer = await client.change<Changed>('POST', path, { body });
          if (flags.json === true) output.json(answer);
          else {
            const what = `${plural(flags.template.length, 'template')} ${done} ${plural(servers.length, 'server')}`;
            printChange(output, what, answer.applied);
          }
        }),
      );
  }
}

function labelsOf(labels: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    labels.map((text) => {
      const [key = '', ...value] = text.split('=');
      if (value.length === 0 || key === '') {
        throw new UserError(`"${text}" is no label`, 'expected one like role=database');
      }
      return [key, value.join('=')];
    }),
  );
}

function printList(servers: readonly ServerView[], output: Output): void {
  if (servers.length === 0) {
    output.print('there are no servers');
    return;
  }
  const rows = servers.map((each) => [
    each.name,
    each.addresses.join(', '),
    templatesText(each, output),
    each.region ?? '',
  ]);
  const headings = ['server', 'addresses', 'templates', 'region'];
  output.print(formatTable(headings, rows));
}

/** A server without templates is highlighted. */
function templatesText({ templates }: ServerView, output: Output): Text {
  return templates.length === 0
    ? output.style('yellow', 'none: everything is dropped')
    : templates.join(', ');
}

function printServer(server: ServerView, output: Output): void {
  output.print(line`server ${output.style('bold', server.name)}, revision ${server.revision}`);
  output.print(`  addresses: ${server.addresses.join(', ')}`);
  output.print(line`  templates: ${templatesText(server, output)}`);
  if (server.region !== undefined) output.print(`  region: ${server.region}`);
  const labels = Object.entries(server.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  if (labels.length > 0) output.print(`  labels: ${labels.join(', ')}`);
}
