/** `tunwall server`: the protected machines, and their templates. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { route } from './api-client.ts';
import type {
  AssignedView,
  Changed,
  EffectiveRulesView,
  FleetView,
  ServerListView,
  ServerView,
} from './api-types.ts';
import { clientCommand, clientVerb, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import type { Connections } from './connection.ts';
import { UserError } from './errors.ts';
import type { Output } from './output.ts';
import { collect } from './option-values.ts';
import type { Verb } from './program.ts';
import { addDestroyCommand, addRenameCommand } from './resource-verbs.ts';
import { momentIn, parseLength, printRules } from './rules.ts';
import { directions } from '../text/rule-text.ts';
import { line } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { gatewayRegions } from '../text/regions.ts';
import { rejectText } from '../text/reject-text.ts';
import { formatTable } from '../text/table.ts';
import { counted } from '../text/numbers.ts';

export function serverCommand(connections: Connections): Verb {
  return clientVerb(connections, (program, parts) => {
    const family = program
      .command('server')
      .description('protected servers: their addresses and their templates');
    addReadCommands(family, parts);
    addChangeCommands(family, parts);
    addObserveCommand(family, parts);
    addAssignCommands(family, parts);
  });
}

interface ListFlags extends ClientFlags {
  readonly template?: string;
  readonly region?: string;
  readonly label?: string;
}

function addReadCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    usage: 'list',
    description: 'all servers: addresses and templates',
    examples: [
      ['tunwall server list --template web', 'those that have a template'],
      ['tunwall server list --label "role=web,env!=test"', 'those that a selector matches'],
    ],
  })
    .option('--template <template>', 'those that have it')
    .option('--region <region>', 'those that are in it')
    .option('--label <selector>', 'those that it matches')
    .action((flags: ListFlags) =>
      run(flags, async (client) => {
        const { template, region, label: selector } = flags;
        const query = { template, region, selector };
        const list = await client.get<ServerListView>('/servers', query);
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
      if (flags.json === true) {
        output.json(server);
        return;
      }
      printServer(server, output);
      const { newest, gateways } = await client.get<FleetView>('/gateways');
      if (newest === undefined) return;
      for (const each of gatewayRegions(server.region, gateways)) {
        output.print(line`  gateways in ${each}`);
      }
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
            ...(rules[direction].some(({ selector }) => selector !== undefined)
              ? [['by label', ({ selector = '' }: { selector?: string }) => selector] as const]
              : []),
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
  readonly reject?: RejectWord;
}

interface ChangeFlags extends ClientFlags {
  readonly address?: readonly string[];
  readonly region?: string;
  readonly label?: readonly string[];
  readonly unlabel?: readonly string[];
  readonly reject?: RejectWord;
  readonly revision?: string;
}

function addChangeCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    changes: true,
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
    .addOption(rejectOption())
    .action((name: string, flags: CreateFlags) =>
      run(flags, async (client) => {
        const { address, template, region, label, reject = 'gateway' } = flags;
        const body = {
          name,
          addresses: address,
          templates: template ?? [],
          ...(region !== undefined && { region }),
          ...(label !== undefined && { labels: labelsOf(label) }),
          ...(reject !== 'gateway' && { reject: rejectWords[reject] }),
        };
        const made = await client.change<ServerView & Changed>('POST', '/servers', { body });
        if (flags.json === true) output.json(made);
        else printChange(output, `server "${name}" created`, made.applied);
      }),
    );

  clientCommand(family, {
    changes: true,
    usage: 'change <server>',
    description: 'give a server other addresses, another region, other labels, or let it reject',
    examples: [
      ['tunwall server change web-3 --address 10.0.0.4,10.0.0.5', 'these, and no others'],
      ['tunwall server change web-3 --label role=web --unlabel env', 'the other labels stay'],
      ['tunwall server change web-3 --reject outbound', 'it hears at once that it may not'],
    ],
  })
    .alias('edit')
    .option('--address <address>', 'its addresses from now on; as for create', collect)
    .option('--region <region>', 'where it is; "" for none')
    .option('--label <key=value>', 'give it a label; again for more', collect)
    .option('--unlabel <key>', 'take a label away; again for more', collect)
    .addOption(rejectOption())
    .option('--revision <revision>', 'only if it still has this revision')
    .action((name: string, flags: ChangeFlags) =>
      run(flags, async (client) => {
        const { address, region, label = [], unlabel = [], reject, revision } = flags;
        const labels = {
          ...labelsOf(label),
          ...Object.fromEntries(unlabel.map((key) => [key, null])),
        };
        const body = {
          ...(address !== undefined && { addresses: address }),
          ...(region !== undefined && { region: region === '' ? null : region }),
          ...(Object.keys(labels).length > 0 && { labels }),
          ...(reject !== undefined && { reject: rejectWords[reject] }),
        };
        if (Object.keys(body).length === 0) {
          throw new UserError(
            'nothing to change',
            'give --address, --region, --label, --unlabel or --reject',
          );
        }
        const path = route`/servers/${name}`;
        const changed = await client.change<ServerView & Changed>('PATCH', path, {
          body,
          revision,
        });
        if (flags.json === true) output.json(changed);
        else printChange(output, `server "${name}" changed`, changed.applied);
      }),
    );

  addRenameCommand(family, { output, run }, 'server', {
    description: 'rename a server; rules that name it follow, and its templates stay with it',
    examples: [['tunwall server rename web-3 web-4', 'rules say server:web-4 from then on']],
  });
  addDestroyCommand(family, { output, run }, 'server', {
    description:
      'destroy a server: what goes to it is dropped from then on. Refused while a rule names it',
    examples: [
      ['tunwall server destroy web-3', 'its templates stay'],
      ['tunwall server destroy web-3 --force', 'takes it from the rules that name it'],
    ],
  });
}

interface ObserveFlags extends ClientFlags {
  readonly for?: number;
  readonly until?: string;
  readonly off?: boolean;
}

function addObserveCommand(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    changes: true,
    usage: 'observe <server>',
    description:
      'let pass what no rule allows, for some days, and list it as would-drop: before one enforces rules.\nIt always ends, after 14 days at most',
    examples: [
      ['tunwall server observe db-1 --for 2d', 'then it enforces its rules again'],
      ['tunwall drops --reason would-drop --server db-1', 'what would have been dropped'],
      [
        'tunwall server observe db-1 --off',
        'at once; flows without a rule are cut, or as reload says',
      ],
    ],
  })
    .addOption(
      new Option('--for <time>', 'how long, like 2h or 7d')
        .argParser(parseLength)
        .conflicts(['until', 'off']),
    )
    .addOption(
      new Option('--until <time>', 'until when, like 2026-12-01T18:00:00Z').conflicts('off'),
    )
    .option('--off', 'enforce its rules again')
    .action((name: string, flags: ObserveFlags, command: Command) =>
      run(flags, async (client) => {
        const until = flags.for === undefined ? flags.until : momentIn(flags.for);
        if (until === undefined && flags.off !== true) {
          command.error('error: how long? Use --for, --until or --off');
        }
        const body = until === undefined ? { mode: null, until: null } : { mode: 'observe', until };
        const path = route`/servers/${name}`;
        const changed = await client.change<ServerView & Changed>('PATCH', path, { body });
        if (flags.json === true) output.json(changed);
        else {
          const what =
            until === undefined
              ? `server "${name}" enforces its rules`
              : `server "${name}" observes until ${until}: what no rule allows passes`;
          printChange(output, what, changed.applied);
        }
      }),
    );
}

interface AssignFlags extends ClientFlags {
  readonly template?: readonly string[];
  readonly to?: string;
  readonly from?: string;
}

function addAssignCommands(family: Command, { output, run }: ClientParts): void {
  for (const [verb, path, description, done, whom] of [
    ['assign', '/assignments', 'give templates to servers, all of them at once', 'given to', 'to'],
    ['unassign', '/assignments/remove', 'take templates from servers', 'taken from', 'from'],
  ] as const) {
    clientCommand(family, {
      changes: true,
      usage: `${verb} [servers...]`,
      description: `${description}; what is so already stays so.\nWith --${whom} the names are those of templates`,
      examples: [
        [`tunwall server ${verb} web-1 web-2 --template web,ssh`, 'two servers, two templates'],
        [`tunwall server ${verb} --${whom} "role=web" web ssh`, 'servers that a selector matches'],
      ],
    })
      .option('--template <template>', 'a template; again, or with commas, for more', collect)
      .option(`--${whom} <selector>`, 'the servers whose labels match now')
      .action((names: string[], flags: AssignFlags, command: Command) =>
        run(flags, async (client) => {
          const { template = [], [whom]: selector } = flags;
          const templates = selector === undefined ? template : [...names, ...template];
          if (templates.length === 0) command.error('error: which templates? Use --template');
          if (selector === undefined && names.length === 0) {
            command.error(`error: which servers? Name them, or use --${whom}`);
          }
          const body =
            selector === undefined ? { servers: names, templates } : { selector, templates };
          const answer = await client.change<AssignedView>('POST', path, { body });
          if (flags.json === true) output.json(answer);
          else {
            const servers = counted(answer.servers.length, 'server');
            const what = `${counted(templates.length, 'template')} ${done} ${servers}`;
            printChange(output, what, answer.applied);
          }
        }),
      );
  }
}

/** What a server answers instead of only dropping it; null: its own setting goes. */
const rejectWords = {
  inbound: { inbound: true, outbound: false },
  outbound: { inbound: false, outbound: true },
  both: { inbound: true, outbound: true },
  none: { inbound: false, outbound: false },
  gateway: null,
} as const;

