/**
 * What a change does to the files: which are written and removed, what the directory says afterwards, and which versions
 * that adds to the histories. Nothing here touches the disk.
 */
import { isDeepStrictEqual } from 'node:util';
import { serverBody } from '../../policy/bodies.ts';
import type { Problem } from '../../policy/types.ts';
import type { Cause } from './documents.ts';
import { Draft } from './draft.ts';
import { editServers, renameServers } from './servers-file.ts';
import { StoreError } from './store.ts';
import type {
  Changed,
  Edit,
  Failure,
  Operation,
  Preview,
  Snapshot,
  VersionHistory,
} from './store.ts';
import type { ConfigJudge, Reading } from './config-judge.ts';
import { fileOrder, filesOf, placeOf, sortedFiles } from './config-texts.ts';
import type { ConfigFiles, RawFile } from './config-texts.ts';
import { filesWith } from './policy-history.ts';
import type { ChangeHistory, WayBack } from './policy-history.ts';
import { nowhere, unifiedDiff } from './text-diff.ts';
import { versionedFiles, versionedKinds, versionsOf } from './versions.ts';
import type { VersionedKind, WrittenVersion } from './versions.ts';

/** What is to be written, and the names of the files that are to be removed, in this order. */
export interface Writing {
  readonly writes: readonly RawFile[];
  readonly removals: readonly string[];
}

/** What a change does to the files. */
export interface Plan extends Writing {
  readonly raw: ConfigFiles;
  readonly after: ConfigFiles;
  readonly next: Snapshot;
  readonly versions: readonly WrittenVersion[];
  readonly changed: readonly Changed[];
}

export interface PlanParts {
  readonly judge: ConfigJudge;
  readonly histories: Readonly<Record<VersionedKind, Pick<VersionHistory, 'version'>>>;
  readonly changes: Pick<ChangeHistory, 'newest' | 'wayBack'>;
  /** What the tests beside the configuration say of a state without errors. Default: nothing. */
  readonly failedTests?: (snapshot: Snapshot) => readonly Problem[];
}

/** @returns `undefined` when the operations change nothing. @throws StoreError */
export async function makePlan(
  reading: Reading,
  operations: readonly Operation[],
  parts: PlanParts,
): Promise<Plan | undefined> {
  const { judge, histories, failedTests } = parts;
  const { snapshot, raw } = reading;
  if (operations.length === 0) return undefined;
  if (raw === undefined) throw new StoreError([{ kind: 'broken', problems: snapshot.problems }]);
  const whole = operations.find(isOfWhole);
  if (whole !== undefined) {
    if (operations.length > 1) throw refused(operations.indexOf(whole), '', aloneWords);
    return await planWhole(reading, whole, parts);
  }
  const draft = new Draft({
    snapshot,
    templates: textsOf(versionedFiles('template', raw)),
    sets: textsOf(versionedFiles('set', raw)),
    lists: listTexts(raw),
    version: (kind, name, version) => histories[kind].version(name, version),
  });
  await draft.apply(operations);
  if (draft.failures.length > 0) throw new StoreError(draft.failures);

  const servers = serversFile(reading, draft);
  const { templates, sets } = draft;
  const inTemplates = folderAfter(
    raw.templates,
    filesBy(templates.texts, (name) => templates.fileOf(name)),
  );
  const lists = filesBy(draft.lists.texts, (name) => `sets/${name}`);
  const inSets = folderAfter(
    raw.sets,
    new Map([...lists, ...filesBy(sets.texts, (name) => sets.fileOf(name))]),
  );
  const writes = [
    ...inSets.writes,
    ...inTemplates.writes,
    ...(servers === undefined ? [] : [servers]),
  ];
  const removals = [...inTemplates.removals, ...inSets.removals];
  if (writes.length === 0 && removals.length === 0) return undefined;

  const after: ConfigFiles = {
    ...raw,
    servers: servers ?? raw.servers,
    templates: inTemplates.files,
    sets: inSets.files,
  };
  const next = judge.judge(after);
  const errors = next.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new StoreError([refusalOf(errors, draft, judge.place)]);
  requireTests(snapshot, next, failedTests);
  const versions = writtenVersions(reading, { snapshot: next, raw: after }, (kind) => {
    if (kind === 'servers') return new Map();
    return kind === 'template' ? templates.causes : sets.causes;
  });
  const changed = compare(snapshot, next, versions);
  return { raw, after, next, writes, removals, versions, changed };
}

