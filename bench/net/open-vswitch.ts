/**
 * Open vSwitch's userspace datapath with connection tracking, as a router between the two hosts: the nearest userspace product.
 *
 * Database, daemons and sockets live in the lab's directory and namespace; the machine's own Open vSwitch, if it runs, is not
 * touched. With its TSO (`userspace-tso-enable`) it takes super-packets from the hosts; without, the hosts must not send any, nor
 * partial checksums, which it would take for broken ones.
 */
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/lab/network.ts';
import type { Network } from '../../src/lab/network.ts';
import { clientGateway, serverAddress, serverGateway } from './addresses.ts';
import { processCpu, residentBytes } from './cpu.ts';
import { asOpenFlow } from './policy.ts';
import type { Rules } from './policy.ts';
import { openLab, spawnSubject, until } from './rig.ts';
import type { Subject, SubjectKind, SubjectOptions } from './subject.ts';

const schema = '/usr/share/openvswitch/vswitch.ovsschema';
const programs = [
  'ovs-vswitchd',
  'ovsdb-server',
  'ovsdb-tool',
  'ovs-vsctl',
  'ovs-ofctl',
  'ethtool',
];

class Daemons {
  readonly #lab: Network;

  constructor(lab: Network) {
    this.#lab = lab;
  }

  file(name: string): string {
    return join(this.#lab.directory, name);
  }

  /** With files and sockets in the lab's directory. */
  command(...args: string[]): string[] {
    const directory = this.#lab.directory;
    const variables = ['OVS_RUNDIR', 'OVS_LOGDIR', 'OVS_DBDIR', 'OVS_SYSCONFDIR'];
    return ['env', ...variables.map((name) => `${name}=${directory}`), ...args];
  }

  async must(...args: string[]): Promise<string> {
    return await this.#lab.mustExec('gateway', this.command(...args), { timeoutMs: 120_000 });
  }

  async configure(...args: string[]): Promise<void> {
    await this.must('ovs-vsctl', `--db=unix:${this.file('db.sock')}`, '--timeout=20', ...args);
  }

  async startDatabase(): Promise<void> {
    await this.must('ovsdb-tool', 'create', this.file('conf.db'), schema);
    this.#lab.spawn(
      'gateway',
      this.command(
        'ovsdb-server',
        this.file('conf.db'),
        `--remote=punix:${this.file('db.sock')}`,
        `--unixctl=${this.file('ovsdb.ctl')}`,
      ),
      openSync(this.file('ovsdb.log'), 'a'),
    );
    await until('the database of Open vSwitch answers', async () => {
      const test = await this.#lab.exec('gateway', ['test', '-S', this.file('db.sock')]);
      return test.code === 0;
    });
    await this.configure('--no-wait', 'init');
  }
}

async function macAddress(lab: Network, host: string, device: string): Promise<string> {
  const text = await lab.ip(host, '-j', 'link', 'show', 'dev', device);
  return (JSON.parse(text) as [{ address: string }])[0].address;
}

/** Hosts that know their gateway without asking, and send what the datapath can take. */
async function prepareHosts(lab: Network, tso: boolean): Promise<void> {
  for (const [host, gateway] of [
    ['client', clientGateway],
    ['server', serverGateway],
  ] as const) {
    await lab.ip('gateway', 'addr', 'flush', 'dev', host);
    const mac = await macAddress(lab, 'gateway', host);
    await lab.ip(
      host,
      'neigh',
      'replace',
      gateway,
      'lladdr',
      mac,
      'dev',
      'eth0',
      'nud',
      'permanent',
    );
    if (!tso) {
      await lab.mustExec(host, ['ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off']);
    }
  }
}

async function start(name: string, tso: boolean, options: SubjectOptions): Promise<Subject> {
  const lab = await openLab();
  await prepareHosts(lab, tso);
  const daemons = new Daemons(lab);
  await daemons.startDatabase();
  if (tso) {
    await daemons.configure(
      '--no-wait',
      'set',
      'Open_vSwitch',
      '.',
      'other_config:userspace-tso-enable=true',
    );
  }
  const logFile = daemons.file('vswitchd.log');
  const pid = spawnSubject(
    lab,
    options,
    daemons.command(
      'ovs-vswitchd',
      `unix:${daemons.file('db.sock')}`,
      `--unixctl=${daemons.file('vswitchd.ctl')}`,
      '--disable-system',
    ),
    openSync(logFile, 'a'),
  );
  await daemons.configure(
    ...['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail_mode=secure'],
    ...['--', 'add-port', 'br0', 'client', '--', 'set', 'interface', 'client', 'ofport_request=1'],
    ...['--', 'add-port', 'br0', 'server', '--', 'set', 'interface', 'server', 'ofport_request=2'],
  );
  const route = async (host: string, port: number): Promise<string> => {
    const from = await macAddress(lab, 'gateway', host);
    const to = await macAddress(lab, host, 'eth0');
    return `dec_ttl,mod_dl_src:${from},mod_dl_dst:${to},output:${port}`;
  };
  const [toClient, toServer] = [await route('client', 1), await route('server', 2)];
  const bridge = `unix:${daemons.file('br0.mgmt')}`;
  const replaceRules = async (wanted: Rules): Promise<undefined> => {
    writeFileSync(daemons.file('flows'), asOpenFlow(wanted, toClient, toServer));
    await daemons.must(
      'ovs-ofctl',
      '-O',
      'OpenFlow14',
      'replace-flows',
      bridge,
      daemons.file('flows'),
    );
  };
  await replaceRules(options.rules);
  const ping = ['ping', '-c', '1', '-W', '1', serverAddress];
  // ICMP is not allowed: what counts is that the dropping flow has seen it.
  await lab.exec('client', ping);
  if (!readFileSync(logFile, 'utf8').includes('ovs-vswitchd (Open vSwitch)')) {
    throw new Error(`Open vSwitch does not run; its log: ${readFileSync(logFile, 'utf8')}`);
  }
  return {
    name,
    lab,
    cpu: () => processCpu(pid),
    async discarded(): Promise<number> {
      const text = await daemons.must(
        'ovs-ofctl',
        '-O',
        'OpenFlow14',
        'dump-flows',
        bridge,
        'table=1',
      );
      const line = text.split('\n').find((each) => /priority=0 actions=drop/.test(each));
      return Number(/n_packets=(\d+)/.exec(line ?? '')?.[1]);
    },
    resident: () => residentBytes(pid),
    async flowCount(): Promise<number> {
      const text = await daemons.must(
        'ovs-appctl',
        '-t',
        daemons.file('vswitchd.ctl'),
        'dpctl/ct-get-nconns',
      );
      return Number(text);
    },
    replaceRules,
  };
}

async function obstacle(): Promise<string | undefined> {
  for (const program of programs) {
    const { code } = await run('sh', ['-c', `command -v ${program}`]);
    if (code === 0) continue;
    return `${program} is not installed (Debian: apt-get install openvswitch-switch ethtool)`;
  }
  return undefined;
}

function kind(name: string, tso: boolean): SubjectKind {
  return { name, obstacle, start: (options) => start(name, tso, options) };
}

export const openVswitch: SubjectKind = kind('Open vSwitch', false);
export const openVswitchTso: SubjectKind = kind('Open vSwitch TSO', true);
