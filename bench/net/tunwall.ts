/** tunwall itself: `gateway up` and `run` from dist/, configured through files, as a user would. */
import { existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/lab/network.ts';
import type { Network } from '../../src/lab/network.ts';
import { serverAddress } from './addresses.ts';
import { subjectCore } from './cores.ts';
import { cpuMsOf, kernelCpu, processCpu, residentBytes } from './cpu.ts';
import { majorCollections } from './gc-trace.ts';
import { writeUsers } from './live-page.ts';
import { asTemplates } from './policy.ts';
import type { Rules } from './policy.ts';
import {
  openLab,
  programCommand,
  spawnSubject,
  steerToSubject,
  tunwallCommand,
  until,
} from './rig.ts';
import type { Subject, SubjectKind, SubjectOptions } from './subject.ts';

const carryProgram = new URL('../../native/build/carry.bpf.o', import.meta.url);

function serversFile(templates: Iterable<string>): string {
  return `servers:
  - { name: server, addresses: [${serverAddress}], templates: [${[...templates].join(', ')}] }
`;
}

function gatewayFile({ flows, queues = 1, settings = '', fastPath }: SubjectOptions): string {
  const mode = `fastPath: ${fastPath === true ? 'auto' : 'off'}\n`;
  if (flows === undefined) return `queues: ${queues}\n${mode}${settings}`;
  // One server has all the flows here, and they have to live as long as the measurement.
  const timeouts = 'timeouts: { udp: 3600, udpStream: 3600 }\n';
  return `flows: { capacity: ${flows}, perServerShare: 1 }\n${timeouts}${mode}`;
}

/** Saves rules as an editor would: each file is replaced as a whole. Returns the names of the templates. */
function saveRules(config: string, rules: Rules): string[] {
  const templates = asTemplates(rules);
  for (const [name, content] of templates) {
    const file = join(config, `templates/${name}.yaml`);
    writeFileSync(`${file}.new`, content);
    renameSync(`${file}.new`, file);
  }
  return [...templates.keys()];
}

async function get(lab: Network, path: string): Promise<string | undefined> {
  const url = `http://127.0.0.1:8740${path}`;
  const { code, stdout } = await lab.exec('gateway', ['curl', '-s', '--max-time', '5', url]);
  return code === 0 ? stdout : undefined;
}

async function epoch(lab: Network): Promise<number> {
  const text = await get(lab, '/healthz');
  return text === undefined ? 0 : (JSON.parse(text) as { epoch: number }).epoch;
}

/** Sum of the samples of a metric whose labels match. */
async function metric(lab: Network, pattern: RegExp): Promise<number> {
  const lines = ((await get(lab, '/metrics')) ?? '').split('\n');
  const values = lines
    .filter((line) => pattern.test(line))
    .map((line) => Number(line.split(' ').at(-1)));
  if (values.length === 0) throw new Error(`tunwall has no metric like ${pattern.source}`);
  return values.reduce((sum, value) => sum + value, 0);
}

/**
 * Starts the firewall on a configuration directory; resolves when it forwards. Gives the process id of the first in its command
 * line: of the parent, or of the supervisor.
 *
 * @param supervisor what comes before its command line
 */
export async function startTunwall(
  lab: Network,
  config: string,
  options: Pick<SubjectOptions, 'bothCores' | 'traceGc' | 'program'>,
  supervisor: readonly string[] = [],
): Promise<number> {
  await lab.mustExec('gateway', tunwallCommand('gateway', 'up', '--config', config));
  const run = ['run', '--config', config];
  const command =
    options.program === undefined
      ? tunwallCommand(...run)
      : programCommand(options.program, ...run);
  if (options.traceGc === true) command.splice(1, 0, '--trace-gc');
  const pid = spawnSubject(
    lab,
    options,
    [...supervisor, ...command],
    openSync(logFileOf(lab), 'a'),
  );
  await until('tunwall forwards', async () => (await epoch(lab)) > 0, logFileOf(lab));
  return pid;
}

const logFileOf = (lab: Network): string => join(lab.directory, 'tunwall.log');

/** A network, and the configuration of a firewall in it. */
async function prepare(options: SubjectOptions): Promise<{ lab: Network; config: string }> {
  const lab = await openLab();
  const config = join(lab.directory, 'config');
  mkdirSync(join(config, 'templates'), { recursive: true });
  writeFileSync(join(config, 'gateway.yaml'), gatewayFile(options));
  const templates = saveRules(config, options.rules);
  for (const [name, content] of Object.entries(options.templates ?? {})) {
    writeFileSync(join(config, `templates/${name}.yaml`), content);
    templates.push(name);
  }
  writeFileSync(join(config, 'servers.yaml'), serversFile(templates));
  if (options.logins === true) await writeUsers(config);
  return { lab, config };
}

async function start(options: SubjectOptions): Promise<Subject> {
  const { lab, config } = await prepare(options);
  await options.beforeRun?.(lab, config);
  const logFile = logFileOf(lab);
  const pid = childOf(await startTunwall(lab, config, options));

  return {
    name: 'tunwall',
    lab,
    cpu: () => processCpu(pid),
    discarded: () => metric(lab, /^tunwall_packets_total\{.*verdict="drop/),
    resident: () => residentBytes(pid),
    flowCount: () => metric(lab, /^tunwall_flows\{/),
    async replaceRules(rules: Rules): Promise<number | undefined> {
      const before = await epoch(lab);
      saveRules(config, rules);
      await until('the new rules are in force', async () => (await epoch(lab)) > before);
      const entries = readFileSync(logFile, 'utf8').match(/^\{.*"policy changed".*\}$/gm) ?? [];
      return (JSON.parse(entries.at(-1)!) as { ms: number }).ms;
    },
    ...(options.traceGc === true && {
      majorCollections: () => majorCollections(readFileSync(logFile, 'utf8')),
    }),
  };
}

/** The process that a process has started: the firewall itself, of its parent. */
export function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

/** A firewall that is started again whenever it ends. Each of these resolves when the next one answers. */
export interface Supervised {
  readonly name: string;
  readonly lab: Network;
  /** Ends all of it. */
  restart(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
  /** Kills the child. */
  killChild(): Promise<void>;
  upgrade(): Promise<void>;
  /** CPU time in ms of the last start of all of it, until packets were judged. */
  startCpuMs(): number;
}

/** Restart= and RestartSec= of the systemd unit, as a shell sees them. */
const supervisor = ['sh', '-c', 'while :; do "$@"; sleep 0.2; done', 'sh'];

export async function startSupervised(options: SubjectOptions): Promise<Supervised> {
  const { lab, config } = await prepare(options);
  const shell = await startTunwall(lab, config, options, supervisor);
  const untilAnother = async (parent: number, before: number): Promise<void> => {
    await until('the next one answers', async () => {
      return childOf(parent) !== before && (await epoch(lab)) > 0;
    });
  };
  return {
    name: `${options.queues ?? 1} queue(s)`,
    lab,
    async restart(signal = 'SIGKILL') {
      const before = childOf(shell);
      process.kill(before, signal);
      await untilAnother(shell, before);
    },
    async killChild() {
      const parent = childOf(shell);
      const before = childOf(parent);
      process.kill(before, 'SIGKILL');
      await untilAnother(parent, before);
    },
    async upgrade() {
      await lab.mustExec('gateway', tunwallCommand('upgrade'));
    },
    startCpuMs() {
      const entries = readFileSync(logFileOf(lab), 'utf8').match(
        /^\{.*"firewall is running".*\}$/gm,
      );
      const { cpuMs } = JSON.parse(entries!.at(-1)!) as { cpuMs: number };
      return cpuMs + cpuMsOf(childOf(shell));
    },
  };
}

/** The same with the fast path. Most of the work is then the kernel's, which is steered to the core of the subject, as for nft. */
export const fastPath: SubjectKind = {
  name: 'tunwall, fast path',
  async obstacle(): Promise<string | undefined> {
    if (!existsSync(carryProgram)) return 'its program was not built (clang, libbpf-dev)';
    const { code } = await run('sh', ['-c', 'command -v bpftool']);
    return code === 0 ? undefined : 'bpftool is not installed';
  },
  async start(options) {
    const subject = await start({ ...options, fastPath: true });
    await steerToSubject(subject.lab);
    return { ...subject, name: this.name, cpu: () => kernelCpu(subjectCore) };
  },
};

export const tunwall: SubjectKind = {
  name: 'tunwall',
  obstacle: () => Promise.resolve(undefined),
  start,
};
