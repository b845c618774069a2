/** `history`, `diff` and `rollback` of templates and sets. */
import { Argument } from 'commander';
import type { Command } from 'commander';
import type { Changed, VersionListView } from './api-types.ts';
import { clientCommand, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import type { Output } from './output.ts';
import { parseNumber } from './option-values.ts';
import { resourcePath } from './resource-verbs.ts';
import { linesOf } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { formatTable } from '../text/table.ts';

const parseVersion = parseNumber('a version');

interface RollbackFlags extends ClientFlags {
  readonly revision?: string;
}

export function addHistoryCommands(
  family: Command,
  { output, run }: ClientParts,
  word: 'template' | 'set',
): void {
  const base = `tunwall ${word}`;
  clientCommand(family, {
    usage: `history <${word}>`,
    description: `every version of a ${word}: when, who, how; with a number, its text`,
    examples: [
      [`${base} history web`, 'newest first'],
      [`${base} history web 3`, 'version 3 as it was written'],
    ],
  })
    .addArgument(new Argument('[version]', 'print its text').argParser(parseVersion))
    .action((name: string, version: number | undefined, flags: ClientFlags) =>
      run(flags, async (client) => {
        if (version === undefined) {
          const list = await client.get<VersionListView>(resourcePath(word, name, '/history'));
          if (flags.json === true) output.json(list);
          else printVersions(list, output);
          return;
        }
        const text = await client.text(resourcePath(word, name, `/history/${version}`));
        if (flags.json === true) output.json({ version, text });
        else output.document(text);
      }),
    );

  clientCommand(family, {
    usage: `diff <${word}>`,
    description: 'what changed from one version to another (default: the last change)',
    examples: [
      [`${base} diff web`, 'the last change'],
      [`${base} diff web 3 7`, 'from version 3 to version 7; 0 is the empty text'],
    ],
  })
    .addArgument(new Argument('[from]', 'version').argParser(parseVersion))
    .addArgument(new Argument('[to]', 'version (default: the newest)').argParser(parseVersion))
    .action((name: string, from: number | undefined, to: number | undefined, flags: ClientFlags) =>
      run(flags, async (client) => {
        const diff = await client.text(resourcePath(word, name, '/history/diff'), { from, to });
        if (flags.json === true) output.json({ from, to, diff });
        else if (diff !== '') output.print(colouredDiff(diff.trimEnd(), output));
      }),
    );

  clientCommand(family, {
    changes: true,
    usage: `rollback <${word}>`,
    description: `back to a version, exactly as it was; also for a ${word} that was destroyed`,
    examples: [[`${base} rollback web 3`, 'this becomes the newest version']],
  })
    .addArgument(new Argument('<version>', 'number in the history').argParser(parseVersion))
    .option('--revision <revision>', `only if the ${word} still has this revision`)
    .action((name: string, version: number, flags: RollbackFlags) =>
      run(flags, async (client) => {
        const answer = await client.change<Changed>('POST', resourcePath(word, name, '/rollback'), {
          body: { version },
          revision: flags.revision,
        });
        if (flags.json === true) output.json(answer);
        else printChange(output, `${word} "${name}" is as in version ${version}`, answer.applied);
      }),
    );
}

function printVersions({ versions }: VersionListView, output: Output): void {
  const rows = versions.map((each) => {
    const origin = each.from === undefined ? '' : ` from ${each.from}`;
    const target = each.to === undefined ? '' : ` to ${each.to}`;
    return [
      String(each.version),
      each.at,
      `${each.actor} (${each.via})`,
      `${each.action}${origin}${target}`,
    ];
  });
  output.print(formatTable(['version', 'at', 'who', 'action'], rows));
}

export function colouredDiff(diff: string, output: Output): Text[] {
  return linesOf(diff).map((line) => {
    if (/^(\+\+\+|---|===)/.test(line)) return output.style('bold', line);
    if (line.startsWith('+')) return output.style('green', line);
    if (line.startsWith('-')) return output.style('red', line);
    return line.startsWith('@@') ? output.style('dim', line) : line;
  });
}
