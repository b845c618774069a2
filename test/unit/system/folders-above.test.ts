/** Folders above a directory that somebody else can write. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { exposedFolders } from '../../../src/system/folders-above.ts';

let place: string;
let directory: string;
beforeEach(() => {
  // What is above it is sticky, and root's.
  place = mkdtempSync(join(tmpdir(), 'twt-above-'));
  directory = join(place, 'etc/tunwall');
  mkdirSync(directory, { recursive: true });
});
afterEach(() => {
  rmSync(place, { recursive: true });
});

const found = (of = directory): string[] =>
  exposedFolders(of).map((text) => text.replaceAll(place, 'PLACE'));
const who = (writer: string): string =>
  `PLACE/etc can be written by ${writer}, who can exchange PLACE/etc/tunwall there: keep it below folders that only root can write`;

const isRoot = process.geteuid!() === 0;

it('say nothing when only root and the owner can write them, or when there is no directory', () => {
  expect(found()).toEqual([]);
  chmodSync(join(place, 'etc'), 0o1777);
  expect(found()).toEqual([]);
  expect(found(join(place, 'nowhere'))).toEqual([]);
});

it.runIf(isRoot).each<[string, () => void]>([
  ['everybody', () => chmodSync(join(place, 'etc'), 0o777)],
  ['user 1234', () => chownSync(join(place, 'etc'), 1234, 0)],
  [
    'group 1234',
    () => {
      chownSync(join(place, 'etc'), 0, 1234);
      chmodSync(join(place, 'etc'), 0o775);
    },
  ],
])('are told of when %s can write them', (writer, expose) => {
  expose();
  expect(found()).toEqual([who(writer)]);
});

it.runIf(isRoot)('may belong to the owner of the directory', () => {
  chownSync(directory, 1234, 1234);
  chownSync(join(place, 'etc'), 1234, 1234);
  expect(found()).toEqual([]);
});

it('are those of a link and of what it leads to', () => {
  chmodSync(join(place, 'etc'), 0o777);
  symlinkSync(directory, join(place, 'link'));
  expect(found(join(place, 'link'))).toEqual([
    who('everybody').replace('exchange PLACE/etc/tunwall', 'exchange PLACE/link'),
  ]);
});
