/**
 * The network of the integration tests, with the firewall in the middle:
 *
 *     client 198.51.100.2 ──── 198.51.100.1  gateway  10.0.0.1 ──── 10.0.0.2 web (and 10.0.0.3)
 *     (also .3, .10, .20)                             10.0.1.1 ──── 10.0.1.2 db
 *
 * A test may put routers between the gateway and a host (src/lab/topology.ts).
 *
 * The firewall runs as the user nobody, without any capability. /dev/net/tun is made accessible for it alone, and the
 * repository is mounted where that user can reach it, because the clone may lie in a private directory.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import type { ChildProcess } from 'node:child_process';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfigDirectory } from '../../../src/control/store/files/config-directory.ts';
import { FirewallProcess } from '../../../src/lab/firewall-process.ts';
import type { Host } from '../../../src/lab/host.ts';
import { policyOf, saveFiles } from '../../../src/lab/lab-config.ts';
import { planHosts } from '../../../src/lab/lab-plan.ts';
import { Network } from '../../../src/lab/network.ts';
import { buildTopology } from '../../../src/lab/topology.ts';
import type { Finished, Service } from '../../../src/lab/types.ts';
import { filesWith } from '../../../src/testing/config-input.ts';
import type {
  FirewallConfig,
  InboundRuleInput,
  OutboundRuleInput,
} from '../../../src/testing/config-input.ts';

export const repository: string = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');
export const program: string = join(repository, 'dist/main.js');
export const queues: number = Number(process.env['TUNWALL_TEST_QUEUES'] ?? 1);

/** `auto` or `force`: the kernel carries established flows. */
const fastPath = process.env['TUNWALL_TEST_FAST_PATH'] ?? 'off';
/** So long after a firewall was killed the kernel may still carry what it had judged. */
export const leaseMs: number = fastPath === 'off' ? 0 : 1000;

export const client = '198.51.100.2';
export const clientAddresses: readonly string[] = [
  '198.51.100.3',
  '198.51.100.10',
  '198.51.100.20',
];
export const web = '10.0.0.2';
export const webSecond = '10.0.0.3';
export const db = '10.0.1.2';

/** Why these tests cannot run here; undefined where they can. scripts/test prints it. */
export const obstacle: string | undefined =
  process.getuid?.() !== 0
    ? 'they need root'
    : existsSync('/dev/net/tun')
      ? undefined
      : '/dev/net/tun is missing';
if (obstacle !== undefined) console.log(`tests in network namespaces do not run: ${obstacle}`);

export type Config = FirewallConfig & Required<Pick<FirewallConfig, 'templates' | 'servers'>>;
export type RuleConfig = InboundRuleInput & OutboundRuleInput;

/** Everything to and from both servers. */
export const openConfig: Config = {
  templates: { open: { inbound: [{ protocol: 'all' }], outbound: [{ protocol: 'all' }] } },
  servers: [
    { name: 'web', addresses: [web, webSecond], templates: ['open'] },
    { name: 'db', addresses: [db], templates: ['open'] },
  ],
};

/** Drops privileges as far as they can be dropped. $1: mode of the device, $2: the repository, which is in reach then. */
const asNobody = `
mount -t tmpfs -o mode=755 tmpfs /mnt
mknod -m "$1" /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun
mkdir /mnt/tunwall && mount --bind "$2" /mnt/tunwall
shift 2
exec setpriv --reuid nobody --regid nogroup --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
`;

/** A command as nobody, with this repository at /mnt/tunwall. The mounts need a mount namespace of its own. */
export function nobodyCommand(command: readonly string[], tunMode = '0666'): string[] {
  return ['sh', '-ec', asNobody, 'sh', tunMode, repository, ...command];
}

