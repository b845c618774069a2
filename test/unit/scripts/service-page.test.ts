/** Every sentence of the service's page has a test: test/service-page.md names tests that are there. */
import { describe, expect, it } from 'vitest';
import { readText, tableRows } from '../../support/documents.ts';
import { brokenProofs } from '../../support/proofs.ts';

const rows = tableRows(readText('test/service-page.md'));

describe("the service's page", () => {
  it('is there', () => {
    expect(rows.length).toBeGreaterThan(20);
  });

  it.each(rows)('%s', (_, proofs) => {
    expect(brokenProofs(proofs)).toEqual([]);
  });
});
