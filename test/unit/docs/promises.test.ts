/** docs/security.md: every promise names tests that are there, or says that there is none. */
import { describe, expect, it } from 'vitest';
import { readText, tableRows } from '../../support/documents.ts';
import { brokenProofs } from '../../support/proofs.ts';

const rows = tableRows(readText('docs/security.md'), '## Promises');

describe('promises', () => {
  it('are many', () => {
    expect(rows.length).toBeGreaterThan(40);
  });

  it.each(rows)('%s', (promise, proof) => {
    expect(promise).toMatch(/[.]$/);
    if (/^Not (tested|quite)/.test(proof)) {
      expect(proof).not.toMatch(/test\/.* <br>/);
      if (!proof.includes('`test/')) return;
    }
    expect(brokenProofs(proof)).toEqual([]);
  });
});
