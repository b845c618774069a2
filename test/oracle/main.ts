/** The command behind scripts/oracle. */
import { parseArgs } from 'node:util';

const usage = `Usage: scripts/oracle [--packets N] [--seed S] [--case K] [--carry] [--json]

Plays generated conversations, valid and mutated ones, to a filter made of nft "ct state" rules between two
TUN devices and to tunwall's engine, and compares every verdict, and the flows that both track in the end. Half of
them are played with nf_conntrack_tcp_loose 1, and half of each with ipfrag_max_dist 0. In a third of all another
process goes on with the engine's flows after each step.

  --packets N  at least so many packets (default 200000)
  --seed S     the same conversations again (default: random; it is printed)
  --case K     only conversation K of the seed, with both verdicts on every packet
  --carry      the kernel's program of the fast path carries what it may, past the engine, where nothing restarts
  --json       print the result as JSON
  --help       this text

Differences that are meant are explained in test/oracle/differences.md. Any other is made as small as it gets and
printed. Exit code 0: none; 1: at least one, or the kernel filter cannot be made; 2: wrong usage.`;

/** So many unexplained differences are looked into, then it ends. */
const mostFindings = 5;
const progressPeriodMs = 1000;

interface Options {
  readonly packets: number;
  readonly seed: string | undefined;
  readonly caseNumber: number | undefined;
  readonly carry: boolean;
  readonly json: boolean;
}

function fail(message: string): never {
  process.stderr.write(`scripts/oracle: ${message}\n\n${usage}\n`);
  process.exit(2);
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,12}$/.test(text)) fail(`--${name}: expected a whole number, found "${text}"`);
  return Number(text);
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        packets: { type: 'string', default: '200000' },
        seed: { type: 'string' },
        case: { type: 'string' },
        carry: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    if (values.seed !== undefined) wholeNumber('seed', values.seed);
    return {
      packets: wholeNumber('packets', values.packets),
      seed: values.seed,
      caseNumber: values.case === undefined ? undefined : wholeNumber('case', values.case),
      carry: values.carry,
      json: values.json,
    };
  } catch (error) {
    return fail((error as Error).message);
  }
}

const options = readOptions();
// The seed is drawn, and printed, by the module that everything random takes it from.
if (options.seed !== undefined) process.env['TUNWALL_SEED'] = options.seed;
const log = console.log;
if (options.json) console.log = console.error;
const { seed } = await import('../support/seed.ts');
const { carriedPackets, carry } = await import('./engine-filter.ts');
const { Comparison } = await import('./compare.ts');
const { explain } = await import('./explained.ts');
const { examples } = await import('./explained-examples.ts');
const { generate, lanes } = await import('./generator.ts');
const { KernelFilter } = await import('./kernel-filter.ts');
const { printOutcome } = await import('./print.ts');
const { Shrinker } = await import('./shrink.ts');

interface Finding {
  readonly caseNumber: number;
  readonly text: string;
}

if (options.carry) carry();
const kernel = new KernelFilter();
const comparison = new Comparison(kernel);
const explained: Record<string, number> = {};
const findings: Finding[] = [];
let conversations = 0;
let toldMs = 0;

function progress(end: boolean): void {
  if (!process.stderr.isTTY || (!end && performance.now() - toldMs < progressPeriodMs)) return;
  toldMs = performance.now();
  const part = Math.min(100, Math.floor((100 * comparison.packets) / options.packets));
  process.stderr.write(`\r${part} %: ${comparison.packets} packets${end ? '\n' : ''}`);
}

/** Examples that do not show what they are for, by id. */
function playExamples(): string[] {
  const ids = Object.keys(examples);
  return ids.filter((id) => {
    const outcome = comparison.play([examples[id]!])[0]!;
    return outcome.difference === undefined || explain(outcome)?.id !== id;
  });
}

function playAll(): void {
  for (let next = 0; comparison.packets < options.packets; next += lanes) {
    const numbers = Array.from({ length: lanes }, (_, lane) => next + lane);
    const outcomes = comparison.play(numbers.map((number) => generate(seed, number)));
    conversations += lanes;
    for (const [lane, outcome] of outcomes.entries()) {
      if (outcome.difference === undefined) continue;
      const id = explain(outcome)?.id;
      if (id !== undefined) {
        explained[id] = (explained[id] ?? 0) + 1;
        continue;
      }
      const shows = (each: typeof outcome): boolean => explain(each) === undefined;
      const smallest = new Shrinker(comparison, outcome, shows).shrink();
      findings.push({ caseNumber: numbers[lane]!, text: printOutcome(smallest) });
      if (findings.length >= mostFindings) return;
    }
    progress(false);
  }
}

function playCase(caseNumber: number): void {
  const outcome = comparison.play([generate(seed, caseNumber)])[0]!;
  const id = outcome.difference === undefined ? undefined : explain(outcome)?.id;
  console.log(printOutcome(outcome));
  console.log(outcome.difference === undefined ? 'no difference' : `explained: ${id ?? 'no'}`);
  if (outcome.difference !== undefined && id === undefined) {
    findings.push({ caseNumber, text: printOutcome(outcome) });
  }
}

let silentExamples: string[] = [];
if (options.caseNumber === undefined) {
  silentExamples = playExamples();
  playAll();
  progress(true);
} else {
  playCase(options.caseNumber);
  conversations = 1;
}
kernel.close();

const { packets, repeated } = comparison;
if (options.json) {
  const counts = { packets, conversations, repeated, carried: carriedPackets() };
  const result = { seed, ...counts, explained, silentExamples, findings };
  log(JSON.stringify(result, null, 2));
} else {
  for (const { caseNumber, text } of findings) {
    log(`\ncase ${caseNumber}: ${text}\nscripts/oracle --seed ${seed} --case ${caseNumber}`);
  }
  for (const id of silentExamples) log(`the example of "${id}" no longer shows it`);
  const reported = Object.entries(explained).map(
    ([id, count]) => `  ${String(count).padStart(6)} ${id}`,
  );
  log(
    `${packets} packets in ${conversations} conversations, ${findings.length} unexplained differences`,
  );
  if (options.carry) log(`${carriedPackets()} of them carried by the kernel's program`);
  if (reported.length > 0) log(`explained ones:\n${reported.join('\n')}`);
}
process.exitCode = findings.length > 0 || silentExamples.length > 0 ? 1 : 0;