const aloneWords = 'it concerns the whole policy: make it as a change of its own';

/** @throws StoreError */
async function planWhole(
  reading: Reading,
  operation: OfWhole,
  parts: PlanParts,
): Promise<Plan | undefined> {
  const { snapshot, raw } = reading;
  const after = (files: readonly RawFile[]): ConfigFiles => ({
    ...sortedFiles(files),
    gateway: raw!.gateway,
  });
  if (operation.kind === 'restore-policy') {
    await requireNewest(operation, parts);
    const { files, causes } = await parts.changes.wayBack(reading, operation.number);
    return planFiles(reading, after(filesWith(raw!, files)), { ...parts, causes });
  }
  const { files, ifRevision } = operation;
  if (ifRevision !== undefined && ifRevision !== snapshot.revision) {
    const name = 'another policy';
    throw new StoreError([{ kind: 'precondition-failed', what: 'revision', name }]);
  }
  const isOwn = (name: string): boolean => name === 'servers.yaml' || placeOf(name) !== undefined;
  const stray = Object.keys(files).find((name) => !isOwn(name));
  if (stray !== undefined) throw refused(0, `files["${stray}"]`, strayWords);
  const present = new Map(filesOf(raw).map((file) => [file.name, file]));
  const wanted = Object.entries(files).map(([name, text]) => {
    const file = present.get(name);
    return file?.text === text ? file : rawFile(name, text);
  });
  const others = [...present.values()].filter(({ name }) => !isOwn(name));
  return planFiles(reading, after([...others, ...wanted]), parts);
}

const strayWords = 'expected servers.yaml, templates/NAME.yaml, sets/NAME.yaml or sets/NAME.txt';

function refused(operation: number, path: string, message: string): StoreError {
  return new StoreError([{ kind: 'invalid', problems: [{ operation, path, message }] }]);
}

async function requireNewest(
  { newest }: Extract<Operation, { kind: 'restore-policy' }>,
  { changes }: PlanParts,
): Promise<void> {
  const found = await changes.newest();
  if (newest === undefined || found === undefined || found.number <= newest) return;
  const { number, actor, summary } = found;
  const name = `revision ${number} of ${actor.name} (${summary})`;
  throw new StoreError([{ kind: 'precondition-failed', what: 'revision', name }]);
}

/** What it takes to have these files instead. @returns `undefined` when nothing differs. @throws StoreError `broken` */
export function planFiles(
  { snapshot, raw }: Reading,
  after: ConfigFiles,
  {
    judge,
    failedTests,
    causes,
  }: Pick<PlanParts, 'judge' | 'failedTests'> & Partial<Pick<WayBack, 'causes'>>,
): Plan | undefined {
  const old = new Map(filesOf(raw).map((file) => [file.name, file]));
  const now = new Map(filesOf(after).map((file) => [file.name, file]));
  const writes = [...now.values()].filter(({ name, text }) => old.get(name)?.text !== text);
  const removals = [...old.keys()].filter((name) => !now.has(name));
  if (writes.length === 0 && removals.length === 0) return undefined;
  const next = judge.judge(after);
  const errors = next.problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new StoreError([{ kind: 'broken', problems: errors }]);
  requireTests(snapshot, next, failedTests);
  const versions = writtenVersions(
    { snapshot, raw },
    { snapshot: next, raw: after },
    (kind) => causes?.[kind] ?? new Map(),
  );
  const changed = compare(snapshot, next, versions);
  return { raw: raw!, after, next, writes, removals, versions, changed };
}

type OfWhole = Extract<Operation, { kind: 'restore-policy' | 'replace-policy' }>;

function isOfWhole(operation: Operation): operation is OfWhole {
  return operation.kind === 'restore-policy' || operation.kind === 'replace-policy';
}

/** @throws StoreError `broken` when tests fail that did not */
function requireTests(
  before: Snapshot,
  after: Snapshot,
  failedTests: PlanParts['failedTests'] = () => [],
): void {
  const failed = newlyFailed(before, after, failedTests);
  if (failed.length > 0) throw new StoreError([{ kind: 'broken', problems: failed }]);
}

