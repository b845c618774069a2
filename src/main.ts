#!/usr/bin/env node
/**
 * The `tunwall` command: the only place where all of it is put together. Everything here is wiring;
 * what a verb does is in the folder that its action comes from.
 *
 * A verb's modules are loaded when it is typed, those of all verbs only for help and the like: loading everything takes longer
 * than most commands do, and the shells start this program to complete a word.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Connections } from './cli/connection.ts';
import { UserError } from './cli/errors.ts';
import type { ConfiguredDevice } from './cli/gateway-command.ts';
import { createOutput, notesAsJson } from './cli/output.ts';
import { callerName, interruptedBy, openToWrite } from './cli/process-parts.ts';
import { runProgram } from './cli/program.ts';
import type { Verb } from './cli/program.ts';
import type { Progress } from './cli/progress.ts';
import { birthVariable } from './parent/messages.ts';
import { withoutOptimizer } from './system/loading.ts';
import { becomeOwnerOf } from './system/privileges.ts';
import type { PolicyStore } from './control/store/store.ts';
import type { InProcessApi } from './cli/transport.ts';
import { line } from './text/line.ts';

/** package.json lies one folder above this file, both in src/ and in dist/. */
function readVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The gateway's settings in a configuration directory, if they are valid. */
async function configuredDevice(directory: string): Promise<ConfiguredDevice> {
  const [{ readConfigDirectory }, { formatProblem }] = await Promise.all([
    import('./control/store/files/config-directory.ts'),
    import('./policy/problem.ts'),
  ]);
  const { gateway, problems } = await readConfigDirectory(directory);
  const own = join(directory, 'gateway.yaml');
  const wrong = problems.find(
    ({ file, severity }) => severity === 'error' && (file === own || file === directory),
  );
  if (wrong === undefined) return { ...gateway, flowCapacity: gateway.flows.capacity };
  throw new UserError(formatProblem(wrong), 'see all that is wrong: tunwall check');
}

// `tunwall … | head`: the reader has closed the pipe.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

async function openStore(configDirectory: string): Promise<PolicyStore> {
  const store = await import('./control/store/open-store.ts');
  return await store.openStore(configDirectory, { onWarning });
}

/** The API on a configuration directory, for verbs that find no firewall running. */
async function openDirectory(configDirectory: string): Promise<InProcessApi> {
  const [{ offlineControlPlane }, { buildApi }] = await Promise.all([
    import('./control/api/offline.ts'),
    import('./control/api/server.ts'),
  ]);
  const store = await openStore(configDirectory);
  const controlPlane = offlineControlPlane(store, { version: readVersion(), configDirectory });
  const api = await buildApi(
    { store, controlPlane, hosts: [], onWarning },
    { listener: 'in-process' },
  );
  // All modules are loaded now: they may lie where the owner cannot read.
  await api.ready();
  becomeOwnerOf(store.actingOwners).forget();
  return api;
}

const forPeople = createOutput(process.stdout, process.stderr, process.env);
const output = process.argv.includes('--json') ? notesAsJson(forPeople) : forPeople;
const onWarning = (message: string): void => output.error(`tunwall: ${message}`);
const interrupted = (): AbortSignal => interruptedBy(process);

async function connections(): Promise<Connections> {
  const { createConnections } = await import('./cli/connection.ts');
  return createConnections({
    openDirectory,
    actor: callerName(process.env, process.getuid?.() ?? 0),
    environment: process.env,
    warn: (message) => output.error(line`${output.style('yellow', 'warning:')} ${message}`),
  });
}

