/** The rules of scripts/config/dependency-cruiser.cjs refuse what they say: each on a file in a tree of its own. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../support/documents.ts';

const config = join(root, 'scripts/config/dependency-cruiser.cjs');
const require = createRequire(import.meta.url);
const { forbidden } = require(config) as { forbidden: readonly { name: string }[] };

/** A file, what it says, and the rule that refuses it. */
const cases: [file: string, text: string, rule: string | undefined][] = [
  ['src/dataplane/wire/up.ts', "import '../flow/leaf.ts';", 'imports-run-downwards'],
  ['src/dataplane/match/up.ts', "import '../engine/leaf.ts';", 'imports-run-downwards'],
  ['src/dataplane/match/aside.ts', "import '../flow/leaf.ts';", 'imports-run-downwards'],
  ['src/dataplane/engine/device.ts', "import '../tun/leaf.ts';", 'imports-run-downwards'],
  ['src/dataplane/engine/system.ts', "import '../../system/leaf.ts';", 'imports-run-downwards'],
  ['src/dataplane/engine/text.ts', "import '../../text/leaf.ts';", 'imports-run-downwards'],
  ['src/dataplane/worker/up.ts', "import '../../policy/leaf.ts';", 'imports-run-downwards'],
  ['src/policy/up.ts', "import '../interop/rules/leaf.ts';", 'imports-run-downwards'],
  ['src/policy/up-type.ts', "import type {} from '../cli/leaf.ts';", 'imports-run-downwards'],
  ['src/interop/rules/up.ts', "import '../../control/store/leaf.ts';", 'imports-run-downwards'],
  ['src/control/store/up.ts', "import '../api/leaf.ts';", 'imports-run-downwards'],
  ['src/control/api/up.ts', "import '../service/leaf.ts';", 'imports-run-downwards'],
  ['src/control/api/later.ts', "await import('../service/leaf.ts');", 'imports-run-downwards'],
  ['src/control/service/up.ts', "import '../../host/leaf.ts';", 'imports-run-downwards'],
  ['src/system/up.ts', "import '../text/leaf.ts';", 'imports-run-downwards'],
  ['src/host/up.ts', "import '../policy/leaf.ts';", 'imports-run-downwards'],
  ['src/lab/up.ts', "import '../cli/leaf.ts';", 'imports-run-downwards'],
  ['src/cli/panel.ts', "import '../panel/leaf.ts';", 'imports-run-downwards'],
  ['src/cli/main.ts', "import '../main.ts';", 'imports-run-downwards'],
  ['src/panel/deep.ts', "import type {} from '../policy/leaf.ts';", 'imports-run-downwards'],
  ['src/panel/value.ts', "import '../control/api/leaf.ts';", 'panel-imports-types-of-the-api-only'],
  ['src/dataplane/wire/node.ts', "import 'node:fs';", 'packet-path-is-pure'],
  ['src/dataplane/flow/package.ts', "import 'lru-cache';", 'packet-path-is-pure'],
  ['src/dataplane/wire/circle.ts', "import './other.ts';", 'no-circle'],
  ['src/attic/new.ts', "import '../system/leaf.ts';", 'every-file-has-a-room'],
  ['src/cli/test.ts', "import '../../test/support/leaf.ts';", 'product-imports-no-test-code'],
  ['src/cli/dev.ts', "import 'vitest';", 'no-dev-dependency-in-product'],
  ['src/dataplane/engine/down.ts', "import '../flow/leaf.ts';", undefined],
  ['src/dataplane/worker/node.ts', "import 'node:worker_threads';", undefined],
  ['src/policy/down.ts', "import '../dataplane/match/leaf.ts';", undefined],
  ['src/control/service/down.ts', "import '../../dataplane/worker/leaf.ts';", undefined],
  ['src/control/log/package.ts', "import 'lru-cache';", undefined],
  ['src/cli/down.ts', "import '../host/leaf.ts';", undefined],
  ['src/panel/type.ts', "import type {} from '../control/api/leaf.ts';", undefined],
  ['src/panel/dev.ts', "import 'react';", undefined],
];

const rooms = cases.flatMap(([file, text]) => [
  dirname(file),
  ...[...text.matchAll(/'(\.\..*\/)leaf\.ts'/g)].map(([, path]) => join(dirname(file), path!)),
]);

interface Violation {
  readonly from: string;
  readonly rule: { readonly name: string };
}

let tree: string;
let violations: readonly Violation[] = [];
beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'tunwall-imports-'));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), `${text}\nexport {};\n`);
  };
  for (const room of rooms) write(join(room, 'leaf.ts'), '');
  for (const [file, text] of cases) write(file, text);
  // A circle is reported at the first of its files.
  write('src/dataplane/wire/other.ts', "import './circle.ts';");
  write('src/main.ts', "import './cli/leaf.ts'; import './control/service/leaf.ts';");
  for (const file of ['package.json', 'tsconfig.json']) {
    copyFileSync(join(root, file), join(tree, file));
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  const depcruise = join(root, 'node_modules/.bin/depcruise');
  const { stdout } = spawnSync(depcruise, ['--config', config, '--output-type', 'json', 'src'], {
    cwd: tree,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const { summary } = JSON.parse(stdout) as { summary: { violations: Violation[] } };
  violations = summary.violations;
});
afterAll(() => rmSync(tree, { recursive: true }));

describe('an import', () => {
  it.each(cases)('%s: %s', (file, _, rule) => {
    const found = violations.filter(({ from }) => from === file).map((each) => each.rule.name);
    expect(found).toEqual(rule === undefined ? [] : [rule]);
  });
});

it('main.ts imports what it likes', () => {
  expect(violations.filter(({ from }) => from === 'src/main.ts')).toEqual([]);
});

it('every rule has a case', () => {
  const names = new Set(forbidden.map(({ name }) => name));
  expect([...names].sort()).toEqual([...new Set(cases.flatMap(([, , rule]) => rule ?? []))].sort());
});
