/**
 * The history of the whole policy: its changes by number, whoever made them and however, and the way back to any of them.
 *
 * A change names the versions of templates, sets and servers.yaml that it has added to their histories (`VersionHistory`). So what
 * the policy was after a change is: of all that was touched since then, the version before the first of those; all else is as it is now.
 * Texts exist once, in the histories. gateway.yaml is of each machine, and not part of this.
 */
import type { ConfigFiles, RawFile } from './config-texts.ts';
import { filesOf } from './config-texts.ts';
import type { Reading } from './config-judge.ts';
import type { Cause } from './documents.ts';
import { StoreError } from './failures.ts';
import type {
  AuditEvent,
  PolicyChange,
  PolicyChangePage,
  PolicyHistory,
  Version,
  VersionHistory,
  VersionText,
} from './store.ts';
import { nowhere, unifiedDiff } from './text-diff.ts';
import { keptVersions, versionedFiles, versionedKinds, versionsOf } from './versions.ts';
import type { VersionedKind } from './versions.ts';

/** Changes that are kept. */
export const keptChanges = 1000;
const defaultLimit = 50;

/** A template, set or servers.yaml. */
export interface Touched {
  readonly kind: VersionedKind;
  readonly name: string;
  readonly version: number;
}

/** A change as the stores keep it. */
export interface KeptChange {
  readonly number: number;
  /** ISO 8601. */
  readonly at: string;
  readonly event: AuditEvent;
  readonly versions: readonly Touched[];
}

/** What it takes to have the policy of a change again. */
export interface WayBack {
  /** Files by name; `undefined`: there was none. */
  readonly files: ReadonlyMap<string, string | undefined>;
  readonly causes: Readonly<Record<VersionedKind, ReadonlyMap<string, Cause>>>;
}

type Histories = Readonly<Record<VersionedKind, VersionHistory>>;

export class ChangeHistory implements PolicyHistory {
  readonly #newestFirst: () => Promise<readonly KeptChange[]>;
  readonly #histories: Histories;

  /** @param newestFirst the changes that are kept */
  constructor(newestFirst: () => Promise<readonly KeptChange[]>, histories: Histories) {
    this.#newestFirst = newestFirst;
    this.#histories = histories;
  }

