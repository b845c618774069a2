/**
 * `tunwall demo`: three namespaces, ping and curl through the firewall, and a template that is edited meanwhile.
 *
 * It uses the product as a user would: `gateway up`, `run`, and files in a configuration directory.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { linesOf } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { formatTable } from '../text/table.ts';
import { openDoor } from './door.ts';
import { Network, placeVariable, whyNoLab } from './network.ts';
import { attempt, http, ping, udp } from './probes.ts';
import type { Outcome, Try } from './probes.ts';

const client = '198.51.100.2';
const server = '10.0.0.2';
/** Of the firewall, in its namespace. */
const apiPort = 8740;
const serverPorts = ['tcp:80', 'tcp:8080', 'tcp:22', 'udp:53', 'udp:5353'];

const picture = `
   client                        gateway                          server
  ┌──────────────┐   ┌───────────────────────────────┐   ┌────────────────┐
  │ ${client} ├───┤ 198.51.100.1         10.0.0.1 ├───┤ ${server}       │
  └──────────────┘   │        ╲             ╱        │   │ HTTP 80, 8080  │
                     │         fw0 ⇄ tunwall run     │   │ TCP 22, UDP 53 │
                     └───────────────────────────────┘   └────────────────┘
`;

const serversFile = `servers:
  - name: server
    addresses: [${server}]
    templates: [web]
`;

const before = {
  icmp: '  - { protocol: icmp, comment: ping }',
  tcp: '  - { protocol: tcp, ports: [80], comment: HTTP }',
};
const after = {
  icmp: '# - { protocol: icmp, comment: ping }',
  tcp: '  - { protocol: tcp, ports: [80, 8080], comment: HTTP }',
};

function template(lines: typeof before): string {
  return `description: A web server that also answers DNS
inbound:
${lines.tcp}
  - { protocol: udp, ports: [53], sources: [198.51.100.0/24] }
${lines.icmp}
outbound:
  - { protocol: tcp, ports: [80], destinations: [${client}] }
`;
}

export interface DemoOptions {
  /** End after the last try instead of waiting for Ctrl-C. */
  readonly once: boolean;
  readonly json: boolean;
  readonly print: (lines: readonly Text[]) => void;
  readonly printJson: (value: unknown) => void;
  /** The compiled main.js. */
  readonly program: string;
}

/** Exit code of a program ended by Ctrl-C, as in a shell. */
const interruptedExitCode = 130;

interface Result {
  readonly round: number;
  readonly what: string;
  readonly from: string;
  readonly expected: Outcome;
  readonly happened: Outcome;
}

type Expectation = readonly [Try, Outcome, Outcome];

/** Each probe with its expected result before and after the edit. */
const expectations: readonly Expectation[] = [
  [ping('client', server), 'passes', 'blocked'],
  [http('client', server, 80), 'passes', 'passes'],
  [http('client', server, 8080), 'blocked', 'passes'],
  [http('client', server, 22), 'blocked', 'blocked'],
  [udp('client', server, 53), 'passes', 'passes'],
  [udp('client', server, 5353), 'blocked', 'blocked'],
  [http('server', client, 80), 'passes', 'passes'],
  [http('server', client, 8080), 'blocked', 'blocked'],
  [ping('server', client), 'blocked', 'blocked'],
];

/** Runs the demonstration. Returns the exit code: 1 if anything was not as expected. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const obstacle = await whyNoLab(['ip', 'ping', 'curl', 'nc']);
  if (obstacle !== undefined) throw obstacle;
  const say = options.json ? () => undefined : (text: string) => options.print(linesOf(text));
  const lab = Network.create('twdemo');
  const interrupted = new Promise<undefined>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => resolve(undefined));
    }
  });
  try {
    const finished = demonstrate(lab, options, say);
    const exitCode = await Promise.race([finished, interrupted]);
    if (exitCode === undefined) return interruptedExitCode;
    if (!options.once) await followReloads(lab, say, interrupted);
    return exitCode;
  } finally {
    say('\nremoving the namespaces');
    await lab.close();
  }
}

async function demonstrate(
  lab: Network,
  options: DemoOptions,
  say: (line: string) => void,
): Promise<number> {
  say(picture);
  say('building the network');
  await lab.buildStar('gateway', [
    { name: 'client', address: `${client}/24`, gatewayAddress: '198.51.100.1/24' },
    { name: 'server', address: `${server}/24`, gatewayAddress: '10.0.0.1/24' },
  ]);
  await startServers(lab, 'server', serverPorts);
  await startServers(lab, 'client', ['tcp:80', 'tcp:8080']);

  say('starting the firewall');
  const config = join(lab.directory, 'config');
  const templateFile = join(config, 'templates', 'web.yaml');
  mkdirSync(join(config, 'templates'), { recursive: true });
  writeFileSync(join(config, 'servers.yaml'), serversFile);
  writeFileSync(templateFile, template(before));
  const logFile = logFileOf(lab);
  await lab.mustExec('gateway', [
    process.execPath,
    options.program,
    'gateway',
    'up',
    '--config',
    config,
  ]);
  const log = openSync(logFile, 'a');
  const firewall = lab.spawn(
    'gateway',
    [process.execPath, options.program, 'run', '--config', config],
    log,
  );
  firewall.on('exit', (code) => {
    if (code !== null) say(`the firewall has ended with exit code ${code}; its log: ${logFile}`);
  });
  await waitForEpoch(lab, 1, logFile);

  const results: Result[] = [];
  const round = async (number: 1 | 2): Promise<void> => {
    // All at a time: a blocked one takes its whole patience.
    const happened = await Promise.all(expectations.map(([probe]) => attempt(lab, probe)));
    for (const [index, expectation] of expectations.entries()) {
      const [{ what, from }] = expectation;
      const expected = expectation[number];
      results.push({ round: number, what, from, expected, happened: happened[index]! });
    }
    if (!options.json) options.print(tableOf(results.filter((each) => each.round === number)));
  };

  say(`\n${templateFile}:\n\n${indent(template(before))}`);
  await round(1);
  say(`\nediting ${templateFile}:\n`);
  say(`  -${before.tcp}\n  +${after.tcp}`);
  say(`  -${before.icmp}\n  +${after.icmp}\n`);
  writeFileSync(templateFile, template(after));
  await waitForEpoch(lab, 2, logFile);
  await round(2);

  const failed = results.filter(({ expected, happened }) => expected !== happened).length;
  if (options.json) {
    options.printJson({ ok: failed === 0, tries: results });
  } else {
    say(failed === 0 ? '\neverything was as expected' : `\n${failed} tries were not as expected`);
  }
  if (!options.once) {
    const panel = await openPanel(lab, options.program, config);
    say(invitation(lab, templateFile, logFile, panel));
  }
  return failed === 0 ? 0 : 1;
}

function startServers(lab: Network, host: string, ports: readonly string[]): Promise<void> {
  return startScript(lab, host, 'servers.js', ports);
}

/** Starts a script of this folder on a host; resolves when it is ready. */
async function startScript(
  lab: Network,
  host: string,
  name: string,
  args: readonly string[],
): Promise<void> {
  const script = new URL(`./${name}`, import.meta.url).pathname;
  const child = lab.spawn(host, [process.execPath, script, ...args], 'pipe');
  const [line] = (await Promise.race([
    once(child.stdout!, 'data'),
    once(child, 'exit').then(() => [`${name} on ${host} has ended`]),
  ])) as [unknown];
  if (!String(line).startsWith('ready')) throw new Error(String(line));
}

