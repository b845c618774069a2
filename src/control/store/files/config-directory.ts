/**
 * Reads the whole configuration directory, and reports every problem in it.
 *
 * A reader caches validated files by content: only a changed file is parsed again. It has no other state; a caller gets
 * the directory as it was at one moment.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { asOwnerOf } from '../../../system/privileges.ts';
import { serverBody, setBody, templateBody } from '../../../policy/bodies.ts';
import type { AddressSet, Problem, Server, Template } from '../../../policy/types.ts';
import { defaultGatewayConfig, validateGateway } from '../../../policy/validate-gateway.ts';
import { nameWords, validateTemplate } from '../../../policy/validate.ts';
import { checkReferences } from '../../../policy/references.ts';
import type { Validated } from '../../../policy/validate.ts';
import type { Reference } from '../../../policy/yaml-fields.ts';
import { filesOf, readFiles, reasonOf, revisionOf, templateNameOf } from './config-files.ts';
import type { RawDirectory, RawFile } from './config-files.ts';
import { ConfigSets } from './config-sets.ts';
import { ServersFile } from '../servers-file.ts';
import type { Snapshot } from '../store.ts';

/** The content of a configuration directory. With errors among the problems, the rest is incomplete. */
export type ConfigDirectory = Snapshot;

/** A state of the directory, and the texts that it was read from; none when the directory cannot be read. */
export interface Reading {
  readonly snapshot: Snapshot;
  readonly raw: RawDirectory | undefined;
}

export function readConfigDirectory(directory: string): Promise<ConfigDirectory> {
  return Promise.resolve(new ConfigReader(directory).read().snapshot);
}

/** How the problem of a file begins that could not be read. */
export const unreadWords = 'cannot be read';

interface Known {
  readonly text: string;
  readonly result: Validated<unknown>;
}

