/**
 * `tunwall template edit`: a template in the user's editor.
 *
 * The saved text goes to the API with the revision that was read, so that no concurrent change is overwritten. If the
 * API refuses it, the editor opens again with the errors above the text; saving that unchanged, or an empty text, ends
 * the command. Comments of the template's file are not shown, but stay: the store changes only the lines that have to
 * change.
 */
import type { Command } from 'commander';
import { isDeepStrictEqual } from 'node:util';
import { ApiProblem, route } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import type { Changed, TemplateView } from './api-types.ts';
import { clientCommand, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import { UserError } from './errors.ts';
import { parseTemplateText, templateText } from './template-file.ts';

export interface TextEditor {
  /** Lets the user edit a text; returns the saved one. `name` is for the temporary file. */
  edit(name: string, text: string): Promise<string>;
  /** Saves a rejected text, and prints where. */
  keep(name: string, text: string): Promise<string>;
}

export interface EditActions {
  readonly readText: (file: string) => Promise<string>;
  readonly editor: TextEditor;
}

interface Flags extends ClientFlags {
  readonly file?: string;
  readonly revision?: string;
}

type Answer = TemplateView & Changed;

export function addEditCommand(
  family: Command,
  { output, run }: ClientParts,
  actions: EditActions,
): void {
  clientCommand(family, {
    usage: 'edit <template>',
    description:
      'edit a template with $VISUAL or $EDITOR; or replace what it says with that of a file',
    examples: [
      ['tunwall template edit web', 'in force when the editor ends'],
      ['tunwall template edit web --file web.yaml', 'without an editor; - is standard input'],
    ],
  })
    .option('--file <file>', 'take description and rules from there, YAML or JSON')
    .option('--revision <revision>', 'only if the template still has this revision')
    .action((name: string, flags: Flags) =>
      run(flags, async (client) => {
        const answer =
          flags.file === undefined
            ? await editInteractively(client, name, flags.revision, actions.editor)
            : await replace(
                client,
                name,
                parseTemplateText(flags.file, await actions.readText(flags.file)),
                flags.revision ?? '*',
              );
        if (answer === undefined) output.print(`template "${name}" is unchanged`);
        else if (flags.json === true) output.json(answer);
        else printChange(output, `template "${name}" changed`, answer.applied);
      }),
    );
}

function replace(
  client: ApiClient,
  name: string,
  body: Record<string, unknown>,
  revision: string | undefined,
): Promise<Answer> {
  return client.change<Answer>('PUT', route`/templates/${name}`, { body, revision });
}

/** @returns undefined if the user has changed nothing */
async function editInteractively(
  client: ApiClient,
  name: string,
  revision: string | undefined,
  editor: TextEditor,
): Promise<Answer | undefined> {
  const template = await client.get<TemplateView>(route`/templates/${name}`);
  const original = templateText(template);
  const head =
    `# Template ${name}. Lines that begin with # are left out; comments of its file stay.\n` +
    '# An empty text, or an unchanged one, changes nothing.\n';
  let offered = `${head}${original}`;
  for (;;) {
    const saved = await editor.edit(name, offered);
    const text = saved.replace(/^#.*\n?/gm, '');
    if (text.trim() === '') return undefined;
    try {
      const body = parseTemplateText(name, text);
      if (isDeepStrictEqual(body, parseTemplateText(name, original))) return undefined;
      // The caller's own revision may be older than the one shown; the change must then fail.
      return await replace(client, name, body, revision ?? template.revision);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const mendable = !(error instanceof ApiProblem) || error.kind === 'invalid';
      if (!mendable || saved === offered) {
        const path = await editor.keep(name, text);
        throw new UserError(error.message, `nothing was changed; your text is in ${path}`, {
          cause: error,
        });
      }
      offered = `${error.message.replace(/^/gm, '# ')}\n#\n${head}${text}`;
    }
  }
}
