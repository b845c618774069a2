/**
 * `npm run bench`: runs the benchmarks one after another, prints their progress and one table, writes JSON and HTML.
 *
 * What is measured, against what and how: bench/METHOD.md. The runner knows no workload: it lists them from micro/ and workloads/.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { run, whyNoLab } from '../src/lab/network.ts';
import type { Benchmark, Chart, Context, Figure } from './lib/benchmark.ts';
import { htmlReport } from './lib/html-report.ts';
import type { BenchmarkResults, Machine, Results, Skipped } from './lib/results.ts';
import { textReport } from './lib/text-report.ts';
import { judge } from './lib/verdict.ts';
import { microBenchmarks } from './micro/index.ts';
import { closeRigs } from './net/rig.ts';
import { targets } from './targets.ts';
import { networkBenchmarks } from './workloads/index.ts';

const here = import.meta.dirname;
/** Rounds: enough for a median that one bad round does not move. */
const defaultPairs = 7;
const quickPairs = 3;

interface Options {
  readonly quick: boolean;
  readonly only: readonly string[];
  readonly list: boolean;
  readonly pairs?: number;
  readonly json: string;
  readonly html: string;
  readonly check: boolean;
}

function parseOptions(): Options {
  const gather = (name: string, names: readonly string[]): string[] => [...names, name];
  const count = (text: string): number => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('a whole number');
    return number;
  };
  return new Command('npm run bench --')
    .description('Measures tunwall and its peers on this machine, in namespaces of its own.')
    .option('--quick', `a look: ${quickPairs} rounds, shorter measurements`, false)
    .option('--only <name>', 'only this benchmark; may be repeated', gather, [])
    .option('--list', 'list the benchmarks', false)
    .option('--pairs <n>', `rounds (default ${defaultPairs})`, count)
    .option('--json <file>', 'where the results go', join(here, 'results/results.json'))
    .option('--html <file>', 'where the report goes', join(here, 'results/report.html'))
    .option('--check', 'exit with 1 if a target that was measured is not met', false)
    .parse()
    .opts();
}

function chosen(all: readonly Benchmark[], only: readonly string[]): readonly Benchmark[] {
  for (const name of only) {
    if (!all.some((benchmark) => benchmark.name === name)) {
      throw new Error(`there is no benchmark ${name}; --list names them`);
    }
  }
  return only.length === 0 ? all : all.filter(({ name }) => only.includes(name));
}

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: here, encoding: 'utf8', stdio: 'pipe' }).trim();
    const dirty =
      git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' with changes';
    return git('rev-parse', '--short', 'HEAD') + dirty;
  } catch {
    return 'unknown';
  }
}

function describeMachine(): Machine {
  const model = /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
  return {
    cpu: model ?? process.arch,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: commit(),
    loadBefore: loadavg()[0]!,
  };
}

/** Builds what is measured. Returns why it cannot be measured here, if it cannot. */
async function prepare(benchmarks: readonly Benchmark[]): Promise<string | undefined> {
  const commands = [['npm', '--prefix', join(here, '..'), 'run', '--silent', 'build']];
  if (benchmarks.some((benchmark) => networkBenchmarks.includes(benchmark))) {
    const lab = await whyNoLab(['ip', 'curl', 'iperf3', 'taskset', 'sysctl', 'make', 'cc']);
    if (lab !== undefined) return `${lab.message}: ${lab.hint}`;
    if (cpus().length < 2)
      return 'these benchmarks need two cores: one for the subject, one for the traffic';
    commands.push(['make', '--silent', '-C', join(here, 'peers')]);
  }
  console.log('building');
  for (const command of commands) {
    const { code, stdout, stderr } = await run(command[0]!, command.slice(1), {
      timeoutMs: 300_000,
    });
    if (code !== 0) return `${command.join(' ')} failed with ${code}:\n${stdout}${stderr}`;
  }
  return undefined;
}

async function runOne(
  benchmark: Benchmark,
  options: Options,
  skipped: Skipped[],
): Promise<BenchmarkResults> {
  const figures: Figure[] = [];
  const charts: Chart[] = [];
  const context: Context = {
    quick: options.quick,
    pairs: options.pairs ?? (options.quick ? quickPairs : defaultPairs),
    say: (text) => console.log(`  ${text}`),
    record: (figure) => figures.push(figure),
    chart: (chart) => charts.push(chart),
    skip(what, reason) {
      if (skipped.some((each) => each.what === what && each.reason === reason)) return;
      skipped.push({ benchmark: benchmark.name, what, reason });
      console.log(`  ${what} is skipped: ${reason}`);
    },
  };
  console.log(`${benchmark.name}: ${benchmark.describe}`);
  const started = performance.now();
  let error: string | undefined;
  try {
    await benchmark.run(context);
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
    console.log(`  failed: ${error}`);
  } finally {
    await closeRigs();
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  const { name, describe } = benchmark;
  return { name, describe, seconds, figures, charts, ...(error !== undefined && { error }) };
}

function save(results: Results, { json, html }: Options): void {
  const contents = [
    [json, `${JSON.stringify(results, undefined, 1)}\n`],
    [html, htmlReport(results)],
  ] as const;
  for (const [file, content] of contents) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

async function main(): Promise<number> {
  const options = parseOptions();
  const all = [...microBenchmarks, ...networkBenchmarks];
  if (options.list) {
    for (const { name, describe } of all) console.log(`${name.padEnd(20)} ${describe}`);
    return 0;
  }
  const benchmarks = chosen(all, options.only);
  const machine = describeMachine();
  const obstacle = await prepare(benchmarks);
  if (obstacle !== undefined) throw new Error(obstacle);
  const skipped: Skipped[] = [];
  const done: BenchmarkResults[] = [];
  const resultsSoFar = (): Results => ({
    machine,
    quick: options.quick,
    pairs: options.pairs ?? (options.quick ? quickPairs : defaultPairs),
    benchmarks: done,
    skipped,
    verdicts: judge(
      targets,
      done.flatMap(({ figures }) => figures),
    ),
  });
  for (const benchmark of benchmarks) {
    done.push(await runOne(benchmark, options, skipped));
    // All of them take an hour: a run that is interrupted leaves what it has measured.
    save(resultsSoFar(), options);
  }
  const results = resultsSoFar();
  console.log(`\n${textReport(results)}\n\nwrote ${options.json} and ${options.html}`);
  if (done.some(({ error }) => error !== undefined)) return 1;
  return options.check && results.verdicts.some(({ met }) => met === false) ? 1 : 0;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    console.log('removing the namespaces');
    // As a shell reports a program that Ctrl-C has ended.
    void closeRigs().finally(() => process.exit(130));
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await closeRigs();
}