type RejectWord = keyof typeof rejectWords;

function rejectOption(): Option {
  return new Option(
    '--reject <directions>',
    "answer what lacks a rule, instead of only dropping it; gateway: by the gateway's setting",
  ).choices(Object.keys(rejectWords));
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
  const labelled = servers.some(({ labels }) => labels !== undefined);
  const observed = servers.some(({ observing }) => observing);
  const rows = servers.map((each) => [
    each.name,
    each.addresses.join(', '),
    templatesText(each, output),
    each.region ?? '',
    ...(labelled ? [labelsText(each)] : []),
    ...(observed ? [each.observing ? output.style('yellow', each.until ?? '') : ''] : []),
  ]);
  const headings = [
    ...['server', 'addresses', 'templates', 'region'],
    ...(labelled ? ['labels'] : []),
    ...(observed ? ['observes until'] : []),
  ];
  output.print(formatTable(headings, rows));
}

/** Those that it names, and those that apply with their reason; a server without any is highlighted. */
function templatesText({ templates, appliedTemplates }: ServerView, output: Output): Text {
  const applied = appliedTemplates.map(({ template, selector }) => `${template} (${selector})`);
  return templates.length + applied.length === 0
    ? output.style('yellow', 'none: everything is dropped')
    : [...templates, ...applied].join(', ');
}

