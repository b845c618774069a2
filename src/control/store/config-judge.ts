/**
 * What the texts of a configuration mean, and every problem in them.
 *
 * Validated files are cached by content: only a changed file is parsed again. So is the last answer: a change is judged before its
 * files are written, and the same files are found afterwards. What the clock decides is judged again when its moment has come. There is no
 * other state.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { serverBody, setBody, templateBody } from '../../policy/bodies.ts';
import { isTurned } from '../../policy/observe.ts';
import { checkReferences } from '../../policy/references.ts';
import type { AddressSet, Problem, Server, Template } from '../../policy/types.ts';
import { defaultGatewayConfig, validateGateway } from '../../policy/validate-gateway.ts';
import { nameWords, validateTemplate } from '../../policy/validate.ts';
import type { Validated } from '../../policy/validate.ts';
import type { Reference } from '../../policy/yaml-fields.ts';
import { ConfigSets } from './config-sets.ts';
import { filesOf, revisionOf, templateNameOf } from './config-texts.ts';
import type { ConfigFiles, RawFile } from './config-texts.ts';
import { ServersFile } from './servers-file.ts';
import type { Revisions, Snapshot } from './store.ts';

/** A state, and the texts that it was read from; none when it cannot be read. */
export interface Reading<F extends ConfigFiles = ConfigFiles> {
  readonly snapshot: Snapshot;
  readonly raw: F | undefined;
}

/** How the problem of a file begins that could not be read. */
export const unreadWords = 'cannot be read';

interface Known {
  readonly text: string;
  readonly result: Validated<unknown>;
}

/** The last answer, and all that it depends on. */
interface Judgment {
  readonly raw: ConfigFiles;
  readonly snapshot: Snapshot;
  readonly nowMs: number;
  /** When the same texts mean something else (`Validated`). */
  readonly turns: readonly number[];
}

export class ConfigJudge {
  /** Where the files lie, for messages. */
  readonly place: string;
  readonly #gatewayPlace: string;
  readonly #nowMs: () => number;
  /** By file name: the result of its last text. */
  #known: Map<string, Known> = new Map<string, Known>();
  readonly #servers: ServersFile = new ServersFile();
  readonly #sets: ConfigSets = new ConfigSets();
  readonly #files: WeakMap<Snapshot, ConfigFiles> = new WeakMap<Snapshot, ConfigFiles>();
  #last: Judgment | undefined;

  /**
   * @param gatewayPlace where gateway.yaml lies, if it lies elsewhere
   * @param nowMs by which ends have passed. Default: the clock
   */
  constructor(place: string, gatewayPlace: string = place, nowMs: () => number = Date.now) {
    this.place = place;
    this.#gatewayPlace = gatewayPlace;
    this.#nowMs = nowMs;
  }

  /** The texts that a snapshot was judged from. */
  filesOf(snapshot: Snapshot): ConfigFiles | undefined {
    return this.#files.get(snapshot);
  }

  /** What these files say. */
  judge(raw: ConfigFiles): Snapshot {
    const nowMs = this.#nowMs();
    const last = this.#last;
    if (last !== undefined && saySame(last.raw, raw) && !isTurned(last.turns, last.nowMs, nowMs)) {
      return last.snapshot;
    }
    this.#last = this.#judge(raw, nowMs);
    return this.#last.snapshot;
  }

  #judge(raw: ConfigFiles, nowMs: number): Judgment {
    let turns: readonly number[] = [];
    const problems: Problem[] = [];
    const known = new Map<string, Known>();
    const references: Reference[] = [];
    const fileProblem = (
      name: string,
      message: string,
      severity: Problem['severity'] = 'error',
    ): void => {
      const file = this.#pathOf(name);
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
        last?.text === file.text ? (last.result as V) : check(this.#pathOf(file.name), file.text);
      if (remember) known.set(file.name, { text: file.text, result });
      problems.push(...result.problems);
      references.push(...(result.references ?? []));
      turns = turns.concat(result.turns ?? []);
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
      take(raw.servers, (path, text) => this.#servers.validate(path, text, names, nowMs), false);
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
    const judged = snapshot(read, problems, revisionOf(raw));
    this.#files.set(judged, raw);
    return { raw, snapshot: judged, nowMs, turns };
  }

  #pathOf(name: string): string {
    return join(name === 'gateway.yaml' ? this.#gatewayPlace : this.place, name);
  }
}

function saySame(a: ConfigFiles, b: ConfigFiles): boolean {
  const [ours, theirs] = [filesOf(a), filesOf(b)];
  return (
    ours.length === theirs.length &&
    ours.every((file, index) => {
      const { name, text, problem } = theirs[index]!;
      return file.name === name && file.text === text && file.problem === problem;
    })
  );
}

function misnamed(fileName: string): string {
  const base = fileName.slice('templates/'.length);
  return base.endsWith('.yml')
    ? `is no template: its name would have to end in .yaml (${base.replace(/\.yml$/, '.yaml')})`
    : `is no template: a template's file is named NAME.yaml, and NAME is ${nameWords}`;
}

/** Of a configuration that cannot be read at all. */
export function brokenSnapshot(file: string, message: string): Snapshot {
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
  let ofServers = revisionsOfServers.get(servers);
  if (ofServers === undefined) {
    ofServers = new FoundRevisions(servers, serverRevision);
    revisionsOfServers.set(servers, ofServers);
  }
  const revisions = {
    templates: new FoundRevisions(templates, templateRevision),
    servers: ofServers,
    sets: new FoundRevisions(sets, setRevision),
  };
  return { ...content, problems, revision, revisions };
}

/** A revision is found when somebody asks for it: a large template takes as long as to compile it. */
class FoundRevisions<T extends { readonly name: string }> implements Revisions {
  readonly #values: readonly T[];
  readonly #revisionOf: (value: T) => string;
  #byName: ReadonlyMap<string, T> | undefined;

  constructor(values: readonly T[], revisionOf: (value: T) => string) {
    this.#values = values;
    this.#revisionOf = revisionOf;
  }

  get(name: string): string | undefined {
    const value = this.#valueOf(name);
    return value && this.#revisionOf(value);
  }

  names(): readonly string[] {
    return this.#values.map(({ name }) => name);
  }

  isSame(other: Revisions, name: string): boolean {
    // Most values of two states are the same objects.
    if (other instanceof FoundRevisions && this.#valueOf(name) === other.#valueOf(name))
      return true;
    return this.get(name) === other.get(name);
  }

  #valueOf(name: string): T | undefined {
    this.#byName ??= new Map(this.#values.map((each) => [each.name, each]));
    return this.#byName.get(name);
  }
}

/** Of servers that have not changed, which may be very many. */
const revisionsOfServers = new WeakMap<readonly Server[], Revisions>();

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
