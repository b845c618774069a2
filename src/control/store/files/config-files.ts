/**
 * The files of a configuration directory, as texts: their names and contents at one moment.
 *
 * If files change while they are being read, all of them are read again. Reading is synchronous: for two hundred small
 * files that takes a quarter of the time of as many promises, on a thread for which no packet waits. A file is not
 * opened again while its metadata is unchanged. An exception is a file that had just changed when it was read: a file
 * system's timestamps are coarse, so a second change within one step would not show.
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readRegularFile } from '../../../system/safe-file.ts';
import { reasonOf } from '../../../text/system-errors.ts';
import { fileOrder, filesOf, maxFileBytes, maxListBytes, placeOf } from '../config-texts.ts';
import type { ConfigFiles, RawFile } from '../config-texts.ts';

/** After this time without a change, the next change is visible in the timestamps: file systems' steps are shorter. */
const settledMs = 1000;

/** How often a directory that keeps changing is read again before its last state is accepted. */
const maxReads = 5;

export interface RawDirectory extends ConfigFiles {
  /** Names, times and sizes of everything read: equal values before and after reading mean one consistent state. */
  readonly fingerprint: string;
  readonly stamps: Stamps;
}

/** A file's metadata. */
interface Stamp {
  /** Time of the last change, size and inode. */
  readonly key: string;
  /** Whether the file had been unchanged for a while when its metadata was read. */
  readonly settled: boolean;
}

/** By file name; `undefined` for a file that does not exist or is not accessible. */
type Stamps = ReadonlyMap<string, Stamp | undefined>;

/**
 * @param before an earlier state: unchanged files are the same objects
 * @throws the system's error when the directory itself cannot be read
 */
export function readFiles(directory: string, before?: RawDirectory): RawDirectory {
  let read = readRaw(directory, before);
  for (let reads = 1; reads < maxReads; reads++) {
    // If no file says something else, the state is that from before, which was one.
    if (read.isSame || fingerprintOf(directory) === read.raw.fingerprint) break;
    read = readRaw(directory, before);
  }
  return read.raw;
}

/** Files that package managers leave beside the one that they have not replaced, and what file systems make. */
function isLeftover(name: string): boolean {
  return /\.(dpkg-\w+|ucf-\w+|rpmsave|rpmnew|rpmorig|pacnew|pacsave|pacorig)$|^lost\+found$/.test(
    name,
  );
}

/** Backup files of editors, and hidden files. */
function isEditorFile(name: string): boolean {
  return /^[.#]|[~#]$|\.(sw[a-z]|tmp|bak|orig|new|save)$|^4913$/.test(name);
}

/** The folders of a configuration directory. */
const folders = ['templates', 'sets'] as const;
type Folder = (typeof folders)[number];

/** Names of the files in a folder, with the folder; `undefined` when there is no such folder. */
function fileNames(directory: string, folder: Folder): string[] | undefined {
  try {
    const names = readdirSync(join(directory, folder));
    const own = names.filter((name) => !isEditorFile(name) && !isLeftover(name));
    return own.sort(fileOrder).map((name) => `${folder}/${name}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

type FolderNames = Readonly<Record<Folder, readonly string[] | undefined>>;

function folderNames(directory: string): FolderNames {
  return { templates: fileNames(directory, 'templates'), sets: fileNames(directory, 'sets') };
}

/** Times and sizes of everything that `readFiles` reads. */
export function fingerprintOf(directory: string): string {
  return fingerprint(stampsOf(directory, folderNames(directory)));
}

function fingerprint(stamps: Stamps): string {
  return [...stamps].map(([name, stamp]) => `${name} ${stamp?.key}`).join('\n');
}

function stampsOf(directory: string, inFolders: FolderNames): Stamps {
  const nowMs = Date.now();
  const names = ['gateway.yaml', 'servers.yaml'];
  for (const folder of folders) names.push(...(inFolders[folder] ?? []));
  return new Map(
    names.map((name) => {
      try {
        // To a quarter of a microsecond: finer than the kernel's own. With big integers a thousand files were megabytes of garbage.
        const { ctimeMs, size, ino } = statSync(`${directory}/${name}`);
        return [name, { key: `${ctimeMs} ${size} ${ino}`, settled: nowMs - ctimeMs > settledMs }];
      } catch {
        return [name, undefined];
      }
    }),
  );
}

/** `isSame`: no file says anything else than before. */
function readRaw(
  directory: string,
  before: RawDirectory | undefined,
): { raw: RawDirectory; isSame: boolean } {
  let isSame = true;
  const inFolders = folderNames(directory);
  const stamps = stampsOf(directory, inFolders);
  const known = new Map(filesOf(before).map((file) => [file.name, file]));
  const read = (name: string): RawFile | undefined => {
    const last = known.get(name);
    if (last !== undefined && isUnchanged(before?.stamps.get(name), stamps.get(name))) return last;
    const isStray = name.includes('/') && placeOf(name) === undefined;
    const file = isStray ? stray(name) : readText(directory, name);
    if (last?.text === file?.text && last?.problem === file?.problem) return last;
    isSame = false;
    return file;
  };
  // A file that vanished in between does not exist.
  const readAll = (names: readonly string[] | undefined): RawFile[] | undefined =>
    names?.flatMap((name) => read(name) ?? []);
  const raw: RawDirectory = {
    gateway: read('gateway.yaml'),
    servers: read('servers.yaml'),
    templates: readAll(inFolders.templates),
    sets: readAll(inFolders.sets),
    fingerprint: fingerprint(stamps),
    stamps,
  };
  return { raw, isSame };
}

function isUnchanged(before: Stamp | undefined, now: Stamp | undefined): boolean {
  return before?.settled === true && before.key === now?.key;
}

/** Something in a folder that does not belong there. */
function stray(name: string): RawFile {
  return { name, text: undefined, problem: 'does not belong here' };
}

/** `undefined` when there is no such file. A list comes from elsewhere, so it may be no link. */
export function readText(directory: string, name: string): RawFile | undefined {
  const isList = placeOf(name)?.kind === 'list';
  try {
    const path = join(directory, name);
    const { bytes } = isList
      ? readRegularFile(path, maxListBytes, { links: false })
      : readRegularFile(path, maxFileBytes);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { name, text, problem: undefined };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return brokenLink(directory, name);
    return { name, text: undefined, problem: reasonOf(error) };
  }
}

/** A link whose target is missing must not count as a missing file. */
function brokenLink(directory: string, name: string): RawFile | undefined {
  const link = lstatSync(join(directory, name), { throwIfNoEntry: false });
  if (link === undefined) return undefined;
  return { name, text: undefined, problem: 'the link leads nowhere' };
}
