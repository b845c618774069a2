/** scripts/import-oracle: the importer of iptables beside the kernel. */
import { parseArgs } from 'node:util';

const usage = `Usage: scripts/import-oracle [--sets N] [--seed S] [--case K] [--json]

Loads random rule sets with iptables-restore, sends packets, and compares what comes through with what
"tunwall import" makes of the rules. The import must never let in what the kernel drops.

  --sets N   so many rule sets (default 1000)
  --seed S   the same rule sets again (default: random; it is printed)
  --case K   only rule set K of the seed, with its text and all probes that differ
  --json     print the result as JSON
  --help     this text

Exit code 0: nothing was let in. 1: something was. 2: called wrongly.`;

function fail(message: string): never {
  process.stderr.write(`scripts/import-oracle: ${message}\n\n${usage}\n`);
  process.exit(2);
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,10}$/.test(text)) fail(`--${name}: expected a whole number, found "${text}"`);
  return Number(text);
}

function readOptions(): { sets: number; caseNumber: number | undefined; json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        sets: { type: 'string', default: '1000' },
        seed: { type: 'string' },
        case: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    if (values.seed !== undefined) {
      process.env['TUNWALL_SEED'] = String(wholeNumber('seed', values.seed));
    }
    const caseNumber = values.case === undefined ? undefined : wholeNumber('case', values.case);
    return { sets: wholeNumber('sets', values.sets), caseNumber, json: values.json };
  } catch (error) {
    return fail((error as Error).message);
  }
}

const options = readOptions();
const print = console.log;
// The seed is printed by the module that draws it.
if (options.json) console.log = console.error;
const { seed } = await import('../support/seed.ts');
const { compare } = await import('./compare.ts');
const { KernelHooks } = await import('./kernel-hooks.ts');

const kernel = new KernelHooks();
const counts = { sets: 0, refusedByKernel: 0, refusedByImporter: 0 };
const probes = { plain: { passed: 0, imported: 0 }, all: { passed: 0, imported: 0 } };
const findings: { readonly caseNumber: number; readonly wider: readonly string[] }[] = [];
const refusals: Record<string, number> = {};

const first = options.caseNumber ?? 0;
const end = options.caseNumber === undefined ? options.sets : first + 1;
for (let caseNumber = first; caseNumber < end; caseNumber++) {
  const result = await compare(kernel, seed, caseNumber);
  counts.sets++;
  if (result.refusedBy === 'kernel') counts.refusedByKernel++;
  if (result.refusedBy === 'importer') {
    counts.refusedByImporter++;
    refusals[result.refused!] = (refusals[result.refused!] ?? 0) + 1;
  }
  for (const each of [probes.all, ...(result.set.plain ? [probes.plain] : [])]) {
    each.passed += result.passed;
    each.imported += result.imported;
  }
  if (result.wider.length > 0) findings.push({ caseNumber, wider: result.wider });
  if (options.caseNumber !== undefined) {
    print(result.set.text);
    if (result.refused !== undefined)
      print(`refused by the ${result.refusedBy!}: ${result.refused}`);
    for (const each of result.narrower) print(`narrower: ${each}`);
    for (const each of result.wider) print(`WIDER: ${each}`);
  }
}

if (options.json) print(JSON.stringify({ seed, ...counts, probes, findings, refusals }));
else {
  const part = ({ passed, imported }: { passed: number; imported: number }): string =>
    `${passed === 0 ? 100 : ((100 * imported) / passed).toFixed(1)} % of ${passed}`;
  print(
    `${counts.sets} rule sets, ${counts.refusedByKernel} refused by the kernel, ${counts.refusedByImporter} by the importer`,
  );
  for (const [message, count] of Object.entries(refusals)) print(`  ${count}: ${message}`);
  print(
    `imported: ${part(probes.all)} probes that the kernel lets in; of plain rule sets ${part(probes.plain)}`,
  );
  for (const { caseNumber, wider } of findings) {
    print(`WIDER: --seed ${seed} --case ${caseNumber}: ${wider.join('; ')}`);
  }
}
process.exit(findings.length === 0 ? 0 : 1);
