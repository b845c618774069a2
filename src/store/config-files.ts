/**
 * The files of a configuration directory, as texts: which there are, and what is in them at one moment.
 *
 * If files change while they are being read, all of them are read again.
 */
import { createHash } from 'node:crypto';
import { lstat, readFile, readdir, stat } from 'node:fs/promises';
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

/** @throws the system's error when the directory itself cannot be read */
export async function readFiles(directory: string): Promise<RawDirectory> {
  let raw = await readRaw(directory);
  for (let reads = 1; reads < maxReads; reads++) {
    const again = await fingerprintOf(directory);
    if (again === raw.fingerprint) break;
    raw = await readRaw(directory);
  }
  return raw;
}

/** Digest of the names and contents of everything read. */
export function revisionOf(raw: RawDirectory): string {
  const hash = createHash('sha256');
  for (const file of [raw.gateway, raw.servers, ...(raw.templates ?? [])]) {
    hash.update(JSON.stringify([file?.name, file?.text, file?.problem]));
  }
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

async function templateFileNames(directory: string): Promise<string[] | undefined> {
  try {
    const names = await readdir(join(directory, 'templates'));
    return names.filter((name) => !isEditorFile(name)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Times and sizes of everything that `readFiles` reads. */
export async function fingerprintOf(directory: string): Promise<string> {
  const templates = ((await templateFileNames(directory)) ?? []).map((name) => `templates/${name}`);
  const parts = ['gateway.yaml', 'servers.yaml', ...templates].map(async (name) => {
    try {
      const { mtimeNs, size, ino } = await stat(join(directory, name), { bigint: true });
      return `${name} ${mtimeNs} ${size} ${ino}`;
    } catch {
      return name;
    }
  });
  return (await Promise.all(parts)).join('\n');
}

async function readRaw(directory: string): Promise<RawDirectory> {
  const fingerprint = await fingerprintOf(directory);
  const templateNames = await templateFileNames(directory);
  const [gateway, servers] = await Promise.all([
    readText(directory, 'gateway.yaml'),
    readText(directory, 'servers.yaml'),
  ]);
  const templates = await Promise.all(
    (templateNames ?? []).map((name) => readText(directory, `templates/${name}`)),
  );
  return {
    gateway,
    servers,
    // A file that vanished in between is not there.
    templates: templateNames && templates.filter((file) => file !== undefined),
    fingerprint,
  };
}

/** `undefined` when there is no such file. */
export async function readText(directory: string, name: string): Promise<RawFile | undefined> {
  try {
    const path = join(directory, name);
    const { size } = await stat(path);
    if (size > maxFileBytes) return { name, text: undefined, problem: 'larger than 4 MiB' };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path));
    return { name, text, problem: undefined };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return await brokenLink(directory, name);
    const problem = code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'not UTF-8' : reasonOf(error);
    return { name, text: undefined, problem };
  }
}

/** A link whose target is missing must not pass for a file that is not there. */
async function brokenLink(directory: string, name: string): Promise<RawFile | undefined> {
  const link = await lstat(join(directory, name)).catch(() => undefined);
  if (link === undefined) return undefined;
  return { name, text: undefined, problem: 'the link leads nowhere' };
}
