/**
 * The data plane as guarded JavaScript, in a cache folder: made when a source has changed, and loaded from there.
 *
 * It is loaded by Node itself, not by the test runner: what runs is exactly what was written to the folder.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { guard } from './guard.ts';

const root: string = new URL('../..', import.meta.url).pathname;
const cache = join(root, 'node_modules/.cache/tunwall-guarded');
const folders = [
  'src/dataplane/wire',
  'src/dataplane/flow',
  'src/dataplane/match',
  'src/dataplane/engine',
];

export interface GuardedBuild {
  readonly runtime: typeof import('./guard-runtime.ts');
  readonly engine: typeof import('../../src/dataplane/engine/engine.ts');
  readonly matcher: typeof import('../../src/dataplane/match/matcher.ts');
  readonly flowTable: typeof import('../../src/dataplane/flow/flow-table.ts');
  /** Edges that the transform has found. */
  readonly edgeCount: number;
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** Compiles the runtime, which is not guarded itself. */
function compileRuntime(): string {
  return ts.transpileModule(read('test/fuzz/guard-runtime.ts'), {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  }).outputText;
}

function build(sources: readonly string[], folder: string): void {
  let edge = 0;
  for (const file of sources) {
    const { code, nextEdge } = guard(read(file), file, '../../../runtime.js', edge);
    edge = nextEdge;
    const target = join(folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, code);
  }
  writeFileSync(join(folder, 'runtime.js'), compileRuntime());
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', edges: edge }));
}

/** The folder of the guarded build of the sources as they are now. */
function guardedFolder(): string {
  const sources = folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  );
  const hash = createHash('sha256');
  for (const file of [...sources, 'test/fuzz/guard.ts', 'test/fuzz/guard-runtime.ts']) {
    hash.update(file).update(read(file));
  }
  const folder = join(cache, hash.digest('hex').slice(0, 16));
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const temporary = mkdtempSync(join(cache, 'new-'));
  build(sources, temporary);
  try {
    renameSync(temporary, folder);
  } catch (error) {
    // Another process has built the same at the same time.
    rmSync(temporary, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

export async function loadGuardedBuild(): Promise<GuardedBuild> {
  const folder = guardedFolder();
  const load = async (file: string): Promise<unknown> =>
    import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href);
  const description = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    edges: number;
  };
  return {
    runtime: (await load('runtime.js')) as GuardedBuild['runtime'],
    engine: (await load('src/dataplane/engine/engine.js')) as GuardedBuild['engine'],
    matcher: (await load('src/dataplane/match/matcher.js')) as GuardedBuild['matcher'],
    flowTable: (await load('src/dataplane/flow/flow-table.js')) as GuardedBuild['flowTable'],
    edgeCount: description.edges,
  };
}