/** Processes that a process has started: of `tunwall run`, the firewall proper. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

export type Metrics = ReadonlyMap<string, number>;

export class FirewallLab {
  readonly lab: Network;
  /** What is run, from the repository. */
  program = 'dist/main.js';
  readonly #hosts: Readonly<Record<string, Host>>;
  readonly #firewall: FirewallProcess;
  readonly #nodeFlags: readonly string[];
  #counters = 0;

  /** Builds the network, with the gateway's plumbing but no firewall yet. */
  static async create(
    config: Config,
    routers: Readonly<Record<string, readonly string[]>> = {},
    nodeFlags: readonly string[] = [],
  ): Promise<FirewallLab> {
    const lab = Network.create('twt');
    try {
      await chmod(lab.directory, 0o755);
      const plans = planHosts({
        client: {
          address: [client, ...clientAddresses].map((address) => `${address}/24`),
          routers: routers['client'] ?? [],
        },
        web: { address: [`${web}/24`, `${webSecond}/24`], routers: routers['web'] ?? [] },
        db: { address: `${db}/24`, routers: routers['db'] ?? [] },
      });
      const { hosts } = await buildTopology(lab, plans);
      const self = new FirewallLab(lab, hosts, nodeFlags);
      await mkdir(dirname(self.socket));
      await lab.mustExec('gateway', ['chown', 'nobody', dirname(self.socket)]);
      self.write(config);
      await self.gateway('up', '--user', 'nobody', '--fast-path', fastPath);
      return self;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** The same, with the firewall running and servers on web and db. */
  static async started(
    config: Config,
    routers: Readonly<Record<string, readonly string[]>> = {},
    nodeFlags: readonly string[] = [],
  ): Promise<FirewallLab> {
    const self = await FirewallLab.create(config, routers, nodeFlags);
    try {
      await Promise.all([
        self.serve('web', 'tcp:80', 'tcp:443', 'tcp:8080', 'tcp:22', 'udp:53', 'udp:5353'),
        self.serve('db', 'tcp:5432', 'tcp:80', 'udp:53'),
        self.serve('client', 'tcp:80', 'tcp:8080', 'udp:53'),
        self.start(),
      ]);
      return self;
    } catch (error) {
      await self.close();
      throw error;
    }
  }

  private constructor(
    lab: Network,
    hosts: Readonly<Record<string, Host>>,
    nodeFlags: readonly string[],
  ) {
    this.lab = lab;
    this.#hosts = hosts;
    this.#nodeFlags = nodeFlags;
    this.#firewall = new FirewallProcess(lab);
    // In a directory of the firewall's user.
    this.#firewall.socket = join(lab.directory, 'firewall-run', 'tunwall.sock');
  }

  get configDirectory(): string {
    return this.#firewall.directory;
  }

  get logFile(): string {
    return this.#firewall.log;
  }

  get process(): ChildProcess | undefined {
    return this.#firewall.child;
  }

  /** The control socket. */
  get socket(): string {
    return this.#firewall.socket;
  }

  /** Starts HTTP servers and UDP echoes on a host. */
  async serve(host: string, ...services: Service[]): Promise<void> {
    await this.#hosts[host]!.serve(...services);
  }

  /** Starts an iperf3 server on a host and waits until it listens; `-1` ends it after one transfer. */
  async serveIperf(host: string, port: number, ...args: string[]): Promise<void> {
    this.lab.spawn(host, ['iperf3', '-s', '-p', String(port), ...args]);
    await this.until(`iperf3 listens on ${host}:${port}`, async () => {
      const { stdout } = await this.lab.exec(host, ['ss', '-Htln', `sport = :${port}`]);
      return stdout !== '';
    });
  }

  async gateway(...args: string[]): Promise<Finished> {
    return await this.#firewall.gateway(...args);
  }

  /** Writes the whole configuration. */
  write(config: Config): void {
    const api = { socket: this.socket };
    const gateway = { queues, fastPath, log: { dropsPerSecond: 1000 }, api, ...config.gateway };
    const files = filesWith({ ...config, gateway });
    mkdirSync(join(this.configDirectory, 'templates'), { recursive: true });
    saveFiles(this.configDirectory, [['gateway.yaml', files.gateway!.text!], ...policyOf(files)]);
  }

  /** The command line of `tunwall run` as nobody. */
  runCommand(...args: string[]): string[] {
    const node = [process.execPath, ...this.#nodeFlags];
    const run = [...node, `/mnt/tunwall/${this.program}`, 'run', ...args];
    return nobodyCommand(run);
  }

  /** Starts the firewall. */
  spawn(): void {
    this.#firewall.spawn(this.runCommand('--config', this.configDirectory));
  }

  /** Starts the firewall and waits until it judges packets, and all of its API is open. */
  async start(status: 'ok' | 'degraded' = 'ok'): Promise<void> {
    const { gateway } = await readConfigDirectory(this.configDirectory);
    this.#firewall.socket = gateway.api.socket;
    this.spawn();
    await this.#firewall.untilUp(status);
    await this.until('the API is open', async () => (await this.healthz()) !== undefined);
  }

  /** Sends a signal and waits for the end. Returns the exit code, or the signal. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    return await this.#firewall.stop(signal);
  }

  async healthz(): Promise<Record<string, unknown> | undefined> {
    const { code, stdout } = await this.#get('/healthz');
    return code === 0 ? (JSON.parse(stdout) as Record<string, unknown>) : undefined;
  }

  #get(path: string): Promise<Finished> {
    const url = `http://127.0.0.1:8740${path}`;
    return this.lab.exec('gateway', ['curl', '-s', '--max-time', '2', url]);
  }

  /** Every sample by its full name, labels included. */
  async metrics(): Promise<Metrics> {
    const { stdout } = await this.#get('/metrics');
    const samples = stdout.split('\n').filter((line) => line.startsWith('tunwall_'));
    return new Map(
      samples.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))] as const;
      }),
    );
  }

  /** Packets dropped so far for a reason. */
  async drops(reason: string): Promise<number> {
    return (await this.metrics()).get(`tunwall_drops_total{reason="${reason}"}`)!;
  }

  /** Packets dropped so far, for whatever reason. */
  async dropsInAll(): Promise<number> {
    return [...(await this.metrics())]
      .filter(([name]) => name.startsWith('tunwall_drops_total{'))
      .reduce((sum, [, packets]) => sum + packets, 0);
  }

  async epoch(): Promise<number> {
    return Number((await this.healthz())?.['epoch']);
  }

  /** Waits until what the files say now is in force. */
  async untilInForce(): Promise<void> {
    const { revision } = await readConfigDirectory(this.configDirectory);
    await this.until('the configuration is in force', async () => {
      const status = await this.status();
      return status['revision'] === revision && status['reloadError'] === null;
    });
  }

  /** What the firewall says of itself, on its control socket; nothing while it does not answer. */
  async status(): Promise<Record<string, unknown>> {
    return await this.#firewall
      .request<Record<string, unknown>>('GET', '/v1/status')
      .catch(() => ({}));
  }

  /** Writes a configuration and waits until it is in force. */
  async apply(config: Config): Promise<void> {
    this.write(config);
    await this.untilInForce();
  }

  async log(): Promise<Record<string, unknown>[]> {
    const text = await readFile(this.logFile, 'utf8');
    return text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Waits for a condition; fails with its name and the end of the log. @param tries ten in a second, at most */
  async until(what: string, condition: () => Promise<boolean>, tries = 300): Promise<void> {
    for (let tried = 0; tried < tries; tried++) {
      if (await condition()) return;
      await sleep(100);
    }
    const log = await readFile(this.logFile, 'utf8').catch(() => '');
    throw new Error(`waited in vain until ${what}; the log ends with:\n${log.slice(-3000)}`);
  }

  /** Counts, on a host, the packets that come in from these sources. Returns a function that tells the count. */
  async countArrivals(host: string, sources = '198.51.100.0/24'): Promise<() => Promise<number>> {
    this.#counters++;
    const table = `arrivals${this.#counters}`;
    const rules = `
      table ip ${table} {
        counter seen { }
        chain incoming {
          type filter hook prerouting priority raw; policy accept;
          ip saddr ${sources} counter name seen
        }
      }`;
    await this.lab.mustExec(host, ['nft', '-f', '-'], { input: rules });
    const list = ['nft', 'list', 'counter', 'ip', table, 'seen'];
    return async () => Number(/packets (\d+)/.exec(await this.lab.mustExec(host, list))![1]);
  }

  /** Makes a host able to send raw packets (inject.js). */
  async prepareInjection(host: string): Promise<void> {
    const { lab } = this;
    await lab.ip(host, 'tuntap', 'add', 'dev', 'inj0', 'mode', 'tun', 'multi_queue', 'vnet_hdr');
    await lab.ip(host, 'link', 'set', 'inj0', 'up');
    const settings = [
      'ip_forward=1',
      'conf.all.rp_filter=0',
      'conf.inj0.rp_filter=0',
      'conf.inj0.accept_local=1',
    ];
    for (const setting of settings) {
      await lab.mustExec(host, ['sysctl', '-qw', `net.ipv4.${setting}`]);
    }
  }

  /** Sends raw IPv4 packets from a host. */
  async inject(host: string, ...packets: Uint8Array[]): Promise<void> {
    const script = join(repository, 'test/netns/support/inject.js');
    const input = packets.map((packet) => Buffer.from(packet).toString('hex')).join('\n');
    await this.lab.mustExec(host, [process.execPath, script, 'inj0'], { input });
  }

  async close(): Promise<void> {
    await this.lab.close();
  }
}
