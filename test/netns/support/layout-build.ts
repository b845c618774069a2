/**
 * The firewall as a later version could be: its flow records have another layout. Fields have changed places, a word is new, and
 * the layout has the next number.
 *
 * The build lies in a cache folder of the repository, where its imports find the same packages and the same addon.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { repository } from './firewall.ts';

const cache = join(repository, 'node_modules/.cache/tunwall-layout');

/** What is changed: file, text, and what stands there instead. */
const changes: readonly (readonly [string, string, string])[] = [
  ['dataplane/flow/flow-record.ts', 'lastRefresh: 6,', 'lastRefresh: 7,'],
  ['dataplane/flow/flow-record.ts', 'epoch: 7,', 'epoch: 6,'],
  ['dataplane/flow/flow-record.ts', 'tcp: 8,', 'tcp: 15,'],
  ['dataplane/flow/flow-record.ts', 'listed: 15,', 'listed: 8,'],
  ['dataplane/flow/flow-record.ts', 'coldWords = 16;', 'coldWords = 19;'],
  ['dataplane/flow/flow-record.ts', 'created: 2,', 'created: 16,\n  isNew: 18,'],
  ['dataplane/flow/flow-record.ts', 'servers: 13,', 'servers: 17,'],
  ['dataplane/flow/record-layout.ts', 'recordLayout = 3;', 'recordLayout = 4;'],
  [
    'dataplane/flow/record-layout.ts',
    "string[] = ['inboundRule', 'outboundRule'];",
    "string[] = ['isNew'];",
  ],
];

/** A file that is one of these or imports them. */
const knowsRecords = /flow-record|record-layout/;

function changed(file: string, text: string): string {
  let result = text;
  for (const [of, from, to] of changes.filter(([name]) => name === file)) {
    if (!result.includes(from)) throw new Error(`${of} no longer says ${from}`);
    result = result.replace(from, to);
  }
  return result;
}

/** Its main.js, from the repository. */
export function layoutBuild(): string {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'build-'));
  // It is run by another user.
  chmodSync(folder, 0o755);
  cpSync(join(repository, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(repository, 'package.json'), join(folder, 'package.json'));
  symlinkSync(relative(folder, join(repository, 'native')), join(folder, 'native'));
  const source = join(repository, 'src');
  const names = readdirSync(source, { recursive: true, encoding: 'utf8' });
  for (const name of names.filter((each) => each.endsWith('.ts') && !each.startsWith('panel'))) {
    const text = readFileSync(join(source, name), 'utf8');
    // In dist the old words are written where they are used: not only in the files that are changed.
    if (!knowsRecords.test(name) && !knowsRecords.test(text)) continue;
    const { outputText } = ts.transpileModule(changed(name, text), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
      },
    });
    writeFileSync(join(folder, 'dist', name.replace(/\.ts$/, '.js')), outputText);
  }
  return relative(repository, join(folder, 'dist/main.js'));
}