/** Tests that a change would make fail; with `tests.onReload`, under which it could not be put in force, all that fail after it. */
function newlyFailed(
  before: Snapshot,
  after: Snapshot,
  failedTests: (snapshot: Snapshot) => readonly Problem[],
): Problem[] {
  const failed = failedTests(after);
  if (failed.length === 0) return [];
  const isBroken = before.problems.some(({ severity }) => severity === 'error');
  const known = isBroken || after.gateway.tests.onReload ? [] : failedTests(before);
  const keyOf = ({ file, path }: Problem): string => `${file} ${path}`;
  const keys = new Set(known.map(keyOf));
  return failed.filter((each) => !keys.has(keyOf(each)));
}

/** All files that are written and removed. */
export function pathsOf({ writes, removals }: Writing): string[] {
  return [...writes.map(({ name }) => name), ...removals];
}

/** What names others is written after them, and removed before them. */
const order = ['list', 'set', 'template', undefined] as const;

/** Changes that follow each other, as one, of the files `raw`. */
export function together(raw: ConfigFiles, changes: readonly Writing[]): Writing {
  const writes = new Map<string, RawFile>();
  const removals = new Set<string>();
  for (const change of changes) {
    for (const file of change.writes) {
      writes.set(file.name, file);
      removals.delete(file.name);
    }
    for (const name of change.removals) {
      writes.delete(name);
      removals.add(name);
    }
  }
  const there = new Set(filesOf(raw).map(({ name }) => name));
  const rank = (name: string): number => order.indexOf(placeOf(name)?.kind);
  return {
    writes: [...writes.values()].sort((a, b) => rank(a.name) - rank(b.name)),
    removals: [...removals].filter((name) => there.has(name)).sort((a, b) => rank(b) - rank(a)),
  };
}

/** What a change would do to a state. @throws StoreError */
export async function previewOf(reading: Reading, edit: Edit, parts: PlanParts): Promise<Preview> {
  const { snapshot: before } = reading;
  const plan = await makePlan(reading, edit(before), parts);
  if (plan === undefined) return { before, after: before, changed: [], diff: '' };
  return { before, after: plan.next, changed: plan.changed, diff: diffOf(plan) };
}

/** The differences of the files, unified. */
function diffOf({ raw, writes, removals }: Plan): string {
  const before = new Map(filesOf(raw).map(({ name, text = '' }) => [name, text]));
  const after = [
    ...writes.map(({ name, text }) => [name, text!] as const),
    ...removals.map((name) => [name, undefined] as const),
  ];
  return after
    .map(([name, text]) => {
      const old = before.get(name);
      const [from, to] = [old === undefined ? nowhere : name, text === undefined ? nowhere : name];
      return unifiedDiff(from, to, old ?? '', text ?? '');
    })
    .join('');
}

function serversFile({ snapshot, raw }: Reading, draft: Draft): RawFile | undefined {
  // With errors in it the file says more than the snapshot has: it must not be written for a change of something else.
  if (!draft.concernsServers) return undefined;
  if (isDeepStrictEqual(snapshot.servers.map(serverBody), draft.servers)) return undefined;
  const text = raw?.servers?.text ?? '';
  const names = new Map([...draft.renamedServers].map(([to, from]) => [from, to]));
  const before = snapshot.servers.map((each) => ({
    ...each,
    name: names.get(each.name) ?? each.name,
  }));
  const edited = editServers(renameServers(text, names), before, draft.servers);
  return edited === text ? undefined : rawFile('servers.yaml', edited);
}

function rawFile(name: string, text: string): RawFile {
  return { name, text, problem: undefined };
}

function textsOf(files: ReadonlyMap<string, RawFile>): Map<string, string> {
  return new Map([...files].map(([name, { text }]) => [name, text ?? '']));
}

/** By file name, without the folder. */
function listTexts(raw: ConfigFiles): Map<string, string> {
  return new Map(
    (raw.sets ?? []).flatMap(({ name, text }): [string, string][] =>
      placeOf(name)?.kind === 'list' ? [[name.slice('sets/'.length), text ?? '']] : [],
    ),
  );
}

