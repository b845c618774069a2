/**
 * Where `tunwall import` puts its templates: into the store of a configuration directory, as every other change (its lock, its
 * history, its audit log), or as files of a directory that is no configuration. All of them or none.
 */
import { lstat, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImportedTemplate } from '../interop/rules/import-result.ts';
import { formatProblem } from '../policy/problem.ts';
import { validateTemplate } from '../policy/validate.ts';
import {
  commitFile,
  discardFile,
  stageFile,
  syncDirectory,
} from '../control/store/files/durable-file.ts';
import { undoOverdue } from '../control/store/confirmation.ts';
import { StoreError } from '../control/store/store.ts';
import type { ChangeOptions, Store } from '../control/store/store.ts';
import { documentText } from '../control/store/yaml-text.ts';
import { UserError } from './errors.ts';

/** The largest file that the store reads. */
const maxFileLength = 4 << 20;

const taken = 'choose another --name, or overwrite it with --force';

/** The text of a template file, one rule a line as people write them. */
export function importedText({
  description,
  appliesTo,
  inbound,
  outbound,
}: ImportedTemplate): string {
  return documentText({
    description,
    ...(appliesTo !== undefined && { appliesTo }),
    ...(inbound.length > 0 && { inbound }),
    ...(outbound.length > 0 && { outbound }),
  });
}

export interface ImportOptions extends Pick<ChangeOptions, 'why' | 'confirmWithinS'> {
  /** Templates of the same name. */
  readonly overwrite: boolean;
}

/** @param actor the user's name, for the audit log */
export async function importIntoStore(
  store: Store,
  actor: string,
  templates: readonly ImportedTemplate[],
  { overwrite, ...options }: ImportOptions,
): Promise<string[]> {
  templates.forEach(checkedText);
  const operations = templates.map((body) =>
    overwrite
      ? ({ kind: 'replace-template', name: body.name, body, upsert: true } as const)
      : ({ kind: 'create-template', name: body.name, body } as const),
  );
  try {
    // No firewall may be there that would have done it.
    await undoOverdue(store);
    await store.change({ name: actor, via: 'cli' }, () => operations, options);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const exists = error.failures.some(({ kind }) => kind === 'exists');
    throw new UserError(error.message, exists ? taken : 'nothing was changed', { cause: error });
  }
  return templates.map(({ name }) => `templates/${name}.yaml`);
}

/** @returns the names of the files */
export async function writeImported(
  directory: string,
  templates: readonly ImportedTemplate[],
  overwrite: boolean,
): Promise<string[]> {
  const files = templates.map((template) => ({
    path: join(directory, `${template.name}.yaml`),
    text: checkedText(template),
  }));
  await mkdir(directory, { recursive: true });
  for (const { path } of overwrite ? [] : files) {
    if ((await lstat(path).catch(() => undefined)) !== undefined) {
      throw new UserError(`${path} exists`, taken);
    }
  }
  const staged = [];
  try {
    for (const { path, text } of files) staged.push(await stageFile(path, text));
    for (const file of staged) await commitFile(file);
  } finally {
    await Promise.all(staged.map(discardFile));
  }
  await syncDirectory(directory);
  return files.map(({ path }) => path);
}

/** What is written has to be read again: a template that is not valid would stop the next reload. */
function checkedText(template: ImportedTemplate): string {
  const text = importedText(template);
  if (text.length > maxFileLength) {
    throw new UserError(`the template ${template.name} is too large`, 'expected at most 4 MiB');
  }
  const { problems } = validateTemplate(template.name, `${template.name}.yaml`, text);
  if (problems.length > 0) throw new Error(formatProblem(problems[0]!));
  return text;
}
