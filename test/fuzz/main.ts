/** The command behind scripts/fuzz. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

const usage = `Usage: scripts/fuzz [--api] [--seconds N] [--seed S] [--replay FILE]

Feeds the parser and the engine with packets nobody would send, on a build in which every access to a
typed array is checked, and looks after every batch whether flow table, fragment store and counters are
whole and whether what passed was allowed to.

With --api it sends the HTTP API requests that nobody would send: every route of its OpenAPI document,
with hostile values, by every role. No answer may be a server error, tell a stack, or stay out.

  --api          the HTTP API instead of parser and engine
  --seconds N    how long (default 60)
  --seed S       begin with this seed (default: random; it is printed)
  --replay FILE  run one case from a file that a failure has left
  --help         this text

Exit code 0: nothing found. 1: something is broken; the smallest case that shows it is in the file that
is named. 2: wrong usage.`;

interface Options {
  api: boolean;
  seconds: number;
  seed: string | undefined;
  replay: string | undefined;
}

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${usage}\n`);
  process.exit(2);
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        api: { type: 'boolean', default: false },
        seconds: { type: 'string', default: '60' },
        seed: { type: 'string' },
        replay: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    const seconds = Number(values.seconds);
    if (!(seconds > 0)) fail(`--seconds: expected a number above 0, found "${values.seconds}"`);
    if (values.seed !== undefined && !/^\d+$/.test(values.seed)) {
      fail(`--seed: expected a whole number, found "${values.seed}"`);
    }
    if (values.api && values.replay !== undefined)
      fail('--replay: requests have no file, only a seed');
    return { api: values.api, seconds, seed: values.seed, replay: values.replay };
  } catch (error) {
    return fail((error as Error).message);
  }
}

const options = readOptions();
if (options.seed !== undefined) process.env['TUNWALL_SEED'] = options.seed;
// Only now: this draws the seed, and prints it.
const { seed, seededRandom } = await import('../support/seed.ts');
if (options.api) process.exit(await fuzzApi());

const { formatCase, parseCase } = await import('./case.ts');
const { Fuzzer, formatFinding } = await import('./fuzzer.ts');
const { loadGuardedBuild } = await import('./guarded-build.ts');

const fuzzer = new Fuzzer(await loadGuardedBuild(), seededRandom());

if (options.replay !== undefined) {
  const finding = fuzzer.replay(parseCase(readFileSync(options.replay, 'utf8')));
  console.log(finding === undefined ? 'nothing found' : `${finding.message}\n${finding.stack}`);
  process.exit(finding === undefined ? 0 : 1);
}

const startedMs = performance.now();
const elapsedMs = (): number => performance.now() - startedMs;

function report(): void {
  const { cases, packets, edges, edgeCount, marks, corpus } = fuzzer.progress;
  const rate = Math.round(packets / (elapsedMs() / 1000));
  console.log(
    `${Math.round(elapsedMs() / 1000)} s: ${cases} cases, ${packets} packets (${rate}/s), ` +
      `edges ${edges}/${edgeCount}, marks ${marks}, corpus ${corpus}`,
  );
}

let reportMs = 2000;
while (elapsedMs() < options.seconds * 1000) {
  const finding = fuzzer.next();
  if (finding !== undefined) {
    const root = new URL('../..', import.meta.url).pathname;
    const file = join(root, `node_modules/.cache/tunwall-fuzz/${seed}.json`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, formatCase(finding.fuzzCase));
    report();
    console.log(`${formatFinding(finding)}\nscripts/fuzz --replay ${file}`);
    process.exit(1);
  }
  if (elapsedMs() > reportMs) {
    report();
    reportMs *= 2;
  }
}
report();

/** @returns the exit code */
async function fuzzApi(): Promise<number> {
  const { ApiFuzzer } = await import('./api-fuzzer.ts');
  const apiFuzzer = new ApiFuzzer(seededRandom());
  const endMs = performance.now() + options.seconds * 1000;
  let found = false;
  while (!found && performance.now() < endMs) {
    const finding = await apiFuzzer.next();
    if (finding === undefined) continue;
    found = true;
    console.log(`${finding.message}\n${JSON.stringify(finding.request, null, 2)}`);
    console.log(`request ${apiFuzzer.requests} of seed ${seed}: scripts/fuzz --api --seed ${seed}`);
  }
  const statuses = [...apiFuzzer.statuses].sort(([a], [b]) => a - b);
  console.log(
    `${apiFuzzer.requests} requests to ${apiFuzzer.routes.size} routes; ` +
      `answers: ${statuses.map(([status, count]) => `${status} × ${count}`).join(', ')}`,
  );
  await apiFuzzer.close();
  return found ? 1 : 0;
}
