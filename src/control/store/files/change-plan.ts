/** What a change does to the files: what is written and removed, as a list of names and texts; nothing here touches the disk. */
import { filesOf, templateNameOf } from './config-files.ts';
import type { RawDirectory, RawFile } from './config-files.ts';
import type { Cause } from '../draft.ts';
import { nowhere, unifiedDiff } from './history.ts';
import { templateTexts } from './recorder.ts';
import type { Changed, Snapshot } from '../store.ts';

/** What is to be written, and the templates that are to be removed, in this order. */
export interface Writing {
  readonly writes: readonly RawFile[];
  readonly removals: readonly string[];
}

/** What a change does to the files. */
export interface Plan extends Writing {
  readonly raw: RawDirectory;
  readonly after: RawDirectory;
  readonly next: Snapshot;
  readonly causes: ReadonlyMap<string, Cause>;
  readonly changed: readonly Changed[];
}

/** All files that are written and removed. */
export function pathsOf({ writes, removals }: Writing): string[] {
  return [...writes.map(({ name }) => name), ...removals.map((name) => `templates/${name}.yaml`)];
}

/** Changes that follow each other, as one, of the files `raw`: templates before what names them. */
export function together(raw: RawDirectory, changes: readonly Writing[]): Writing {
  const writes = new Map<string, RawFile>();
  const removals = new Set<string>();
  for (const change of changes) {
    for (const file of change.writes) {
      writes.set(file.name, file);
      removals.delete(templateNameOf(file.name) ?? '');
    }
    for (const name of change.removals) {
      writes.delete(`templates/${name}.yaml`);
      removals.add(name);
    }
  }
  const there = templateTexts(raw);
  const isTemplate = ({ name }: RawFile): boolean => templateNameOf(name) !== undefined;
  const all = [...writes.values()];
  return {
    writes: [...all.filter(isTemplate), ...all.filter((file) => !isTemplate(file))],
    removals: [...removals].filter((name) => there.has(name)),
  };
}

/** The change as a unified diff of all files. */
export function diffOf({ raw, writes, removals }: Plan): string {
  const before = new Map(filesOf(raw).map(({ name, text = '' }) => [name, text]));
  const after = [
    ...writes.map(({ name, text }) => [name, text!] as const),
    ...removals.map((name) => [`templates/${name}.yaml`, undefined] as const),
  ];
  return after
    .map(([name, text]) => {
      const old = before.get(name);
      const [from, to] = [old === undefined ? nowhere : name, text === undefined ? nowhere : name];
      return unifiedDiff(from, to, old ?? '', text ?? '');
    })
    .join('');
}

export function rawFile(name: string, text: string): RawFile {
  return { name, text, problem: undefined };
}

/** The template files afterwards, including unreadable and misnamed ones. */
export function mergeTemplates(raw: RawDirectory, after: ReadonlyMap<string, string>): RawFile[] {
  const before = new Map((raw.templates ?? []).map((file) => [file.name, file]));
  const others = (raw.templates ?? []).filter(({ name }) => templateNameOf(name) === undefined);
  const own = [...after].map(([template, text]) => {
    const name = `templates/${template}.yaml`;
    const old = before.get(name);
    return old !== undefined && (old.text ?? '') === text ? old : rawFile(name, text);
  });
  return [...others, ...own].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The differences between two snapshots, and templates of which only the text has changed. */
export function compare(before: Snapshot, after: Snapshot, writes: readonly RawFile[]): Changed[] {
  const written = new Set(writes.map(({ name }) => templateNameOf(name)));
  const of = (
    kind: 'template' | 'server',
    old: ReadonlyMap<string, string>,
    now: ReadonlyMap<string, string>,
  ): Changed[] =>
    [...new Set([...old.keys(), ...now.keys()])].flatMap((name) => {
      const [was, is] = [old.get(name), now.get(name)];
      if (was === is && !(kind === 'template' && written.has(name))) return [];
      return {
        kind,
        name,
        ...(was !== undefined && { before: was }),
        ...(is !== undefined && { after: is }),
      };
    });
  return [
    ...of('template', before.revisions.templates, after.revisions.templates),
    ...of('server', before.revisions.servers, after.revisions.servers),
  ];
}
