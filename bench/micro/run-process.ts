/**
 * Runs a measurement of process/ in a process of its own, on the built data plane.
 *
 * The code that is measured is dist/, as it is shipped, run by Node without a loader: what a loader adds to functions would be
 * measured too. So process/ is stripped of its types here, file by file, and what it imports from src/ it gets from dist/.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import type { Measurement } from './process/main.ts';

const root = join(import.meta.dirname, '../..');
const target = join(root, 'bench/micro/build');
const sources: readonly string[] = [
  ...readdirSync(join(import.meta.dirname, 'process')).map((name) => `bench/micro/process/${name}`),
  'bench/net/policy.ts',
  'bench/net/addresses.ts',
];

/** The specifier of an import in `file`, as its stripped form needs it. */
function compiledSpecifier(file: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  const imported = relative(root, resolve(root, dirname(file), specifier)).replace(/\.ts$/, '.js');
  const place = imported.startsWith(`src${sep}`)
    ? join(root, 'dist', relative('src', imported))
    : join(target, imported);
  return relative(dirname(join(target, file)), place).replace(/^(?!\.)/, './');
}

function redirectImports(file: string): ts.TransformerFactory<ts.SourceFile> {
  return (context) => (source) => {
    const visit = (node: ts.Node): ts.Node => {
      if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) return node;
      const specifier = compiledSpecifier(file, node.moduleSpecifier.text);
      return ts.factory.updateImportDeclaration(
        node,
        node.modifiers,
        node.importClause,
        ts.factory.createStringLiteral(specifier),
        node.attributes,
      );
    };
    return ts.visitEachChild(source, visit, context);
  };
}

function build(): void {
  rmSync(target, { recursive: true, force: true });
  for (const file of sources) {
    const { outputText } = ts.transpileModule(readFileSync(join(root, file), 'utf8'), {
      fileName: file,
      compilerOptions: {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
      },
      transformers: { after: [redirectImports(file)] },
    });
    const output = join(target, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(output), { recursive: true });
    writeFileSync(output, outputText);
  }
}

let built = false;

/** @returns its figures by name, times in ns */
export async function runMeasurement(measurement: Measurement): Promise<Record<string, number>> {
  if (!built) build();
  built = true;
  const program = join(target, 'bench/micro/process/main.js');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', program, JSON.stringify(measurement)],
    { timeout: 300_000 },
  );
  return JSON.parse(stdout) as Record<string, number>;
}
