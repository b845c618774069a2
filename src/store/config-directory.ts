/**
 * The configuration directory (DESIGN section 7): reading all of it, consistently, with every problem in it.
 *
 * Nothing is changed here and nothing is kept: a caller gets the state of the directory at one moment. If files change
 * while they are being read, the directory is read again.
 */
import { createHash } from 'node:crypto';
import { lstat, readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { GatewayConfig, Problem, Server, Template } from '../policy/types.ts';
import {
  defaultGatewayConfig,
  validateGateway,
  validateServers,
  validateTemplate,
} from '../policy/validate.ts';

/** A file larger than this is a mistake. */
const maxFileBytes = 4 << 20;

/** How often a directory that keeps changing is read before its last state is taken as it is. */
const maxReads = 5;

/** What a configuration directory says. With errors among the problems, the rest is only what could be read. */
export interface ConfigDirectory {
  readonly gateway: GatewayConfig;
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  readonly problems: readonly Problem[];
  /** Digest of the names and contents of everything read: equal for equal directories. */
  readonly revision: string;
}

interface RawFile {
  /** Relative to the directory. */
  readonly name: string;
  readonly text: string | undefined;
  readonly problem: string | undefined;
}

interface RawDirectory {
  readonly gateway: RawFile | undefined;
  readonly servers: RawFile | undefined;
  /** `undefined` when there is no folder of templates. */
  readonly templates: readonly RawFile[] | undefined;
  /** Names, times and sizes of everything read: two equal ones with nothing in between are one state. */
  readonly fingerprint: string;
}

export async function readConfigDirectory(directory: string): Promise<ConfigDirectory> {
  try {
    if (!(await stat(directory)).isDirectory()) throw new Error('it is not a directory');
  } catch (error) {
    return broken(directory, `cannot be read: ${reasonOf(error)}`);
  }
  try {
    let raw = await readRaw(directory);
    for (let reads = 1; reads < maxReads; reads++) {
      const again = await fingerprintOf(directory);
      if (again === raw.fingerprint) break;
      raw = await readRaw(directory);
    }
    return validate(directory, raw);
  } catch (error) {
    return broken(directory, `cannot be read: ${reasonOf(error)}`);
  }
}

/** The revision that reading the directory now would give. */
export async function readRevision(directory: string): Promise<string> {
  try {
    return revisionOf(await readRaw(directory));
  } catch {
    return '';
  }
}

function revisionOf(raw: RawDirectory): string {
  const hash = createHash('sha256');
  for (const file of [raw.gateway, raw.servers, ...(raw.templates ?? [])]) {
    hash.update(JSON.stringify([file?.name, file?.text, file?.problem]));
  }
  return hash.digest('hex');
}

function broken(file: string, message: string): ConfigDirectory {
  return {
    gateway: defaultGatewayConfig,
    templates: [],
    servers: [],
    problems: [{ severity: 'error', file, line: 0, column: 0, path: '', message }],
    revision: '',
  };
}

function reasonOf(error: unknown): string {
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

async function fingerprintOf(directory: string): Promise<string> {
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

async function readText(directory: string, name: string): Promise<RawFile | undefined> {
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

function validate(directory: string, raw: RawDirectory): ConfigDirectory {
  const problems: Problem[] = [];
  const fileProblem = (
    name: string,
    message: string,
    severity: Problem['severity'] = 'error',
  ): void => {
    problems.push({ severity, file: join(directory, name), line: 0, column: 0, path: '', message });
  };
  const take = <T>(
    file: RawFile,
    check: (name: string, text: string) => { value: T | undefined; problems: readonly Problem[] },
  ): T | undefined => {
    if (file.text === undefined) {
      fileProblem(file.name, `cannot be read: ${file.problem ?? 'unknown reason'}`);
      return undefined;
    }
    const result = check(join(directory, file.name), file.text);
    problems.push(...result.problems);
    return result.value;
  };

  const gateway = (raw.gateway && take(raw.gateway, validateGateway)) ?? defaultGatewayConfig;
  const templates: Template[] = [];
  const names = new Set<string>();
  for (const file of raw.templates ?? []) {
    const base = file.name.slice('templates/'.length);
    if (!base.endsWith('.yaml')) {
      fileProblem(
        file.name,
        base.endsWith('.yml')
          ? `expected a name that ends in .yaml: rename it to ${base.replace(/\.yml$/, '.yaml')}`
          : 'expected template files named NAME.yaml',
      );
      continue;
    }
    const name = base.slice(0, -'.yaml'.length);
    names.add(name);
    const template = take(file, (path, text) => validateTemplate(name, path, text));
    if (template !== undefined) templates.push(template);
  }
  const servers =
    raw.servers && take(raw.servers, (path, text) => validateServers(path, text, names));
  if (raw.servers === undefined) {
    const message = 'does not exist: no server is protected, and everything forwarded is dropped';
    fileProblem('servers.yaml', message, 'warning');
  }
  return { gateway, templates, servers: servers ?? [], problems, revision: revisionOf(raw) };
}
