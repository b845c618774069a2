#!/usr/bin/env node
/**
 * The `tunwall` command: the only place where all of it is put together. Everything here is wiring;
 * what a verb does is in the folder that its action comes from. What is large and not needed by every verb is loaded when
 * it is: the shells start this program to complete a word.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { captureCommand } from './cli/capture-command.ts';
import { checkCommand } from './cli/check-command.ts';
import { completionCommand } from './cli/completion-command.ts';
import { createConnections } from './cli/connection.ts';
import { demoCommand } from './cli/demo-command.ts';
import { dropsCommand } from './cli/drops-command.ts';
import { UserError } from './cli/errors.ts';
import { explainCommand, offlineAnswers } from './cli/explain-command.ts';
import { liveAnswers } from './cli/explain-live.ts';
import { exportCommand } from './cli/export-command.ts';
import { flowsCommand } from './cli/flows-command.ts';
import { gatewayCommand } from './cli/gateway-command.ts';
import type { ConfiguredDevice } from './cli/gateway-command.ts';
import { importCommand } from './cli/import-command.ts';
import { createOutput } from './cli/output.ts';
import { callerName, interruptedBy, openToWrite } from './cli/process-parts.ts';
import { runProgram } from './cli/program.ts';
import { createProgress } from './cli/progress.ts';
import type { Progress } from './cli/progress.ts';
import { readInput } from './cli/read-input.ts';
import { createReadSecret } from './cli/read-secret.ts';
import { replayCommand } from './cli/replay-command.ts';
import { runCommand } from './cli/run-command.ts';
import { createScreen } from './cli/screen.ts';
import { serverCommand } from './cli/server-command.ts';
import { auditCommand, statusCommand } from './cli/status-command.ts';
import { formatTable } from './cli/table.ts';
import { templateCommand } from './cli/template-command.ts';
import { createTextEditor } from './cli/text-editor.ts';
import { topCommand } from './cli/top-command.ts';
import type { InProcessApi } from './cli/transport.ts';
import { userCommand } from './cli/user-command.ts';
import { gatewayDown, gatewayStatus, gatewayUp } from './gateway/gateway.ts';
import { formatProblem } from './policy/problem.ts';
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

/** The API on a configuration directory, for verbs that find no firewall running. */
async function openDirectory(configDirectory: string): Promise<InProcessApi> {
  const [{ FileStore }, { offlineControlPlane }, { buildApi }] = await Promise.all([
    import('./store/file-store.ts'),
    import('./api/offline.ts'),
    import('./api/server.ts'),
  ]);
  const onWarning = (message: string): void => output.error(`tunwall: ${message}`);
  const store = await FileStore.open(configDirectory, { onWarning });
  const controlPlane = offlineControlPlane(store, { version: readVersion(), configDirectory });
  return buildApi({ store, controlPlane, hosts: [], onWarning }, { listener: 'in-process' });
}

const progress = (label: string): Progress =>
  createProgress(label, process.stderr, () => performance.now());
const output = createOutput(process.stdout, process.stderr, process.env);

const connections = createConnections({
  openDirectory,
  actor: callerName(process.env, process.getuid?.() ?? 0),
  environment: process.env,
  warn: (message) => output.error(`${output.style('yellow', 'warning:')} ${message}`),
});
const interrupted = (): AbortSignal => interruptedBy(process);

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
    runCommand(async (options) => {
      const { run } = await import('./service/run.ts');
      return run({ ...options, version: readVersion() });
    }),
    checkCommand(readConfigDirectory),
    templateCommand({
      connections,
      readText: readInput,
      editor: createTextEditor(process.env),
    }),
    serverCommand(connections),
    userCommand({ connections, readSecret: createReadSecret(process.stdin, process.stderr) }),
    explainCommand({
      answer: liveAnswers(connections, offlineAnswers(readConfigDirectory)),
      readText: readInput,
    }),
    flowsCommand(connections),
    dropsCommand({ connections, interrupted }),
    topCommand({
      connections,
      interrupted,
      screen: createScreen(process.stdin, process.stdout, process.env['TERM']),
    }),
    captureCommand({
      connections,
      interrupted,
      openFile: (path) => openToWrite(path, process.stdout),
    }),
    statusCommand(connections),
    auditCommand(connections),
    exportCommand(readConfigDirectory),
    importCommand({
      readText: readInput,
      progress,
    }),
    replayCommand({
      readConfig: readConfigDirectory,
      replay: async (options) => (await import('./capture/replay-file.ts')).replayFile(options),
      version: readVersion(),
      progress,
    }),
    completionCommand(connections),
    demoCommand(async (options) => {
      const { runDemo } = await import('./demo/demo.ts');
      return runDemo({
        ...options,
        print: (line) => output.print(line),
        formatTable,
        program: fileURLToPath(import.meta.url),
      });
    }),
  ],
});
