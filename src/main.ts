#!/usr/bin/env node
/**
 * The `tunwall` command: the only place where all of it is put together. Everything here is wiring;
 * what a verb does is in the folder that its action comes from.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { replayFile } from './capture/replay-file.ts';
import { checkCommand } from './cli/check-command.ts';
import { demoCommand } from './cli/demo-command.ts';
import { UserError } from './cli/errors.ts';
import { explainCommand, offlineAnswers } from './cli/explain-command.ts';
import { exportCommand } from './cli/export-command.ts';
import { gatewayCommand } from './cli/gateway-command.ts';
import type { ConfiguredDevice } from './cli/gateway-command.ts';
import { importCommand } from './cli/import-command.ts';
import { createOutput } from './cli/output.ts';
import { runProgram } from './cli/program.ts';
import { createProgress } from './cli/progress.ts';
import type { Progress } from './cli/progress.ts';
import { readInput } from './cli/read-input.ts';
import { replayCommand } from './cli/replay-command.ts';
import { runCommand } from './cli/run-command.ts';
import { formatTable } from './cli/table.ts';
import { runDemo } from './demo/demo.ts';
import { gatewayDown, gatewayStatus, gatewayUp } from './gateway/gateway.ts';
import { formatProblem } from './policy/problem.ts';
import { run } from './service/run.ts';
import { readConfigDirectory } from './store/config-directory.ts';

/** package.json lies one folder above this file, both in src/ and in dist/. */
function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The gateway's settings in a configuration directory, if they are valid. */
async function configuredDevice(directory: string): Promise<ConfiguredDevice> {
  const { gateway, problems } = await readConfigDirectory(directory);
  const own = join(directory, 'gateway.yaml');
  const wrong = problems.find(
    ({ file, severity }) => severity === 'error' && (file === own || file === directory),
  );
  if (wrong === undefined) return gateway;
  throw new UserError(formatProblem(wrong), 'see all that is wrong: tunwall check');
}

// `tunwall … | head`: the reader has what it wanted.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

const progress = (label: string): Progress =>
  createProgress(label, process.stderr, () => performance.now());
const output = createOutput(process.stdout, process.stderr, process.env);

process.exitCode = await runProgram(process.argv.slice(2), {
  version: readVersion(),
  output,
  verbs: [
    gatewayCommand({
      up: gatewayUp,
      down: gatewayDown,
      status: gatewayStatus,
      configured: configuredDevice,
    }),
    runCommand((options) => run({ ...options, version: readVersion() })),
    checkCommand(readConfigDirectory),
    explainCommand({ answer: offlineAnswers(readConfigDirectory), readText: readInput }),
    exportCommand(readConfigDirectory),
    importCommand({
      readText: readInput,
      progress,
    }),
    replayCommand({
      readConfig: readConfigDirectory,
      replay: replayFile,
      version: readVersion(),
      progress,
    }),
    demoCommand((options) =>
      runDemo({
        ...options,
        print: (line) => output.print(line),
        formatTable,
        program: fileURLToPath(import.meta.url),
      }),
    ),
  ],
});
