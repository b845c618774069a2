/** Differences of texts, for people: unified, and bounded in time. */
import { createTwoFilesPatch } from 'diff/lib/patch/create.js';
import type { VersionHistory } from './store.ts';

/** A text longer than this, or with more differences than this, is compared by its number of lines only. */
const maxComparedBytes = 1 << 20;
const maxDifferences = 4000;

/** The name of a missing file. */
export const nowhere = '/dev/null';

/** Empty for equal texts. */
export function unifiedDiff(from: string, to: string, before: string, after: string): string {
  if (before === after) return '';
  const patch =
    before.length + after.length > maxComparedBytes
      ? undefined
      : createTwoFilesPatch(from, to, before, after, undefined, undefined, {
          headerOptions: { includeIndex: false, includeUnderline: false, includeFileHeaders: true },
          maxEditLength: maxDifferences,
        });
  if (patch !== undefined) return patch;
  const lines = (text: string): string => (text.split('\n').length - 1).toLocaleString('en-US');
  return `--- ${from}\n+++ ${to}\n@@ ${lines(before)} lines became ${lines(after)}: too many to compare @@\n`;
}

/** Between two versions of a template or set, with the lists of the latter. @throws StoreError `not-found` */
export async function versionsDiff(
  history: Pick<VersionHistory, 'version'>,
  name: string,
  from: number,
  to: number,
): Promise<string> {
  const [before, after] = await Promise.all(
    [from, to].map(async (version) =>
      version === 0 ? { text: '' } : await history.version(name, version),
    ),
  );
  const label = (file: string, version: number, text: string | undefined): string =>
    version === 0 || text === undefined ? nowhere : `${file} version ${version}`;
  const compared = (file: string, old: string | undefined, now: string | undefined): string =>
    unifiedDiff(label(file, from, old), label(file, to, now), old ?? '', now ?? '');
  const list = before!.list?.file ?? after!.list?.file ?? '';
  return (
    compared(`${name}.yaml`, before!.text, after!.text) +
    compared(list, before!.list?.text, after!.list?.text)
  );
}
