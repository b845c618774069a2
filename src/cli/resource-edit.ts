/**
 * `tunwall template edit`, `tunwall set edit`: a template or set in the user's editor.
 *
 * The saved text goes to the API with the revision that was read, so that no concurrent change is overwritten. If the
 * API refuses it, the editor opens again with the errors above the text; saving that unchanged, or an empty text, ends
 * the command. Comments of its file are not shown, but stay: the store changes only the lines that have to
 * change.
 */
import type { Command } from 'commander';
import { isDeepStrictEqual } from 'node:util';
import { ApiProblem } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import type { Changed } from './api-types.ts';
import { clientCommand, printChange } from './client-verb.ts';
import type { ClientFlags, ClientParts } from './client-verb.ts';
import { UserError } from './errors.ts';
import { parseBodyText } from './resource-file.ts';
import { resourcePath } from './resource-verbs.ts';

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

/** What is edited. */
export interface EditForm<View> {
  readonly word: 'template' | 'set';
  readonly description: string;
  /** Its editable fields as YAML. */
  readonly textOf: (view: View) => string;
}

export function addEditCommand<View extends { readonly revision: string }>(
  family: Command,
  { output, run }: ClientParts,
  actions: EditActions,
  form: EditForm<View>,
): void {
  const { word, description } = form;
  clientCommand(family, {
    changes: true,
    usage: `edit <${word}>`,
    description,
    examples: [
      [`tunwall ${word} edit web`, 'in force when the editor ends'],
      [`tunwall ${word} edit web --file web.yaml`, 'without an editor; - is standard input'],
    ],
  })
    .option('--file <file>', 'take it from there, YAML or JSON')
    .option('--revision <revision>', `only if the ${word} still has this revision`)
    .action((name: string, flags: Flags) =>
      run(flags, async (client) => {
        const answer =
          flags.file === undefined
            ? await editInteractively(client, name, flags.revision, actions.editor, form)
            : await replace(
                client,
                resourcePath(word, name),
                parseBodyText(word, flags.file, await actions.readText(flags.file)),
                flags.revision ?? '*',
              );
        if (answer === undefined) output.print(`${word} "${name}" is unchanged`);
        else if (flags.json === true) output.json(answer);
        else printChange(output, `${word} "${name}" changed`, answer.applied);
      }),
    );
}

function replace(
  client: ApiClient,
  path: string,
  body: Record<string, unknown>,
  revision: string | undefined,
): Promise<Changed> {
  return client.change<Changed>('PUT', path, { body, revision });
}

/** @returns undefined if the user has changed nothing */
async function editInteractively<View extends { readonly revision: string }>(
  client: ApiClient,
  name: string,
  revision: string | undefined,
  editor: TextEditor,
  { word, textOf }: EditForm<View>,
): Promise<Changed | undefined> {
  const path = resourcePath(word, name);
  const shown = await client.get<View>(path);
  const original = textOf(shown);
  const head =
    `# ${word === 'set' ? 'Set' : 'Template'} ${name}. Lines that begin with # are left out; comments of its file stay.\n` +
    '# An empty text, or an unchanged one, changes nothing.\n';
  let offered = `${head}${original}`;
  for (;;) {
    const saved = await editor.edit(name, offered);
    const text = saved.replace(/^#.*\n?/gm, '');
    if (text.trim() === '') return undefined;
    try {
      const body = parseBodyText(word, name, text);
      if (isDeepStrictEqual(body, parseBodyText(word, name, original))) return undefined;
      // The caller's own revision may be older than the one shown; the change must then fail.
      return await replace(client, path, body, revision ?? shown.revision);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const mendable = !(error instanceof ApiProblem) || error.kind === 'invalid';
      if (!mendable || saved === offered) {
        const kept = await editor.keep(name, text);
        throw new UserError(error.message, `nothing was changed; your text is in ${kept}`, {
          cause: error,
        });
      }
      offered = `${error.message.replace(/^/gm, '# ')}\n#\n${head}${text}`;
    }
  }
}
