/**
 * `tunwall demo`: three namespaces, ping and curl through the firewall, and a template that is edited meanwhile.
 *
 * It uses the product as a user would: `gateway up`, `run`, and files in a configuration directory.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { linesOf } from '../text/line.ts';
import type { Text } from '../text/line.ts';
import { formatTable } from '../text/table.ts';
import { openDoor } from './door.ts';
import { FirewallProcess, program } from './firewall-process.ts';
import { untilReady } from './ready.ts';
import { saveFiles } from './lab-config.ts';
import { planHosts } from './lab-plan.ts';
import { Network, placeVariable, whyNoLab } from './network.ts';
import { passes, ping, tcp, udp, wordsOf } from './probes.ts';
import type { HostProbe } from './probes.ts';
import { buildTopology } from './topology.ts';

const client = '198.51.100.2';
const server = '10.0.0.2';
/** Of the firewall, in its namespace. */
const apiPort = 8740;
/** How long an answer may take before the probe counts as blocked. */
const patienceS = 2;

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
}

/** Exit code of a program ended by Ctrl-C, as in a shell. */
const interruptedExitCode = 130;

type Outcome = 'passes' | 'blocked';

interface Result {
  readonly round: number;
  readonly what: string;
  readonly from: string;
  readonly expected: Outcome;
  readonly happened: Outcome;
}

type Expectation = readonly [HostProbe, Outcome, Outcome];

/** Each probe with its expected result before and after the edit. */
const expectations: readonly Expectation[] = [
  [ping('client', server), 'passes', 'blocked'],
  [tcp('client', server, 80), 'passes', 'passes'],
  [tcp('client', server, 8080), 'blocked', 'passes'],
  [tcp('client', server, 22), 'blocked', 'blocked'],
  [udp('client', server, 53), 'passes', 'passes'],
  [udp('client', server, 5353), 'blocked', 'blocked'],
  [tcp('server', client, 80), 'passes', 'passes'],
  [tcp('server', client, 8080), 'blocked', 'blocked'],
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
  const { hosts } = await buildTopology(
    lab,
    planHosts({ client: `${client}/24`, server: `${server}/24` }),
  );
  await hosts['server']!.serve('tcp:80', 'tcp:8080', 'tcp:22', 'udp:53', 'udp:5353');
  await hosts['client']!.serve('tcp:80', 'tcp:8080');

  say('starting the firewall');
  const firewall = new FirewallProcess(lab);
  const { directory, log } = firewall;
  const templateFile = join(directory, 'templates', 'web.yaml');
  saveFiles(directory, [
    ['gateway.yaml', stringify({ api: { socket: firewall.socket } })],
    ['templates/web.yaml', template(before)],
    ['servers.yaml', serversFile],
  ]);
  await firewall.gateway('up', '--config', directory);
  firewall.spawn();
  firewall.child!.on('exit', (code) => {
    if (code !== null) say(`the firewall has ended with exit code ${code}; its log: ${log}`);
  });
  await firewall.untilUp();

  const results: Result[] = [];
  const round = async (number: 1 | 2): Promise<void> => {
    // All at a time: a blocked one takes its whole patience.
    const happened = await Promise.all(
      expectations.map(([probe]) => passes(lab, probe, patienceS)),
    );
    for (const [index, expectation] of expectations.entries()) {
      const [probe] = expectation;
      results.push({
        round: number,
        what: wordsOf(probe),
        from: probe.from,
        expected: expectation[number],
        happened: happened[index]! ? 'passes' : 'blocked',
      });
    }
    if (!options.json) options.print(tableOf(results.filter((each) => each.round === number)));
  };

  say(`\n${templateFile}:\n\n${indent(template(before))}`);
  await round(1);
  say(`\nediting ${templateFile}:\n`);
  say(`  -${before.tcp}\n  +${after.tcp}`);
  say(`  -${before.icmp}\n  +${after.icmp}\n`);
  writeFileSync(templateFile, template(after));
  await firewall.until('the edit is not in force', ({ epoch }) => epoch >= 2);
  await round(2);

  const failed = results.filter(({ expected, happened }) => expected !== happened).length;
  if (options.json) {
    options.printJson({ ok: failed === 0, tries: results });
  } else {
    say(failed === 0 ? '\neverything was as expected' : `\n${failed} tries were not as expected`);
  }
  if (!options.once) {
    const panel = await openPanel(lab, directory);
    say(invitation(lab, templateFile, log, panel));
  }
  return failed === 0 ? 0 : 1;
}

interface PanelDoor {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

/** A user, and an address at which a browser of this machine finds the panel of the firewall in its namespace. */
async function openPanel(lab: Network, config: string): Promise<PanelDoor> {
  const [user, password] = ['demo', randomBytes(9).toString('base64url')];
  const create = ['user', 'create', user, '--role', 'owner', '--config', config];
  await lab.mustExec('gateway', [process.execPath, program, ...create], { input: `${password}\n` });
  const socket = join(lab.directory, 'panel.sock');
  const script = fileURLToPath(new URL('door.js', import.meta.url));
  const child = lab.spawn('gateway', [process.execPath, script, socket, String(apiPort)], 'pipe');
  const complaint = await untilReady(child);
  if (complaint !== undefined) throw new Error(`no door to the panel: ${complaint}`);
  const { port } = await openDoor(socket);
  return { url: `http://127.0.0.1:${port}/`, user, password };
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
  const logFile = new FirewallProcess(lab).log;
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
