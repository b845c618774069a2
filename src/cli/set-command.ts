/** `tunwall set`: named sets of addresses, and their lists. */
import { Option } from 'commander';
import type { Command } from 'commander';
import { basename } from 'node:path';
import { stringify } from 'yaml';
import { listFormats } from '../interop/rules/address-lists.ts';
import type { ListFormat } from '../interop/rules/address-lists.ts';
import { line } from '../text/line.ts';
import { formatTable } from '../text/table.ts';
import type { Changed, ImportedSetsView, SetListView, SetView } from './api-types.ts';
import { clientCommand, clientVerb, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import type { Connections } from './connection.ts';
import type { Output } from './output.ts';
import { collect } from './option-values.ts';
import type { Verb } from './program.ts';
import { parseBodyText } from './resource-file.ts';
import { addEditCommand } from './resource-edit.ts';
import type { EditActions } from './resource-edit.ts';
import { addHistoryCommands } from './resource-history.ts';
import {
  addCopyCommand,
  addDestroyCommand,
  addRenameCommand,
  resourcePath,
} from './resource-verbs.ts';
import { counted, grouped } from '../text/numbers.ts';

export interface SetActions extends EditActions {
  readonly connections: Connections;
}

export function setCommand(actions: SetActions): Verb {
  return clientVerb(actions.connections, (program, parts) => {
    const family = program
      .command('set')
      .description('named sets of addresses, for rules to name as set:NAME');
    addReadCommands(family, parts);
    addCreateCommand(family, parts, actions);
    addAddressCommands(family, parts);
    addImportCommand(family, parts, actions);
    addEditCommand(family, parts, actions, {
      word: 'set',
      description: 'edit a set with $VISUAL or $EDITOR, or replace it with a file. Its list stays',
      textOf: setText,
    });
    addCopyCommand(family, parts, 'set', 'copy a set, with its list');
    addRenameCommand(family, parts, 'set', {
      description: 'rename a set; rules and sets that name it, its list and its history go with it',
      examples: [['tunwall set rename office hq', 'rules say set:hq from then on']],
    });
    addDestroyCommand(family, parts, 'set', {
      description: 'destroy a set, and its list. Refused while others name it; its history stays',
      examples: [
        ['tunwall set destroy old', 'fails if a rule or a set names it, and says where'],
        ['tunwall set destroy old --force', 'takes it from them first'],
        ['tunwall set rollback old 3', 'brings it back'],
      ],
    });
    addHistoryCommands(family, parts, 'set');
  });
}

function addReadCommands(family: Command, { output, run }: ClientParts): void {
  clientCommand(family, {
    usage: 'list',
    description: 'all sets: how many addresses, who names them, last change',
    examples: [['tunwall set list --json', 'for a script']],
  }).action((flags: ClientFlags) =>
    run(flags, async (client) => {
      const list = await client.get<SetListView>('/sets', { changed: true });
      if (flags.json === true) output.json(list);
      else printList(list, output);
    }),
  );

  clientCommand(family, {
    usage: 'show <set>',
    description: 'one set: its addresses, and the places that name it',
    examples: [
      ['tunwall set show office', 'what is in it'],
      ['tunwall set show drop --list', 'its list, as it is written'],
    ],
  })
    .option('--list', 'print its list')
    .action((name: string, flags: ClientFlags & { readonly list?: boolean }) =>
      run(flags, async (client) => {
        if (flags.list === true) {
          const text = await client.text(resourcePath('set', name, '/list'));
          if (flags.json === true) output.json({ list: text });
          else if (text !== '') output.document(text);
          return;
        }
        const set = await client.get<SetView>(resourcePath('set', name));
        if (flags.json === true) output.json(set);
        else printSet(set, output);
      }),
    );
}

interface CreateFlags extends ClientFlags {
  readonly address?: readonly string[];
  readonly except?: readonly string[];
  readonly include?: readonly string[];
  readonly description?: string;
  readonly file?: string;
}

function addCreateCommand(
  family: Command,
  { output, run }: ClientParts,
  { readText }: SetActions,
): void {
  clientCommand(family, {
    changes: true,
    usage: 'create <name>',
    description: 'a new set: from addresses, or from a file (YAML or JSON)',
    examples: [
      ['tunwall set create office --address 192.0.2.0/24,198.51.100.7', 'two of them'],
      ['tunwall set create all --include office,vpn --except 192.0.2.66', 'of other sets'],
      ['tunwall set import drop.txt', 'a long list'],
    ],
  })
    .option('--address <address>', 'address, block or range; again, or with commas', collect)
    .option('--except <address>', 'what is taken away from all of it; likewise', collect)
    .option('--include <set>', 'another set; likewise', collect)
    .option('--description <text>', 'what it is for')
    .option('--file <file>', 'take it from there, YAML or JSON; - is standard input')
    .action((name: string, flags: CreateFlags) =>
      run(flags, async (client) => {
        const { address, except, include, description, file } = flags;
        const written = file === undefined ? {} : parseBodyText('set', file, await readText(file));
        const body = {
          ...written,
          name,
          ...(description !== undefined && { description }),
          ...(address && { addresses: address }),
          ...(except && { except }),
          ...(include && { include: include.map(asSet) }),
        };
        const made = await client.change<SetView & Changed>('POST', '/sets', { body });
        if (flags.json === true) output.json(made);
        else printChange(output, `set "${name}" created with ${sizeText(made)}`, made.applied);
      }),
    );
}

interface AddressFlags extends ClientFlags {
  readonly revision?: string;
}

function addAddressCommands(family: Command, { output, run }: ClientParts): void {
  for (const [verb, description, done] of [
    ['add', 'add addresses to a set; what is in it already stays', 'added to'],
    [
      'remove',
      'remove addresses from a set or its list, as they are written there',
      'removed from',
    ],
  ] as const) {
    clientCommand(family, {
      changes: true,
      usage: `${verb} <set> <addresses...>`,
      description,
      examples: [[`tunwall set ${verb} office 192.0.2.7 198.51.100.0/24`, 'in force at once']],
    })
      .option('--revision <revision>', 'only if it still has this revision')
      .action((name: string, addresses: string[], flags: AddressFlags) =>
        run(flags, async (client) => {
          const list = addresses.reduce<string[]>((all, each) => collect(each, all), []);
          const answer = await client.change<SetView & Changed>(
            'PATCH',
            resourcePath('set', name),
            {
              body: { [verb]: list },
              revision: flags.revision,
            },
          );
          if (flags.json === true) output.json(answer);
          else {
            const what = `${list.join(', ')} ${done} set "${name}": ${sizeText(answer)}`;
            printChange(output, what, answer.applied);
          }
        }),
      );
  }
}

interface ImportFlags extends ClientFlags {
  readonly name?: string;
  readonly format: ListFormat | 'auto';
}

function addImportCommand(
  family: Command,
  { output, run }: ClientParts,
  { readText }: SetActions,
): void {
  clientCommand(family, {
    changes: true,
    usage: 'import <file>',
    description:
      'a list of addresses as a set, new or there already: a public block list (one address, block or\n' +
      'range a line, comments with # or ;), or what ipset save and ipset list print. All or nothing.',
    examples: [
      ['curl -s https://example.com/drop.txt | tunwall set import - --name drop', 'every day'],
      ['ipset save | tunwall set import -', 'all sets of IPv4 addresses'],
    ],
  })
    .option('--name <name>', 'name of the set (default: as in ipset, or as the file)')
    .addOption(
      new Option('--format <format>', 'what the file is')
        .choices(['auto', ...listFormats])
        .default('auto'),
    )
    .action((file: string, flags: ImportFlags) =>
      run(flags, async (client) => {
        const text = await readText(file);
        const answer = await client.change<ImportedSetsView>('POST', '/sets/import', {
          query: { ...nameFor(file, flags.name), format: flags.format },
          text,
        });
        if (flags.json === true) output.json(answer);
        else printImported(answer, output);
      }),
    );
}

/** The name of a file is that of a set if it can be, and if the file does not name its sets itself. */
function nameFor(file: string, name: string | undefined): { name?: string; fallback?: string } {
  if (name !== undefined) return { name };
  return file === '-' ? {} : { fallback: basename(file).replace(/\.[a-z]+$/i, '') };
}

/** `office` and `set:office` are the same here. */
function asSet(name: string): string {
  return name.startsWith('set:') ? name : `set:${name}`;
}

/** The set as a file: only the editable fields. */
function setText(set: SetView): string {
  const { description, addresses, except, include, file } = set;
  const body = {
    ...(description !== undefined && { description }),
    addresses,
    ...(except.length > 0 && { except }),
    ...(include.length > 0 && { include }),
    ...(file !== undefined && { file }),
  };
  return stringify(body, { lineWidth: 0 });
}

function sizeText({
  addressCount,
  rangeCount,
}: Pick<SetView, 'addressCount' | 'rangeCount'>): string {
  const addresses = counted(addressCount, 'address', 'addresses', grouped(addressCount));
  return `${addresses} in ${counted(rangeCount, 'range', 'ranges', grouped(rangeCount))}`;
}

function printImported({ sets, remarks, applied }: ImportedSetsView, output: Output): void {
  for (const { place, message } of remarks) {
    output.error(place === '' ? message : line`${place}: ${message}`);
  }
  const names = sets.map((each) => `"${each.name}" with ${sizeText(each)}`);
  printChange(output, `${counted(sets.length, 'set')} imported: ${names.join(', ')}`, applied);
}

function printList({ sets }: SetListView, output: Output): void {
  if (sets.length === 0) {
    output.print('there are no sets: tunwall set create NAME --address 192.0.2.0/24');
    return;
  }
  const rows = sets.map((each) => [
    each.name,
    each.addressCount.toLocaleString('en-US'),
    each.rangeCount.toLocaleString('en-US'),
    String(each.usedBy.length),
    each.changed === undefined ? '-' : `${each.changed.at.slice(0, 19)}Z by ${each.changed.actor}`,
    (each.description ?? '').replaceAll(/\s+/g, ' ').trim(),
  ]);
  output.print(
    formatTable(['set', 'addresses', 'ranges', 'named in', 'changed', 'description'], rows),
  );
}

function printSet(set: SetView, output: Output): void {
  const { name, description, addresses, except, include, file, usedBy, changed } = set;
  output.print(line`set ${output.style('bold', name)}, revision ${set.revision}`);
  if (description !== undefined) output.print(`  ${description.replaceAll(/\s+/g, ' ').trim()}`);
  if (changed !== undefined) {
    output.print(
      `  last change: ${changed.action} by ${changed.actor} (${changed.via}) at ${changed.at}`,
    );
  }
  output.print(`  ${sizeText(set)}`);
  for (const [word, list] of [
    ['addresses', addresses],
    ['except', except],
    ['include', include],
  ] as const) {
    if (list.length > 0) output.print(`  ${word}: ${list.join(', ')}`);
  }
  if (file !== undefined) {
    const entries = set.listEntries ?? 0;
    output.print(`  list: ${file}, ${counted(entries, 'entry', 'entries', grouped(entries))}`);
  }
  const places = usedBy.map(({ kind, name: by, path }) => `${kind} ${by} ${path}`);
  output.print(places.length === 0 ? '  named nowhere' : '  named in:');
  for (const place of places) output.print(`    ${place}`);
}
