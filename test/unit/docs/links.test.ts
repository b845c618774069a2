/** References between documents, and from sources to documents, lead somewhere. */
import { describe, expect, it } from 'vitest';
import {
  anchorsOf,
  blocksOf,
  documents,
  exists,
  filesEnding,
  linksOf,
  readText,
} from '../../support/documents.ts';

const sources = filesEnding('.ts', '.tsx', '.js', '.cjs', '.c', '.h', '.sh', '.yaml', '.service');
const everything = [...sources, ...filesEnding('')];

describe.each(documents)('%s', (document) => {
  it('has links that lead to a file, and to a heading in it', () => {
    const broken = linksOf(document).filter(
      ({ path, anchor }) =>
        !exists(path) || (anchor !== '' && !anchorsOf(readText(path)).includes(anchor)),
    );
    expect(broken.map(({ link }) => link)).toEqual([]);
  });

  it('names files that are there', () => {
    const { prose } = blocksOf(readText(document));
    const named = [...prose.matchAll(/`([\w./-]+)`/g)].map(([, path]) => path!);
    const missing = named.filter((path) => {
      if (/^(src|test|bench|scripts|native|docs)\//.test(path))
        return !isBuilt(path) && !exists(path);
      // `flow/tcp-reset.ts`: the end of a path.
      const isEnd = /^\w[\w-]*(\/[\w.-]+)+\.(ts|tsx|c|h)$/.test(path);
      return isEnd && !everything.some((file) => file.endsWith(`/${path}`));
    });
    expect(missing).toEqual([]);
  });
});

/** Made by a build or a run. */
function isBuilt(path: string): boolean {
  return path.startsWith('bench/results') || path.startsWith('native/build');
}

it('sources refer to documents that are there', () => {
  const broken = sources.flatMap((source) => {
    const folder = source.includes('/') ? source.slice(0, source.lastIndexOf('/') + 1) : '';
    return [...readText(source).matchAll(/(?<![\w./*-])(?:[\w-]+\/)*[\w-]+\.md\b/g)]
      .map(([path]) => path)
      .filter((path) => !exists(path) && !exists(folder + path))
      .map((path) => `${source}: ${path}`);
  });
  expect(broken).toEqual([]);
});

describe('an index lists every page', () => {
  it.each(['docs', 'docs/decisions'])('%s', (folder) => {
    const pages = documents.filter(
      (path) => path.startsWith(`${folder}/`) && !path.slice(folder.length + 1).includes('/'),
    );
    const index = `${folder}/README.md`;
    const listed = new Set(linksOf(index).map(({ path }) => path));
    expect(pages.filter((page) => page !== index && !listed.has(page))).toEqual([]);
    expect(pages.length).toBeGreaterThan(5);
  });
});

it.each([
  ['README.md', 150],
  ['ARCHITECTURE.md', 200],
])('%s has at most %i lines', (document, limit) => {
  expect(readText(document).trimEnd().split('\n').length).toBeLessThanOrEqual(limit);
});

const decisions = documents.filter((path) => path.startsWith('docs/decisions/0'));

it('decisions are numbered without a gap', () => {
  const numbers = decisions.map((path) => Number(path.slice(15, 19)));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});

it.each(decisions)('%s is half a page: context, decision, consequence', (path) => {
  const text = readText(path);
  expect(text).toMatch(
    new RegExp(
      `^# ${Number(path.slice(15, 19))}\\. .+\n\n\\*\\*Context\\.\\*\\* [^]+\n\n\\*\\*Decision\\.\\*\\* [^]+\n\n\\*\\*Consequence\\.\\*\\* [^]+\n$`,
    ),
  );
  expect(text.split('\n').length).toBeLessThanOrEqual(30);
});
