/**
 * The flow tracker beside Linux: 200,000 packets of generated conversations, verdict by verdict, with and without mid-stream
 * pick-up and a limit on the distance of fragments, in the namespace that scripts/oracle makes for itself. What differs is explained (test/oracle/differences.md), or a bug.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { explanations } from '../../oracle/explained.ts';
import { obstacle, repository } from '../support/firewall.ts';

/** The same conversations every time, so that a failure is the change's; scripts/oracle plays others. */
const seed = process.env['TUNWALL_SEED'] ?? '5';

interface Result {
  readonly packets: number;
  readonly explained: Readonly<Record<string, number>>;
  readonly silentExamples: readonly string[];
  readonly findings: readonly { readonly caseNumber: number; readonly text: string }[];
}

describe.skipIf(obstacle !== undefined)('the kernel as oracle', () => {
  it('no difference is without an explanation, and each explained one can be shown', () => {
    const args = ['--json', '--packets', '200000', '--seed', seed];
    const run = spawnSync(`${repository}/scripts/oracle`, args, {
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    expect(run.stdout, run.stderr).not.toBe('');
    const result = JSON.parse(run.stdout) as Result;
    expect(result.findings.map(({ caseNumber, text }) => `case ${caseNumber}: ${text}`)).toEqual(
      [],
    );
    expect(result.silentExamples).toEqual([]);
    expect(result.packets).toBeGreaterThanOrEqual(200_000);
    const known = explanations.map(({ id }) => id);
    for (const id of Object.keys(result.explained)) expect(known).toContain(id);
    expect(run.status).toBe(0);
  }, 900_000);
});