function labelsText({ labels = {} }: ServerView): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

function printServer(server: ServerView, output: Output): void {
  const { name, revision, addresses, templates, appliedTemplates, region, labels } = server;
  output.print(line`server ${output.style('bold', name)}, revision ${revision}`);
  output.print(`  addresses: ${addresses.join(', ')}`);
  if (templates.length > 0 || appliedTemplates.length === 0) {
    output.print(line`  templates: ${templatesText({ ...server, appliedTemplates: [] }, output)}`);
  }
  if (appliedTemplates.length > 0) {
    output.print(line`  applied: ${templatesText({ ...server, templates: [] }, output)}`);
  }
  if (region !== undefined) output.print(`  region: ${region}`);
  if (labels !== undefined) output.print(`  labels: ${labelsText(server)}`);
  output.print(`  rejects: ${rejectsText(server)}`);
  if (server.mode === 'observe') output.print(line`  mode: ${observesText(server, output)}`);
}

function observesText({ observing, until = '' }: ServerView, output: Output): Text {
  return observing
    ? output.style('yellow', `observes until ${until}: what no rule allows passes`)
    : `enforces its rules: observing has ended at ${until}`;
}

/** What it answers, and whose setting that is. */
function rejectsText({ reject = {}, effectiveReject }: ServerView): string {
  const own = directions.filter((direction) => reject[direction] !== undefined);
  const whose = own.length === 0 ? "the gateway's" : 'its own';
  const part = own.length === 1 ? ` for ${own[0]!}` : '';
  return `${rejectText(effectiveReject)} (${whose} setting${part})`;
}
