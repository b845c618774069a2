/** Verbs that templates, servers and sets have in common: a copy, another name, destroy. */
import type { Command } from 'commander';
import { route } from './api-client.ts';
import type { Changed } from './api-types.ts';
import { clientCommand, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts, CommandText } from './client-verb.ts';

/** The word for one of them; the API's path is its plural. */
export type ResourceWord = 'template' | 'server' | 'set';

/** A path below one of them. */
export function resourcePath(word: ResourceWord, name: string, rest = ''): string {
  return `/${word}s${route`/${name}`}${rest}`;
}

type Texts = Pick<CommandText, 'description' | 'examples'>;

interface RevisionFlags extends ClientFlags {
  readonly revision?: string;
}

/** A verb that gives one of them a name that is free. */
function addNamingCommand(
  family: Command,
  { output, run }: ClientParts,
  word: ResourceWord,
  verb: 'clone' | 'rename',
  { description, examples }: Texts,
): Command {
  const usage = `${verb} <${word}> <name>`;
  return clientCommand(family, { changes: true, usage, description, examples }).action(
    (name: string, to: string, flags: RevisionFlags) =>
      run(flags, async (client) => {
        const path = resourcePath(word, name, `/${verb}`);
        const { revision } = flags;
        const made = await client.change<Changed>('POST', path, { body: { to }, revision });
        if (flags.json === true) output.json(made);
        else printChange(output, `${word} "${name}" ${verb}d to "${to}"`, made.applied);
      }),
  );
}

export function addCopyCommand(
  family: Command,
  parts: ClientParts,
  word: 'template' | 'set',
  description: string,
): void {
  addNamingCommand(family, parts, word, 'clone', {
    description,
    examples: [[`tunwall ${word} clone web web-2`, `"web" is there, "web-2" is new`]],
  });
}

export function addRenameCommand(
  family: Command,
  parts: ClientParts,
  word: ResourceWord,
  texts: Texts,
): void {
  addNamingCommand(family, parts, word, 'rename', texts).option(
    '--revision <revision>',
    'only if it still has this revision',
  );
}

interface DestroyFlags extends RevisionFlags {
  readonly force?: boolean;
}

export function addDestroyCommand(
  family: Command,
  { output, run }: ClientParts,
  word: ResourceWord,
  { description, examples }: Texts,
): void {
  clientCommand(family, { changes: true, usage: `destroy <${word}>`, description, examples })
    .option('--force', 'remove it from everything that names it first')
    .option('--revision <revision>', 'only if it still has this revision')
    .action((name: string, flags: DestroyFlags) =>
      run(flags, async (client) => {
        const answer = await client.change<Changed>('DELETE', resourcePath(word, name), {
          query: { force: flags.force === true ? true : undefined },
          revision: flags.revision,
        });
        if (flags.json === true) output.json(answer);
        else printChange(output, `${word} "${name}" destroyed`, answer.applied);
      }),
    );
}
