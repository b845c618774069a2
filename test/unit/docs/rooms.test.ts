/** Every room has a head: a short README.md that says its job, its imports, its life-cycle, and the file to begin with. */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { documents, exists, readText, root } from '../../support/documents.ts';

const require = createRequire(import.meta.url);
const { mayImport } = require('../../../scripts/config/rooms.cjs') as {
  mayImport: Readonly<Record<string, readonly string[]>>;
};

const foldersOf = (path: string): string[] =>
  readdirSync(join(root, path), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => (path === 'src' ? name : `${path.replace(/^src\//, '')}/${name}`));

/** Rooms of rooms. */
const wings = ['dataplane', 'interop', 'control'];
const rooms = Object.keys(mayImport);
const heads = [
  ...[...rooms, ...wings].map((room) => `src/${room}`),
  'src/control/store/files',
  'src/control/store/etcd',
  ...foldersOf('test').filter((folder) => folder !== 'test/fixtures'),
  'bench',
  'scripts',
  'native',
];

it('every folder of src is a room', () => {
  const folders = ['src', ...wings.map((wing) => `src/${wing}`)].flatMap(foldersOf);
  expect(folders.sort()).toEqual([...rooms, ...wings].sort());
});

it('every head has its place in this test', () => {
  const inRooms = documents.filter((path) =>
    /^(src|test|bench|scripts|native)\/.*README\.md$/.test(path),
  );
  expect(inRooms).toEqual(heads.map((folder) => `${folder}/README.md`).sort());
});

it('the head of a room names the folders inside of it', () => {
  const unnamed = [...rooms, ...wings].flatMap((room) =>
    foldersOf(`src/${room}`)
      .filter((folder) => !rooms.includes(folder) && !heads.includes(`src/${folder}`))
      .map((folder) => folder.split('/').at(-1)!)
      .filter((name) => !readText(`src/${room}/README.md`).includes(`\`${name}\``))
      .map((name) => `${room}: ${name}`),
  );
  expect(unnamed).toEqual([]);
});

describe.each(heads)('%s', (folder) => {
  const text = exists(`${folder}/README.md`) ? readText(`${folder}/README.md`) : '';
  const { imports, begin } =
    /^# (?<title>.+)\n\n[A-Z`][^]+\n\n\*\*Imports:\*\* (?<imports>[^]+)\n\n\*\*Life-cycle:\*\* [^]+\n\n\*\*Begin with:\*\* (?<begin>.+)\n/.exec(
      text,
    )?.groups ?? {};

  it('has a head in the one form', () => {
    expect(text.startsWith(`# ${folder}\n`)).toBe(true);
    expect(imports).toBeDefined();
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(25);
  });

  it('begins with files that are there', () => {
    const files = [...begin!.matchAll(/`([\w./-]+)`/g)].map(([, file]) => file!);
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !exists(`${folder}/${file}`))).toEqual([]);
  });
});

describe.each(Object.entries(mayImport))('src/%s', (room, allowed) => {
  it('names what it may import', () => {
    const [, list = ''] = /\*\*Imports:\*\* ([^.]+)\./.exec(readText(`src/${room}/README.md`))!;
    const named = [...list.matchAll(/`([\w/]+)`/g)].map(([, each]) => each!);
    expect(list === 'nothing of `src`' ? [] : named).toEqual(allowed);
  });
});
