/**
 * The files of a configuration directory, as texts: which there are, and what is in them at one moment.
 *
 * If files change while they are being read, all of them are read again. Reading is synchronous: for two hundred small files
 * that takes a quarter of the time that as many promises take, on a thread for which no packet waits.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A file larger than this is a mistake. */
const maxFileBytes = 4 << 20;

/** How often a directory that keeps changing is read before its last state is taken as it is. */
const maxReads = 5;

export interface RawFile {
  /** Relative to the directory. */
  readonly name: string;
  readonly text: string | undefined;
  readonly problem: string | undefined;
}

export interface RawDirectory {
  readonly gateway: RawFile | undefined;
  readonly servers: RawFile | undefined;
  /** `undefined` when there is no folder of templates. */
  readonly templates: readonly RawFile[] | undefined;
  /** Names, times and sizes of everything read: two equal ones with nothing in between are one state. */
  readonly fingerprint: string;
}

/**
 * @param before an earlier state: what reads as it did then is the same object
 * @throws the system's error when the directory itself cannot be read
 */
export function readFiles(directory: string, before?: RawDirectory): RawDirectory {
  const known = new Map(filesOf(before).map((file) => [file.name, file]));
  let raw = readRaw(directory, known);
  for (let reads = 1; reads < maxReads; reads++) {
    const again = fingerprintOf(directory);
    if (again === raw.fingerprint) break;
    raw = readRaw(directory, known);
  }
  return raw;
}

/** All that there are. */
export function filesOf(raw: RawDirectory | undefined): RawFile[] {
  return [raw?.gateway, raw?.servers, ...(raw?.templates ?? [])].filter(
    (file) => file !== undefined,
  );
}

const digests = new WeakMap<RawFile, string>();

function digestOf(file: RawFile): string {
  let digest = digests.get(file);
  if (digest === undefined) {
    const { name, text, problem } = file;
    digest = createHash('sha256')
      .update(JSON.stringify([name, text, problem]))
      .digest('hex');
    digests.set(file, digest);
  }
  return digest;
}

/** Digest of the names and contents of everything read. */
export function revisionOf(raw: RawDirectory): string {
  const hash = createHash('sha256');
  for (const file of filesOf(raw)) hash.update(digestOf(file));
  return hash.digest('hex');
}

/** An error of the file system, in words. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known: Record<string, string> = {
    ENOENT: 'it does not exist',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
    ENOTDIR: 'it is not a directory',
  };
  return known[code ?? ''] ?? message;
}

/** Files that editors leave beside the one they edit, and hidden ones. */
function isEditorFile(name: string): boolean {
  return /^[.#]|[~#]$|\.(swp|swx|tmp|bak|orig|new)$|^4913$/.test(name);
}

function templateFileNames(directory: string): string[] | undefined {
  try {
    const names = readdirSync(join(directory, 'templates'));
    // By the templates' names: web before web-2, though web.yaml would come behind web-2.yaml.
    const key = (name: string): string => name.replace(/\.yaml$/, '');
    return names.filter((name) => !isEditorFile(name)).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Times and sizes of everything that `readFiles` reads. */
export function fingerprintOf(directory: string): string {
  const templates = (templateFileNames(directory) ?? []).map((name) => `templates/${name}`);
  const parts = ['gateway.yaml', 'servers.yaml', ...templates].map((name) => {
    try {
      const { mtimeNs, size, ino } = statSync(join(directory, name), { bigint: true });
      return `${name} ${mtimeNs} ${size} ${ino}`;
    } catch {
      return name;
    }
  });
  return parts.join('\n');
}

function readRaw(directory: string, known: ReadonlyMap<string, RawFile>): RawDirectory {
  const fingerprint = fingerprintOf(directory);
  const templateNames = templateFileNames(directory);
  const read = (name: string): RawFile | undefined => {
    const file = readText(directory, name);
    const before = known.get(name);
    return before?.text === file?.text && before?.problem === file?.problem ? before : file;
  };
  return {
    gateway: read('gateway.yaml'),
    servers: read('servers.yaml'),
    // A file that vanished in between is not there.
    templates: templateNames?.flatMap((name) => read(`templates/${name}`) ?? []),
    fingerprint,
  };
}

/** `undefined` when there is no such file. */
export function readText(directory: string, name: string): RawFile | undefined {
  try {
    const path = join(directory, name);
    const { size } = statSync(path);
    if (size > maxFileBytes) return { name, text: undefined, problem: 'larger than 4 MiB' };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
    return { name, text, problem: undefined };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return brokenLink(directory, name);
    const problem = code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'not UTF-8' : reasonOf(error);
    return { name, text: undefined, problem };
  }
}

/** A link whose target is missing must not pass for a file that is not there. */
function brokenLink(directory: string, name: string): RawFile | undefined {
  const link = lstatSync(join(directory, name), { throwIfNoEntry: false });
  if (link === undefined) return undefined;
  return { name, text: undefined, problem: 'the link leads nowhere' };
}
