/** Every sentence of the service's page has a test: test/service-page.md names tests that are there. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../..', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');

const rows = read('test/service-page.md')
  .split('\n')
  .filter((line) => /^\| [^-s]/.test(line))
  .map((line) => line.split(' | '))
  .map(([sentence, proofs]) => ({
    sentence: sentence!.slice(2),
    proofs: proofs!.replace(/ \|$/, '').split(' <br> '),
  }));

describe("the service's page", () => {
  it('is there', () => {
    expect(rows.length).toBeGreaterThan(20);
  });

  it.each(rows)('$sentence', ({ proofs }) => {
    for (const proof of proofs) {
      const { file, title } = /^`(?<file>[^`]+)` (?<title>.+)$/.exec(proof)!.groups!;
      expect(read(file!), proof).toContain(title);
    }
  });
});
