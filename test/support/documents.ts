/** The repository's documents, as the tests of test/unit/docs read them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export const root: string = new URL('../..', import.meta.url).pathname;

const skipped = new Set(['node_modules', 'dist', '.git', 'build', 'results', '.state']);

/** Files of the repository with one of these endings, by their paths within it. */
export function filesEnding(...endings: readonly string[]): string[] {
  const walk = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return skipped.has(entry.name) ? [] : walk(path);
      return entry.isFile() && endings.some((ending) => path.endsWith(ending)) ? [path] : [];
    });
  return walk('').sort();
}

export const documents: readonly string[] = filesEnding('.md');

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export function exists(path: string): boolean {
  return existsSync(join(root, path));
}

export interface Block {
  /** What stands behind the fence: `sh run`, `yaml`. */
  readonly tag: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

/** Fenced blocks, and the text without them. */
export function blocksOf(markdown: string): { blocks: Block[]; prose: string } {
  const blocks: Block[] = [];
  const prose: string[] = [];
  let open: { tag: string; line: number; text: string[] } | undefined;
  markdown.split('\n').forEach((line, index) => {
    const fence = /^```(.*)$/.exec(line);
    if (fence === null) (open?.text ?? prose).push(line);
    else if (open === undefined) open = { tag: fence[1]!.trim(), line: index + 2, text: [] };
    else {
      blocks.push({ ...open, text: open.text.join('\n') });
      open = undefined;
    }
  });
  return { blocks, prose: prose.join('\n') };
}

/** The blocks of a document with a tag, for a test that runs them; throws if there is none. */
export function blocksTagged(document: string, tag: string): string[] {
  const { blocks } = blocksOf(readText(document));
  const found = blocks.filter((block) => block.tag === tag).map(({ text }) => text);
  if (found.length === 0) throw new Error(`${document} has no block \`${tag}\``);
  return found;
}

/** Anchors as GitHub makes them of headings. */
export function anchorsOf(markdown: string): string[] {
  const seen = new Map<string, number>();
  return [...blocksOf(markdown).prose.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => {
    const slug = heading!
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    return before === 0 ? slug : `${slug}-${before}`;
  });
}

/** Links of a document to other files: path within the repository, and anchor. */
export function linksOf(document: string): { link: string; path: string; anchor: string }[] {
  const { prose } = blocksOf(readText(document));
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [target = '', anchor = ''] = link.split('#');
      const path = target === '' ? document : normalize(join(dirname(document), target));
      return { link, path, anchor };
    });
}

/** Rows of the tables behind a heading (or of all of them), without their heads; a cell is its Markdown. */
export function tableRows(markdown: string, heading?: string): string[][] {
  const { prose } = blocksOf(markdown);
  const section =
    heading === undefined ? prose : prose.slice(prose.indexOf(heading)).replace(/\n##? [^]*$/, '');
  return [...section.matchAll(/^\|[-| ]+\|\n((?:\|.*\|\n?)+)/gm)].flatMap(([, rows]) =>
    rows!
      .trim()
      .split('\n')
      .map((row) =>
        row
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim()),
      ),
  );
}

/** What a cell has in backticks, first. */
export function codeIn(cell: string): string {
  return /`([^`]+)`/.exec(cell)?.[1] ?? '';
}
