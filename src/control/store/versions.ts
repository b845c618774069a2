/** What has a history, templates, sets with their lists, and servers.yaml, and which versions of it a change adds. */
import { placeOf, sha256, textDigestOf } from './config-texts.ts';
import type { ConfigFiles, RawFile } from './config-texts.ts';
import type { Cause } from './documents.ts';
import type {
  Actor,
  AuditEvent,
  Changed,
  ListText,
  Operation,
  Snapshot,
  Version,
} from './store.ts';

/** What has a history. All servers are one thing, of this name: they are one file. */
export const versionedKinds = ['template', 'set', 'servers'] as const;
export type VersionedKind = (typeof versionedKinds)[number];

/** Versions kept of each. */
export const keptVersions = 200;

/** A template or set as it is in the files, with the list of the set. */
export interface Versioned {
  readonly file: RawFile;
  readonly list?: RawFile;
}

/** A change, and what it writes and removes of templates and sets. */
export interface Written {
  readonly actor: Actor;
  readonly operations: readonly Operation[];
  readonly changed: readonly Changed[];
  readonly versions: readonly WrittenVersion[];
  /** In the author's words. */
  readonly why?: string;
  /** Seconds within which it has to be confirmed. */
  readonly confirmWithinS?: number;
  /** It ends the waiting for a confirmation. */
  readonly settles?: true;
  /** For the audit log and the history; default: the operations in words. */
  readonly event?: AuditEvent;
}

/** A template or set that a change has written or removed. */
export interface WrittenVersion {
  readonly kind: VersionedKind;
  readonly name: string;
  readonly cause: Cause;
  /** Absent: removed. */
  readonly now?: Versioned;
}

/** A version to add; without a text it was removed. */
export interface NewVersion {
  readonly name: string;
  readonly actor: Actor;
  readonly action: Version['action'];
  readonly text?: string;
  /** SHA-256 of text and list (`versionDigest`). */
  readonly digest?: string;
  readonly list?: ListText & { readonly sha256: string };
  readonly from?: string;
  readonly to?: string;
}

/** Of a version: of its text, or of that and its list. @param list digest of the list */
export function versionDigest(text: string, list: string | undefined): string {
  return list === undefined ? text : sha256(`${text} ${list}`);
}

/** The files of one kind, valid or not, by name. */
export function versionedFiles(kind: VersionedKind, raw: ConfigFiles): Map<string, RawFile> {
  if (kind === 'servers') {
    return new Map(raw.servers?.text === undefined ? [] : [[kind, raw.servers]]);
  }
  const files = (kind === 'template' ? raw.templates : raw.sets) ?? [];
  return new Map(
    files.flatMap((file): [string, RawFile][] => {
      const place = placeOf(file.name);
      return place?.kind === kind ? [[place.name, file]] : [];
    }),
  );
}

/** The valid ones, with the lists of sets. */
export function versionsOf(
  kind: VersionedKind,
  snapshot: Snapshot,
  raw: ConfigFiles,
): Map<string, Versioned> {
  const files = versionedFiles(kind, raw);
  if (kind === 'template') {
    return new Map(snapshot.templates.map(({ name }) => [name, { file: files.get(name)! }]));
  }
  if (kind === 'servers')
    return new Map(hasErrors(snapshot) ? [] : [...files].map(([name, file]) => [name, { file }]));
  const lists = new Map((raw.sets ?? []).map((file) => [file.name, file]));
  return new Map(
    snapshot.sets.map(({ name, file }) => {
      const list = file === undefined ? undefined : lists.get(`sets/${file}`);
      return [name, { file: files.get(name)!, ...(list !== undefined && { list }) }];
    }),
  );
}

function hasErrors({ problems }: Snapshot): boolean {
  return problems.some(
    ({ severity, file }) => severity === 'error' && file.endsWith('/servers.yaml'),
  );
}

/** Of text and list. */
export function versionedDigest({ file, list }: Versioned): string {
  return versionDigest(textDigestOf(file), list && textDigestOf(list));
}

/** What the history keeps of it; nothing of what is gone. */
export function contentOf(
  now: Versioned | undefined,
): Pick<NewVersion, 'text' | 'digest' | 'list'> {
  if (now === undefined) return {};
  const { file, list } = now;
  return {
    text: file.text!,
    digest: versionedDigest(now),
    ...(list !== undefined && {
      list: {
        file: list.name.slice('sets/'.length),
        text: list.text!,
        sha256: textDigestOf(list),
      },
    }),
  };
}