/** Every verb, in the order of the help. */
const verbs: Readonly<Record<string, () => Promise<Verb>>> = {
  gateway: async () => {
    const { gatewayCommand } = await import('./cli/gateway-command.ts');
    const { gatewayDown, gatewayStatus, gatewayUp } = await import('./host/gateway.ts');
    return gatewayCommand({
      up: gatewayUp,
      down: gatewayDown,
      status: gatewayStatus,
      watch: {
        watch: async (options) => (await import('./host/watch.ts')).watchGateway(options),
        createLogger: async (asJson) => {
          const { openLog } = await import('./control/log/logger.ts');
          return (await openLog(process.stdout.isTTY && !asJson))('info');
        },
        interrupted,
        notify: async (...said) => (await import('./host/notify.ts')).notifySystemd(...said),
      },
      configured: configuredDevice,
    });
  },
  run: async () => {
    const { runCommand } = await import('./cli/run-command.ts');
    if (process.env[birthVariable] === undefined) {
      return runCommand(async () => {
        const { runParent } = await import('./parent/parent.ts');
        // As it was called: behind a link, that is the program that the link leads to when it is started again.
        const [node, program] = [process.execPath, process.argv[1]!];
        return runParent([node, ...process.execArgv, program, ...args]);
      });
    }
    return runCommand(async (options) => {
      const { run } = await withoutOptimizer(() => import('./control/service/run.ts'));
      return run({
        ...options,
        version: readVersion(),
        async loadGatewayObserver() {
          const { GatewayObserver } = await import('./host/observer.ts');
          return (device, onChange) => new GatewayObserver(device, onChange);
        },
      });
    });
  },
  check: async () => {
    const { checkCommand } = await import('./cli/check-command.ts');
    const { checkDirectory } = await import('./control/store/files/policy-tests.ts');
    const { readConfiguration } = await import('./control/store/open-store.ts');
    return checkCommand((directory) => checkDirectory(directory, readConfiguration));
  },
  test: async () => {
    const { testCommand } = await import('./cli/test-command.ts');
    const { checkDirectory } = await import('./control/store/files/policy-tests.ts');
    const { readConfiguration } = await import('./control/store/open-store.ts');
    return testCommand((directory) => checkDirectory(directory, readConfiguration));
  },
  template: async () => {
    const { templateCommand } = await import('./cli/template-command.ts');
    const { readInput } = await import('./cli/read-input.ts');
    const { createTextEditor } = await import('./cli/text-editor.ts');
    return templateCommand({
      connections: await connections(),
      readText: readInput,
      editor: createTextEditor(process.env),
    });
  },
  set: async () => {
    const { setCommand } = await import('./cli/set-command.ts');
    const { readInput } = await import('./cli/read-input.ts');
    const { createTextEditor } = await import('./cli/text-editor.ts');
    return setCommand({
      connections: await connections(),
      readText: readInput,
      editor: createTextEditor(process.env),
    });
  },
  server: async () => {
    const { serverCommand } = await import('./cli/server-command.ts');
    return serverCommand(await connections());
  },
  user: async () => {
    const { userCommand } = await import('./cli/user-command.ts');
    const { createReadSecret } = await import('./cli/read-secret.ts');
    return userCommand({
      connections: await connections(),
      readSecret: createReadSecret(process.stdin, process.stderr),
    });
  },
  history: async () =>
    (await import('./cli/history-command.ts')).historyCommand(await connections()),
  diff: async () => (await import('./cli/history-command.ts')).diffCommand(await connections()),
  rollback: async () =>
    (await import('./cli/history-command.ts')).rollbackCommand(await connections()),
  confirm: async () =>
    (await import('./cli/confirm-command.ts')).confirmCommand(await connections()),
  plan: async () => (await import('./cli/plan-command.ts')).planCommand(await connections()),
  apply: async () => (await import('./cli/plan-command.ts')).applyCommand(await connections()),
  explain: async () => {
    const { explainCommand, offlineAnswers } = await import('./cli/explain-command.ts');
    const { liveAnswers } = await import('./cli/explain-live.ts');
    const { readInput } = await import('./cli/read-input.ts');
    const { readConfiguration } = await import('./control/store/open-store.ts');
    return explainCommand({
      answer: liveAnswers(await connections(), offlineAnswers(readConfiguration)),
      readText: readInput,
    });
  },
  reach: async () => {
    const { reachCommand } = await import('./cli/reach-command.ts');
    return reachCommand(await connections());
  },
  find: async () => {
    const { findCommand } = await import('./cli/find-command.ts');
    return findCommand(await connections());
  },
  suggest: async () => {
    const { suggestCommand } = await import('./cli/suggest-command.ts');
    return suggestCommand(await connections());
  },
  flows: async () => {
    const { flowsCommand } = await import('./cli/flows-command.ts');
    return flowsCommand(await connections());
  },
  drops: async () => {
    const { dropsCommand } = await import('./cli/drops-command.ts');
    return dropsCommand({ connections: await connections(), interrupted });
  },
  top: async () => {
    const { topCommand } = await import('./cli/top-command.ts');
    const { createScreen } = await import('./cli/screen.ts');
    return topCommand({
      connections: await connections(),
      interrupted,
      screen: createScreen(process.stdin, process.stdout, process.env['TERM']),
    });
  },
  capture: async () => {
    const { captureCommand } = await import('./cli/capture-command.ts');
    return captureCommand({
      connections: await connections(),
      interrupted,
      openFile: (path) => openToWrite(path, process.stdout),
    });
  },
  status: async () => {
    const { statusCommand } = await import('./cli/status-command.ts');
    return statusCommand(await connections());
  },
  gateways: async () => {
    const { gatewaysCommand } = await import('./cli/gateways-command.ts');
    return gatewaysCommand(await connections());
  },
  upgrade: async () => {
    const { upgradeCommand } = await import('./cli/upgrade-command.ts');
    return upgradeCommand(await connections());
  },
  audit: async () => {
    const { auditCommand } = await import('./cli/status-command.ts');
    return auditCommand(await connections());
  },
  store: async () => {
    const { storeCommand } = await import('./cli/store-command.ts');
    const { openShared } = await import('./control/store/open-store.ts');
    const { confirm } = await import('./cli/process-parts.ts');
    return storeCommand({
      open: async (directory, asOwner) => {
        const store = await openShared(directory, { onWarning });
        if (asOwner && store !== undefined) {
          becomeOwnerOf(store.actingOwners).forget();
        }
        return store;
      },
      actor: callerName(process.env, process.getuid?.() ?? 0),
      confirm: (question) => confirm(question, process.stdin, process.stderr),
    });
  },
  export: async () => {
    const { exportCommand } = await import('./cli/export-command.ts');
    const { readConfiguration } = await import('./control/store/open-store.ts');
    return exportCommand(readConfiguration);
  },
  import: async () => {
    const { importCommand } = await import('./cli/import-command.ts');
    const { readInput } = await import('./cli/read-input.ts');
    return importCommand({
      readText: readInput,
      progress: await progressBars(),
      openStore: async (directory) => {
        const store = await openStore(directory);
        becomeOwnerOf(store.actingOwners).forget();
        return store;
      },
      actor: callerName(process.env, process.getuid?.() ?? 0),
    });
  },
  replay: async () => {
    const { replayCommand } = await import('./cli/replay-command.ts');
    const { readConfiguration } = await import('./control/store/open-store.ts');
    return replayCommand({
      readConfig: readConfiguration,
      replay: async (options) =>
        (await import('./interop/captures/replay-file.ts')).replayFile(options),
      version: readVersion(),
      progress: await progressBars(),
    });
  },
  completion: async () => {
    const { completionCommand } = await import('./cli/completion-command.ts');
    return completionCommand(await connections());
  },
  reference: async () => (await import('./cli/reference-command.ts')).referenceCommand,
  lab: async () => (await import('./cli/lab-command.ts')).labCommand(inPlace),
  demo: async () => {
    const { demoCommand } = await import('./cli/demo-command.ts');
    return demoCommand(async (options) => {
      if (process.getuid?.() !== 0) return inPlace([process.execPath, process.argv[1]!, ...args]);
      const { runDemo } = await import('./lab/demo.ts');
      return runDemo({
        ...options,
        print: (text) => output.print(text),
        printJson: (value: unknown) => output.json(value),
      });
    });
  },
};

async function inPlace(command: readonly string[]): Promise<number> {
  return (await import('./lab/rootless.ts')).execInPlace(command);
}

async function progressBars(): Promise<(label: string) => Progress> {
  const { createProgress } = await import('./cli/progress.ts');
  return (label) => createProgress(label, process.stderr, () => performance.now());
}

/** What the arguments need: the verb they begin with, or all verbs. */
function neededVerbs([first = '', second]: readonly string[]): Promise<Verb[]> {
  const load = Object.hasOwn(verbs, first) ? verbs[first] : undefined;
  // A completion script is made of all verbs, and so is the reference.
  const needsAll = first === 'reference' || (first === 'completion' && second !== 'names');
  const one = load !== undefined && !needsAll;
  return Promise.all(one ? [load()] : Object.values(verbs).map((each) => each()));
}

const args = process.argv.slice(2);
process.exitCode = await runProgram(args, {
  version: readVersion(),
  output,
  verbs: await withoutOptimizer(() => neededVerbs(args)),
});
