/**
 * Imported templates as files: whole or not at all, and never over a file that is there unless that is asked for.
 *
 * Every file is first written beside its place under a hidden name, which readers of the directory overlook, and made
 * durable; then each gets its name in one step. Without `overwrite` that step is a hard link, which fails if the name is
 * taken by then, so that no file is lost to a race.
 */
import { link, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Document, isMap, visit } from 'yaml';
import { formatProblem } from '../../policy/problem.ts';
import { validateTemplate } from '../../policy/validate.ts';
import { ImportError } from './import-result.ts';
import type { ImportedTemplate } from './import-result.ts';

/** What src/control/store reads at most. */
const maxFileLength = 4 << 20;

/** The text of a template file, one rule a line as people write them. */
export function formatTemplateFile({ description, inbound, outbound }: ImportedTemplate): string {
  const body = {
    description,
    ...(inbound.length > 0 && { inbound }),
    ...(outbound.length > 0 && { outbound }),
  };
  const document = new Document(body, { aliasDuplicateObjects: false });
  visit(document, {
    Map: (_key, node, path) => {
      // A rule; the mapping around all of it has no parent but the document.
      if (isMap(node) && path.length > 1) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0 });
}

/** Writes the files and returns their names. */
export async function writeTemplateFiles(
  directory: string,
  templates: readonly ImportedTemplate[],
  overwrite: boolean,
): Promise<string[]> {
  const files = templates.map((template) => ({
    file: join(directory, `${template.name}.yaml`),
    temporary: join(directory, `.${template.name}.yaml.${process.pid}.tmp`),
    text: checked(template),
  }));
  await mkdir(directory, { recursive: true });
  if (!overwrite) {
    for (const { file } of files) {
      if ((await lstat(file).catch(() => undefined)) !== undefined) throw isThere(file);
    }
  }
  const placed: string[] = [];
  try {
    for (const { temporary, text } of files) await writeDurably(temporary, text);
    for (const { file, temporary } of files) {
      if (overwrite) await rename(temporary, file);
      else await link(temporary, file).catch((error: unknown) => rethrow(error, file));
      placed.push(file);
    }
  } catch (error) {
    // All or nothing: what has replaced a file cannot be taken back, what is new can.
    if (!overwrite) await Promise.all(placed.map((file) => rm(file, { force: true })));
    throw error;
  } finally {
    await Promise.all(files.map(({ temporary }) => rm(temporary, { force: true })));
  }
  await syncDirectory(directory);
  return placed;
}

/** What is written has to be read again: a template that is not valid would stop the next reload. */
function checked(template: ImportedTemplate): string {
  const text = formatTemplateFile(template);
  if (text.length > maxFileLength) {
    throw new ImportError(`the template ${template.name} is too large`, 'expected at most 4 MiB');
  }
  const { problems } = validateTemplate(template.name, `${template.name}.yaml`, text);
  if (problems.length > 0) throw new Error(formatProblem(problems[0]!));
  return text;
}

function isThere(file: string): ImportError {
  return new ImportError(`${file} exists`, 'choose another --name, or overwrite it with --force');
}

function rethrow(error: unknown, file: string): never {
  throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? isThere(file) : error;
}

async function writeDurably(file: string, text: string): Promise<void> {
  // What has this name already is no file of ours: it is removed, and not written through if it is a link.
  await rm(file, { force: true });
  const handle = await open(file, 'wx', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
