/**
 * The importer of iptables beside the kernel: random rule sets through iptables-restore in the namespace that
 * scripts/import-oracle makes for itself, probes through their chains, and what the imported templates say of them. An import
 * that lets in what the kernel drops is the gravest defect it can have.
 *
 * TUNWALL_SEED=S plays other rule sets, TUNWALL_IMPORT_SETS=N more of them; scripts/import-oracle --seed S --case K shows one.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { obstacle, repository } from '../support/firewall.ts';

/** The same rule sets every time, so that a failure is the change's. */
const seed = process.env['TUNWALL_SEED'] ?? '16';
const sets = Number(process.env['TUNWALL_IMPORT_SETS'] ?? '300');

interface Count {
  readonly passed: number;
  readonly imported: number;
}

interface Result {
  readonly sets: number;
  readonly refusedByKernel: number;
  readonly refusedByImporter: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly probes: { readonly plain: Count; readonly all: Count };
  readonly findings: readonly { readonly caseNumber: number; readonly wider: readonly string[] }[];
}

describe.skipIf(obstacle !== undefined)('the kernel as oracle of the importer', () => {
  it('no import lets in what the kernel drops, and little is lost', () => {
    const args = ['--json', '--sets', String(sets), '--seed', seed];
    const run = spawnSync(`${repository}/scripts/import-oracle`, args, { encoding: 'utf8' });
    expect(run.stdout, run.stderr).not.toBe('');
    const result = JSON.parse(run.stdout) as Result;
    const findings = result.findings.map(
      ({ caseNumber, wider }) =>
        `scripts/import-oracle --seed ${seed} --case ${caseNumber}: ${wider.join('; ')}`,
    );
    expect(findings).toEqual([]);
    expect(result.refusals).toEqual({});
    expect(result.sets - result.refusedByKernel).toBeGreaterThanOrEqual(sets * 0.7);
    const { plain, all } = result.probes;
    // Enough came through to compare; rules that templates can say come across whole, the others mostly.
    expect(plain.passed).toBeGreaterThan(sets * 20);
    expect(plain.imported / plain.passed).toBeGreaterThanOrEqual(0.99);
    expect(all.imported / all.passed).toBeGreaterThanOrEqual(0.75);
    expect(run.status).toBe(0);
  }, 900_000);
});