export class ConfigReader {
  readonly directory: string;
  /** By file name: the result of its last text. */
  #known: Map<string, Known> = new Map<string, Known>();
  readonly #servers: ServersFile = new ServersFile();
  readonly #sets: ConfigSets = new ConfigSets();
  #last: Reading | undefined;
  readonly #files: WeakMap<Snapshot, RawDirectory> = new WeakMap<Snapshot, RawDirectory>();

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Never throws: a read error is one of the problems. */
  read(): Reading {
    try {
      return asOwnerOf([this.directory], () => this.#read());
    } catch (error) {
      const message = `${unreadWords}: ${reasonOf(error)}`;
      return { snapshot: broken(this.directory, message), raw: undefined };
    }
  }

  #read(): Reading {
    if (!statSync(this.directory).isDirectory()) throw new Error('it is not a directory');
    const raw = readFiles(this.directory, this.#last?.raw);
    const last = this.#last;
    const isSame = last?.raw !== undefined && hasSameFiles(last.raw, raw);
    this.#last = { snapshot: isSame ? last.snapshot : this.judge(raw), raw };
    this.#files.set(this.#last.snapshot, raw);
    return this.#last;
  }

  /** The texts that a state was read from. */
  filesOf(snapshot: Snapshot): RawDirectory | undefined {
    return this.#files.get(snapshot);
  }

  /** The revision that reading the directory now would give. */
  revision(): string {
    try {
      const read = (): RawDirectory => readFiles(this.directory, this.#last?.raw);
      return revisionOf(asOwnerOf([this.directory], read));
    } catch {
      return '';
    }
  }

  /** The content of the directory, if these were its files. */
  judge(raw: RawDirectory): Snapshot {
    const problems: Problem[] = [];
    const known = new Map<string, Known>();
    const references: Reference[] = [];
    const fileProblem = (
      name: string,
      message: string,
      severity: Problem['severity'] = 'error',
    ): void => {
      const file = join(this.directory, name);
      problems.push({ severity, file, line: 0, column: 0, path: '', message });
    };
    const examine = <V extends Validated<unknown>>(
      file: RawFile,
      check: (name: string, text: string) => V,
      remember = true,
    ): V | undefined => {
      if (file.text === undefined) {
        fileProblem(file.name, `${unreadWords}: ${file.problem ?? 'unknown reason'}`);
        return undefined;
      }
      const last = remember ? this.#known.get(file.name) : undefined;
      const result =
        last?.text === file.text
          ? (last.result as V)
          : check(join(this.directory, file.name), file.text);
      if (remember) known.set(file.name, { text: file.text, result });
      problems.push(...result.problems);
      references.push(...(result.references ?? []));
      return result;
    };
    const take = <T>(...from: Parameters<typeof examine<Validated<T>>>): T | undefined =>
      examine(...from)?.value;

    const gateway = (raw.gateway && take(raw.gateway, validateGateway)) ?? defaultGatewayConfig;
    const templates: Template[] = [];
    const names = new Set<string>();
    for (const file of raw.templates ?? []) {
      const name = templateNameOf(file.name);
      if (name === undefined) {
        fileProblem(file.name, misnamed(file.name), 'warning');
        continue;
      }
      names.add(name);
      const template = take(file, (path, text) => validateTemplate(name, path, text));
      if (template !== undefined) templates.push(template);
    }
    // Its validity depends on which templates exist, so it has a cache of its own.
    const servers =
      raw.servers &&
      take(raw.servers, (path, text) => this.#servers.validate(path, text, names), false);
    if (raw.servers === undefined) {
      const message = 'does not exist: no server is protected, and everything forwarded is dropped';
      fileProblem('servers.yaml', message, 'warning');
    }
    const sets = this.#sets.judge(raw.sets ?? [], {
      examine,
      fileProblem,
      report: (problem) => problems.push(problem),
    });
    this.#known = known;
    const read = { gateway, templates, servers: servers ?? [], sets };
    // With errors some servers, templates or sets are missing here: what names them is not wrong for that.
    if (!problems.some(({ severity }) => severity === 'error')) {
      problems.push(...checkReferences(read, references));
    }
    return snapshot(read, problems, revisionOf(raw));
  }
}

/** Whether two states are the same objects. */
function hasSameFiles(a: RawDirectory, b: RawDirectory): boolean {
  const [ours, theirs] = [filesOf(a), filesOf(b)];
  return ours.length === theirs.length && ours.every((file, index) => file === theirs[index]);
}

function misnamed(fileName: string): string {
  const base = fileName.slice('templates/'.length);
  return base.endsWith('.yml')
    ? `is no template: its name would have to end in .yaml (${base.replace(/\.yml$/, '.yaml')})`
    : `is no template: a template's file is named NAME.yaml, and NAME is ${nameWords}`;
}

function broken(file: string, message: string): Snapshot {
  const problem: Problem = { severity: 'error', file, line: 0, column: 0, path: '', message };
  const nothing = { gateway: defaultGatewayConfig, templates: [], servers: [], sets: [] };
  return snapshot(nothing, [problem], '');
}

function snapshot(
  content: Pick<Snapshot, 'gateway' | 'templates' | 'servers' | 'sets'>,
  problems: readonly Problem[],
  revision: string,
): Snapshot {
  const { templates, servers, sets } = content;
  const revisions = {
    templates: new Map(templates.map((each) => [each.name, templateRevision(each)])),
    servers: new Map(servers.map((each) => [each.name, serverRevision(each)])),
    sets: new Map(sets.map((each) => [each.name, setRevision(each)])),
  };
  return { ...content, problems, revision, revisions };
}

/** Cached results of values that have not changed. */
const knownRevisions = new WeakMap<Template | Server | AddressSet, string>();

function revisionOfValue(
  value: Template | Server | AddressSet,
  body: () => object,
  more?: Uint32Array,
): string {
  let revision = knownRevisions.get(value);
  if (revision === undefined) {
    const hash = createHash('sha256').update(JSON.stringify(body()));
    if (more !== undefined) hash.update(more);
    revision = hash.digest('hex').slice(0, 16);
    knownRevisions.set(value, revision);
  }
  return revision;
}

function templateRevision(template: Template): string {
  return revisionOfValue(template, () => templateBody(template));
}

function serverRevision(server: Server): string {
  return revisionOfValue(server, () => serverBody(server));
}

function setRevision(set: AddressSet): string {
  return revisionOfValue(set, () => setBody(set), set.list);
}