interface PanelDoor {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** A user, and an address at which a browser of this machine finds the panel of the firewall in its namespace. */
async function openPanel(lab: Network, program: string, config: string): Promise<PanelDoor> {
  const [user, password] = ['demo', randomBytes(9).toString('base64url')];
  const create = ['user', 'create', user, '--role', 'owner', '--config', config];
  await lab.mustExec('gateway', [process.execPath, program, ...create], { input: `${password}\n` });
  const socket = join(lab.directory, 'panel.sock');
  await startScript(lab, 'gateway', 'door.js', [socket, String(apiPort)]);
  const { port } = await openDoor(socket);
  return { url: `http://127.0.0.1:${port}/`, user, password };
}

function logFileOf(lab: Network): string {
  return join(lab.directory, 'firewall.log');
}

/** Waits until this epoch is in force. */
async function waitForEpoch(lab: Network, epoch: number, logFile: string): Promise<void> {
  const command = ['curl', '-s', '--max-time', '1', `http://127.0.0.1:${apiPort}/healthz`];
  for (let tries = 0; tries < 100 && !lab.isClosed; tries++) {
    const { code, stdout } = await lab.exec('gateway', command);
    if (code === 0 && (JSON.parse(stdout) as { epoch: number }).epoch >= epoch) return;
    await sleep(100);
  }
  throw new Error(`the firewall does not answer; its log:\n${readFileSync(logFile, 'utf8')}`);
}

function tableOf(results: readonly Result[]): Text[] {
  const rows = results.map(({ from, what, expected, happened }) => [
    from,
    what,
    expected,
    happened,
    expected === happened ? 'ok' : 'NOT OK',
  ]);
  return formatTable(['from', 'try', 'expected', 'happened', ''], rows);
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

function invitation(
  lab: Network,
  templateFile: string,
  logFile: string,
  { url, user, password }: PanelDoor,
): string {
  const gateway = lab.namespace('gateway');
  const place = process.env[placeVariable];
  const files = place === undefined ? '' : `/proc/${place}/root`;
  const enter = place === undefined ? '' : `nsenter -t ${place} -U -m --preserve-credentials `;
  return `
It stays up until Ctrl-C. The panel, in a browser on this machine:

  ${url}
  user ${user}, password ${password}

In another terminal:

  ${enter}ip netns exec ${lab.namespace('client')} ping ${server}
  ${enter}ip netns exec ${lab.namespace('client')} curl http://${server}:8080/
  ${enter}ip netns exec ${gateway} curl -s http://127.0.0.1:8740/metrics | grep ^tunwall
  $EDITOR ${files}${templateFile}
  tail -f ${files}${logFile}
`;
}

/** Prints every reload that appears in the log, until Ctrl-C. */
async function followReloads(
  lab: Network,
  say: (line: string) => void,
  interrupted: Promise<undefined>,
): Promise<void> {
  const logFile = logFileOf(lab);
  let seen = readFileSync(logFile, 'utf8').length;
  const goOn = interrupted.then(() => false);
  while (await Promise.race([sleep(300, true), goOn])) {
    const fresh = readFileSync(logFile, 'utf8').slice(seen);
    const complete = fresh.slice(0, fresh.lastIndexOf('\n') + 1);
    seen += complete.length;
    for (const line of complete.split('\n').filter((text) => text !== '')) {
      const entry = JSON.parse(line) as Record<string, unknown>;
      if (entry['msg'] === 'policy changed') say(`reloaded: epoch ${String(entry['epoch'])}`);
      else if ('problem' in entry) {
        const { file, line: at, column, field, problem } = entry;
        say(`refused: ${[file, at, column].join(':')}: ${String(field)}: ${String(problem)}`);
      }
    }
  }
}
