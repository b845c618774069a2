/** The package as npm packs it: what runs is in it, what only we need is not, and its addon builds where npm has put it. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = new URL('../../..', import.meta.url).pathname;
let files: string[];
let place: string;

beforeAll(() => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const packed = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' })) as [
    { files: { path: string }[] },
  ];
  files = packed[0].files.map(({ path }) => path);
  place = mkdtempSync(join(tmpdir(), 'twt-package-'));
});
afterAll(() => {
  rmSync(place, { recursive: true });
});

it('has no tests, no sources in TypeScript and no build in it', () => {
  const folders = new Set(files.map((file) => file.split('/')[0]));
  expect(
    [...folders].filter((name) => ['test', 'bench', 'src', 'node_modules'].includes(name!)),
  ).toEqual([]);
  expect(files.filter((file) => file.startsWith('native/build'))).toEqual([]);
  for (const file of [
    'package.json',
    'README.md',
    'LICENSE',
    'native/Makefile',
    'native/addon.c',
    'native/tunwall.h',
  ]) {
    expect(files).toContain(file);
  }
});

it('builds its addon as a dependency of another package', () => {
  const own = join(place, 'node_modules/tunwall');
  for (const file of files.filter((each) => each.startsWith('native/'))) {
    mkdirSync(dirname(join(own, file)), { recursive: true });
    cpSync(join(root, file), join(own, file));
  }
  // npm puts what both need beside it, not into it.
  const headers = 'node_modules/node-api-headers';
  cpSync(join(root, headers), join(place, headers), { recursive: true, dereference: true });
  execFileSync('make', ['-s', '-C', join(own, 'native')]);
  expect(existsSync(join(own, 'native/build/tunwall.node'))).toBe(true);
});
