/**
 * The built firewall, changed so that it can be made to fail: at the beginning of every function of the folders below stands
 * `$fault(n)`, which throws once when function n is armed (fault-runtime.js). The product has none of it.
 *
 * The build lies in a cache folder of the repository, where its imports find the same packages and the same addon.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { repository } from './firewall.ts';

const cache = join(repository, 'node_modules/.cache/tunwall-faults');
const runtime = join(repository, 'test/netns/support/fault-runtime.js');
const folders = [
  'dataplane/engine',
  'dataplane/flow',
  'dataplane/match',
  'dataplane/tun',
  'dataplane/wire',
  'dataplane/worker',
  'control/log',
  'control/service',
];

export interface FaultBuild {
  /** Its main.js, from the repository. */
  readonly program: string;
  /** All functions that can be made to fail: `dataplane/engine/engine.js judge`. */
  readonly points: readonly string[];
}

interface Found {
  readonly name: string;
  /** Where its body begins. */
  readonly at: number;
}

/** Functions and methods with a name; not constructors of derived classes, in which nothing may come before `super`. */
function functionsOf(text: string): Found[] {
  const file = ts.createSourceFile('x.js', text, ts.ScriptTarget.ES2023, true);
  const found: Found[] = [];
  const visit = (node: ts.Node): void => {
    const isConstructor =
      ts.isConstructorDeclaration(node) && node.parent.heritageClauses === undefined;
    if (ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node) || isConstructor) {
      const name = isConstructor
        ? `new ${node.parent.name!.text}`
        : node.name!.getText(file).replace(/^#/, '');
      found.push({ name, at: node.body!.getStart(file) + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function build(from: string, to: string): void {
  cpSync(from, join(to, 'dist'), { recursive: true });
  cpSync(join(repository, 'package.json'), join(to, 'package.json'));
  cpSync(runtime, join(to, 'fault-runtime.js'));
  // Where it will be: one folder beside others in the cache.
  symlinkSync(relative(join(cache, 'x'), join(repository, 'native')), join(to, 'native'));
  const points: string[] = [];
  for (const folder of folders) {
    const names = readdirSync(join(from, folder), { recursive: true, encoding: 'utf8' });
    for (const name of names.filter((each) => each.endsWith('.js')).sort()) {
      const path = `${folder}/${name}`;
      const up = '../'.repeat(path.split('/').length);
      let text = readFileSync(join(from, path), 'utf8');
      const first = points.length + 1;
      const functions = functionsOf(text);
      for (const each of functions) points.push(`${path} ${each.name}`);
      functions
        .map(({ at }, index) => ({ at, number: first + index }))
        .sort((a, b) => b.at - a.at)
        .forEach(({ at, number }) => {
          text = `${text.slice(0, at)}$fault(${number});${text.slice(at)}`;
        });
      writeFileSync(
        join(to, 'dist', path),
        `import { $fault } from '${up}fault-runtime.js';${text}`,
      );
    }
  }
  writeFileSync(join(to, 'points.json'), JSON.stringify(points));
}

export function faultBuild(): FaultBuild {
  const from = join(repository, 'dist');
  const hash = createHash('sha256').update(readFileSync(runtime));
  for (const name of readdirSync(from, { recursive: true, encoding: 'utf8' }).sort()) {
    if (name.endsWith('.js')) hash.update(name).update(readFileSync(join(from, name)));
  }
  const folder = join(cache, hash.digest('hex').slice(0, 16));
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true });
    const temporary = mkdtempSync(join(cache, 'new-'));
    // It is run by another user.
    chmodSync(temporary, 0o755);
    build(from, temporary);
    try {
      renameSync(temporary, folder);
    } catch (error) {
      // Another test run has built the same at the same time.
      rmSync(temporary, { recursive: true });
      if (!existsSync(folder)) throw error;
    }
  }
  return {
    program: relative(repository, join(folder, 'dist/main.js')),
    points: JSON.parse(readFileSync(join(folder, 'points.json'), 'utf8')) as string[],
  };
}