function filesBy(
  texts: ReadonlyMap<string, string>,
  fileOf: (name: string) => string,
): Map<string, string> {
  return new Map([...texts].map(([name, text]) => [fileOf(name), text]));
}

interface Folder {
  /** All of them, unreadable and misnamed ones too. */
  readonly files: RawFile[];
  readonly writes: RawFile[];
  readonly removals: string[];
}

/** A folder after a change. @param texts of its files by name */
function folderAfter(
  before: readonly RawFile[] | undefined,
  texts: ReadonlyMap<string, string>,
): Folder {
  const old = new Map((before ?? []).map((file) => [file.name, file]));
  const others = [...old.values()].filter(({ name }) => placeOf(name) === undefined);
  const writes: RawFile[] = [];
  const own = [...texts].map(([name, text]) => {
    const file = old.get(name);
    if (file !== undefined && (file.text ?? '') === text) return file;
    const written = rawFile(name, text);
    writes.push(written);
    return written;
  });
  const files = [...others, ...own].sort((a, b) => fileOrder(a.name, b.name));
  const removals = [...old.keys()].filter(
    (name) => placeOf(name) !== undefined && !texts.has(name),
  );
  return { files, writes, removals };
}

/** Errors that all stand in files which the change has written are those of its bodies. */
function refusalOf(errors: readonly Problem[], { origins }: Draft, place: string): Failure {
  const problems = errors.flatMap(({ file, path, line, message }) => {
    const name = file.slice(place.length + 1);
    const origin = origins.get(name);
    if (origin === undefined) return [];
    const { operation, prefix } = origin;
    if (placeOf(name)?.kind === 'list') {
      return { operation, path: line === 0 ? '' : `line ${line}`, message };
    }
    if (!path.startsWith(prefix)) return [];
    return { operation, path: path.slice(prefix.length).replace(/^\./, ''), message };
  });
  return problems.length === errors.length
    ? { kind: 'invalid', problems }
    : { kind: 'broken', problems: errors };
}

function writtenVersions(
  before: { readonly snapshot: Snapshot; readonly raw: ConfigFiles | undefined },
  after: { readonly snapshot: Snapshot; readonly raw: ConfigFiles },
  causesOf: (kind: VersionedKind) => ReadonlyMap<string, Cause>,
): WrittenVersion[] {
  return versionedKinds.flatMap((kind) => {
    const causes = causesOf(kind);
    const old =
      before.raw === undefined ? new Map<string, RawFile>() : versionedFiles(kind, before.raw);
    const lists = new Map((before.raw?.sets ?? []).map((file) => [file.name, file]));
    const now = versionsOf(kind, after.snapshot, after.raw);
    const written = [...now].flatMap(([name, version]): WrittenVersion[] => {
      const { file, list } = version;
      const sameList = list === undefined || lists.get(list.name) === list;
      if (old.get(name) === file && sameList) return [];
      return [
        {
          kind,
          name,
          cause: causes.get(name) ?? { action: old.has(name) ? 'edit' : 'create' },
          now: version,
        },
      ];
    });
    const gone = [...old.keys()].filter((name) => !now.has(name));
    const removed = gone.map((name): WrittenVersion => {
      return { kind, name, cause: causes.get(name) ?? { action: 'destroy' } };
    });
    return [...removed, ...written];
  });
}

/** The differences between two snapshots, and templates and sets of which only the text has changed. */
function compare(
  before: Snapshot,
  after: Snapshot,
  versions: readonly WrittenVersion[],
): Changed[] {
  const written = new Set(versions.map(({ kind, name }) => `${kind} ${name}`));
  return (['template', 'set', 'server'] as const).flatMap((kind) => {
    const [old, now] = [before.revisions[`${kind}s`], after.revisions[`${kind}s`]];
    if (old === now) return [];
    return [...new Set([...old.names(), ...now.names()])].flatMap((name) => {
      if (now.isSame(old, name) && !written.has(`${kind} ${name}`)) return [];
      const [was, is] = [old.get(name), now.get(name)];
      return {
        kind,
        name,
        ...(was !== undefined && { before: was }),
        ...(is !== undefined && { after: is }),
      };
    });
  });
}
