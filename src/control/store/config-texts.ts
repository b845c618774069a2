/**
 * The texts of a configuration: what a store keeps, wherever it keeps it. Names are those of the files in a configuration directory.
 */
import { createHash } from 'node:crypto';
import { namePattern } from '../../policy/validate.ts';

/** A file larger than this is a mistake. */
export const maxFileBytes: number = 4 << 20;

/** A list of addresses may have a million lines. */
export const maxListBytes: number = 64 << 20;

export interface RawFile {
  /** Relative to the directory. */
  readonly name: string;
  readonly text: string | undefined;
  readonly problem: string | undefined;
}

/** All files of a configuration, at one moment. */
export interface ConfigFiles {
  readonly gateway: RawFile | undefined;
  readonly servers: RawFile | undefined;
  /** `undefined` when there is no folder of templates. */
  readonly templates: readonly RawFile[] | undefined;
  /** Sets and their lists; `undefined` when there is no folder of them. */
  readonly sets: readonly RawFile[] | undefined;
}

/** Sorted by what the files are about: web before web-2, although web.yaml would come after web-2.yaml. */
export function fileOrder(a: string, b: string): number {
  const key = (name: string): string => name.replace(/\.(yaml|txt)$/, '');
  if (key(a) === key(b)) return Number(a > b) - Number(a < b);
  return key(a) < key(b) ? -1 : 1;
}

/** All files that exist. */
export function filesOf(raw: ConfigFiles | undefined): RawFile[] {
  const single = [raw?.gateway, raw?.servers].filter((file) => file !== undefined);
  return [...single, ...(raw?.templates ?? []), ...(raw?.sets ?? [])];
}

const digests = new WeakMap<RawFile, string>();

function digestOf(file: RawFile): string {
  let digest = digests.get(file);
  if (digest === undefined) {
    const { name, text, problem } = file;
    digest = createHash('sha256')
      .update(JSON.stringify([name, text?.length, problem]))
      .update(text ?? '')
      .digest('hex');
    digests.set(file, digest);
  }
  return digest;
}

const textDigests = new WeakMap<RawFile, string>();

/** SHA-256 of a file's text. */
export function textDigestOf(file: RawFile): string {
  let digest = textDigests.get(file);
  if (digest === undefined) {
    digest = sha256(file.text ?? '');
    textDigests.set(file, digest);
  }
  return digest;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Digest of the names and contents of everything read. */
export function revisionOf(raw: ConfigFiles): string {
  const hash = createHash('sha256');
  for (const file of filesOf(raw)) hash.update(digestOf(file));
  return hash.digest('hex');
}

/** What a file in a folder is. */
export interface FilePlace {
  /** `list`: the addresses of a set, beside it. */
  readonly kind: 'template' | 'set' | 'list';
  readonly name: string;
}

const forms: readonly (readonly [RegExp, FilePlace['kind']])[] = [
  [/^templates\/(.*)\.yaml$/s, 'template'],
  [/^sets\/(.*)\.yaml$/s, 'set'],
  [/^sets\/(.*)\.txt$/s, 'list'],
];

/** @param fileName below the configuration directory @returns `undefined` for a stray file */
export function placeOf(fileName: string): FilePlace | undefined {
  for (const [form, kind] of forms) {
    const name = form.exec(fileName)?.[1];
    if (name !== undefined && namePattern.test(name)) return { kind, name };
  }
  return undefined;
}

/** `undefined`: not the name of a template's file. */
export function templateNameOf(fileName: string): string | undefined {
  const place = placeOf(fileName);
  return place?.kind === 'template' ? place.name : undefined;
}

/** The files of a policy, by their names. */
export function sortedFiles(files: readonly RawFile[]): Omit<ConfigFiles, 'gateway'> {
  const inFolder = (folder: string): RawFile[] | undefined => {
    const found = files.filter(({ name }) => name.startsWith(folder));
    return found.length === 0 ? undefined : found.sort((a, b) => fileOrder(a.name, b.name));
  };
  return {
    servers: files.find(({ name }) => name === 'servers.yaml'),
    templates: inFolder('templates/'),
    sets: inFolder('sets/'),
  };
}