  async list(
    query: { readonly limit?: number; readonly before?: number } = {},
  ): Promise<PolicyChangePage> {
    const { limit = defaultLimit, before = Infinity } = query;
    const older = (await this.#newestFirst()).filter(({ number }) => number < before);
    const changes = older.slice(0, limit).map(viewOf);
    const next = changes.at(-1)?.number;
    return { changes, ...(older.length > limit && next !== undefined && { next }) };
  }

  async diff(from: number, to: number): Promise<string> {
    const kept = await this.#newestFirst();
    const [older, newer] = [Math.min(from, to), Math.max(from, to)];
    const touched = touchedSince(kept, older, newer);
    const files = async (number: number): Promise<Map<string, string | undefined>> => {
      const all = new Map<string, string | undefined>();
      const firsts = touchedSince(kept, number);
      for (const key of touched.keys()) {
        const { kind, name } = touched.get(key)!;
        const before = firsts.get(key)?.version;
        fileTexts(kind, name, await this.#contentBefore(kind, name, before), all);
      }
      return all;
    };
    const [before, after] = [await files(from), await files(to)];
    return [...new Set([...before.keys(), ...after.keys()])]
      .sort()
      .map((file) => {
        const [old, now] = [before.get(file), after.get(file)];
        const label = (text: string | undefined, number: number): string =>
          text === undefined ? nowhere : `${file} revision ${number}`;
        return unifiedDiff(label(old, from), label(now, to), old ?? '', now ?? '');
      })
      .join('');
  }

  async newest(): Promise<PolicyChange | undefined> {
    return (await this.list({ limit: 1 })).changes[0];
  }

  /** From a state to that after a change. @throws StoreError `not-found` */
  async wayBack({ snapshot, raw }: Reading, number: number): Promise<WayBack> {
    const kept = await this.#newestFirst();
    const touched = new Map([...unrecorded(snapshot, raw!), ...touchedSince(kept, number)]);
    const files = new Map<string, string | undefined>();
    const causes = {
      template: new Map<string, Cause>(),
      set: new Map<string, Cause>(),
      servers: new Map<string, Cause>(),
    };
    const present = {
      template: versionsOf('template', snapshot, raw!),
      set: versionsOf('set', snapshot, raw!),
      servers: versionsOf('servers', snapshot, raw!),
    };
    const added = new Map<string, string | undefined>();
    for (const { kind, name, version: before } of touched.values()) {
      const now = present[kind].get(name);
      if (now?.list !== undefined) files.set(now.list.name, undefined);
      const content = await this.#contentBefore(kind, name, before);
      // Somebody's new file, that was never without errors, exists nowhere else.
      if (before === Infinity && content === undefined) continue;
      fileTexts(kind, name, content, added);
      const cause: Cause =
        content === undefined
          ? { action: 'destroy' }
          : { action: 'restore', from: String(content.version) };
      causes[kind].set(name, cause);
    }
    for (const [file, text] of added) files.set(file, text);
    // A list that another set has, too, stays.
    for (const [name, { list }] of present.set) {
      const isOther = !touched.has(keyOf('set', name));
      if (isOther && list !== undefined && files.get(list.name) === undefined)
        files.delete(list.name);
    }
    return { files, causes };
  }

  /**
   * The newest version before one. @param before default: the newest
   * @returns `undefined`: it did not exist. @throws StoreError when it is not kept any more
   */
  async #contentBefore(
    kind: VersionedKind,
    name: string,
    before = Infinity,
  ): Promise<(VersionText & { readonly version: number }) | undefined> {
    const history = this.#histories[kind];
    const versions = await history.list(name);
    const found = versions.find(({ version }) => version < before);
    if (found !== undefined) {
      const { version, sha256 } = found;
      return sha256 === undefined
        ? undefined
        : { ...(await history.version(name, version)), version };
    }
    const first = versions.at(-1);
    const isWhole = versions.length < keptVersions;
    if (first === undefined || (isWhole && isBeginning(first))) return undefined;
    const what = kind === 'servers' ? 'servers.yaml' : `${kind} ${name}`;
    throw new StoreError([
      { kind: 'not-found', what: 'version', name: `${what} before version ${first.version}` },
    ]);
  }
}

function isBeginning({ action, from }: Version): boolean {
  return action === 'create' || action === 'clone' || (action === 'rename' && from !== undefined);
}

const keyOf = (kind: VersionedKind, name: string): string => `${kind} ${name}`;

/** The first version of each thing that changes after one have added, up to another one. @throws StoreError `not-found` */
function touchedSince(
  newestFirst: readonly KeptChange[],
  number: number,
  upTo = Infinity,
): Map<string, Touched> {
  const [newest = 0, oldest = 1] = [newestFirst[0]?.number, newestFirst.at(-1)?.number];
  for (const each of [number, upTo]) {
    if (each === Infinity || (each <= newest && each >= oldest - 1)) continue;
    throw new StoreError([{ kind: 'not-found', what: 'revision', name: String(each) }]);
  }
  const touched = new Map<string, Touched>();
  for (const change of newestFirst) {
    if (change.number > upTo) continue;
    if (change.number <= number) break;
    for (const each of change.versions) touched.set(keyOf(each.kind, each.name), each);
  }
  return touched;
}

/** What is in the files with errors, and therefore in no history: of this the newest version counts. */
function unrecorded(snapshot: Reading['snapshot'], raw: ConfigFiles): [string, Touched][] {
  return versionedKinds.flatMap((kind) => {
    const valid = versionsOf(kind, snapshot, raw);
    const names = [...versionedFiles(kind, raw).keys()].filter((name) => !valid.has(name));
    return names.map((name): [string, Touched] => [
      keyOf(kind, name),
      { kind, name, version: Infinity },
    ]);
  });
}

function fileTexts(
  kind: VersionedKind,
  name: string,
  content: VersionText | undefined,
  files: Map<string, string | undefined>,
): void {
  const file = kind === 'servers' ? 'servers.yaml' : `${kind}s/${name}.yaml`;
  files.set(file, content?.text);
  if (content?.list !== undefined) files.set(`sets/${content.list.file}`, content.list.text);
}

/** The files of a state, with some of them in other words. */
export function filesWith(
  raw: ConfigFiles,
  files: ReadonlyMap<string, string | undefined>,
): RawFile[] {
  const kept = filesOf({ ...raw, gateway: undefined }).filter(({ name }) => !files.has(name));
  const put = [...files].flatMap(([name, text]): RawFile[] =>
    text === undefined ? [] : [{ name, text, problem: undefined }],
  );
  return [...kept, ...put];
}

function viewOf({ number, at, event }: KeptChange): PolicyChange {
  const { actor, action, summary = endWords(event), why, changed = [] } = event;
  return {
    ...{ number, at, actor, action, summary, changed },
    ...(why !== undefined && { why }),
  };
}

/** The end of a rule is nobody's operation, and has no words of its own. */
function endWords({ action, target = [] }: AuditEvent): string {
  if (action === 'template.expire') return `a rule of template ${target[0]} has expired`;
  if (action === 'template.revive') return `a rule of template ${target[0]} counts again`;
  return '';
}
