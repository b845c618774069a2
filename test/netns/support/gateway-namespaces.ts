/**
 * Namespaces for the gateway's own tests, without a firewall process:
 *
 *     client 198.51.100.2 ── client 198.51.100.1 [gateway] 10.0.0.1 server ── 10.0.0.2, 10.0.0.3 server
 *
 * Everything runs to its end (no background processes).
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { program } from '../../../src/lab/firewall-process.ts';
import { planHosts } from '../../../src/lab/lab-plan.ts';
import { Network } from '../../../src/lab/network.ts';
import { buildTopology } from '../../../src/lab/topology.ts';

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export type Role = 'client' | 'gateway' | 'server';

export const clientAddress = '198.51.100.2';
export const serverAddress = '10.0.0.2';
export const otherServerAddress = '10.0.0.3';

export class GatewayNamespaces {
  readonly #network: Network;

  static async create(): Promise<GatewayNamespaces> {
    if (!existsSync(program)) throw new Error(`${program} is missing: npm run build`);
    const network = Network.create('twc');
    // Tests drop to another user.
    chmodSync(network.directory, 0o755);
    const server = { address: [`${serverAddress}/24`, `${otherServerAddress}/24`] };
    await buildTopology(network, planHosts({ client: `${clientAddress}/24`, server }));
    const self = new GatewayNamespaces(network);
    for (const device of ['client', 'server']) self.#withoutLinkLocal(device);
    return self;
  }

  private constructor(network: Network) {
    this.#network = network;
  }

  /** TMPDIR of what runs inside. */
  get scratch(): string {
    return this.#network.directory;
  }

  name(role: Role): string {
    return this.#network.namespace(role);
  }

  /** Another cable: `device` in the gateway, `to-gw-DEVICE` in the other namespace. */
  connect(role: Role, device: string, address: string, peerAddress: string): void {
    const peer = `to-gw-${device}`;
    const add = ['link', 'add', device, 'type', 'veth', 'peer', 'name', peer];
    this.must('gateway', 'ip', ...add, 'netns', this.name(role));
    this.must('gateway', 'ip', 'address', 'add', address, 'dev', device);
    this.#withoutLinkLocal(device);
    this.must('gateway', 'ip', 'link', 'set', device, 'up');
    this.must(role, 'ip', 'address', 'add', peerAddress, 'dev', peer);
    this.must(role, 'ip', 'link', 'set', peer, 'up');
  }

  /** Such an address appears some time later: it would change fingerprints. */
  #withoutLinkLocal(device: string): void {
    this.must('gateway', 'ip', 'link', 'set', device, 'addrgenmode', 'none');
    this.must('gateway', 'ip', '-6', 'address', 'flush', 'dev', device);
  }

  /** Runs a program inside, whatever its exit code. */
  run(role: Role, ...argv: string[]): Result {
    return execute('ip', ['netns', 'exec', this.name(role), ...argv], this.scratch);
  }

  /** Runs a program inside that has to succeed; gives its standard output. */
  must(role: Role, ...argv: string[]): string {
    return succeed(argv, this.run(role, ...argv));
  }

  /** `tunwall gateway ARGS` in the gateway. */
  gateway(...args: string[]): Result {
    return this.run('gateway', process.execPath, program, 'gateway', ...args);
  }

  /** `tunwall gateway up`, which has to succeed. */
  up(...args: string[]): Result {
    const result = this.gateway('up', ...args);
    succeed(['gateway up', ...args], result);
    return result;
  }

  down(...args: string[]): Result {
    const result = this.gateway('down', ...args);
    succeed(['gateway down', ...args], result);
    return result;
  }

  /** `tunwall gateway ARGS`, from within a shell line that prepares something first (mounts are private to it). */
  gatewayAfter(preparation: string, ...args: string[]): Result {
    const line = `set -e; ${preparation}; exec "$@"`;
    return this.run(
      'gateway',
      'bash',
      '-c',
      line,
      '-',
      process.execPath,
      program,
      'gateway',
      ...args,
    );
  }

  sysctl(path: string, value?: string): string {
    const file = `/proc/sys/net/${path}`;
    if (value !== undefined)
      this.must('gateway', 'bash', '-c', 'echo "$1" >"$2"', '-', value, file);
    return this.must('gateway', 'cat', file).trim();
  }

  /**
   * All routing state, nftables and every IPv4 and IPv6 sysctl of the gateway, one per line. Two equal lists mean
   * that nothing is different.
   */
  fingerprint(guard: 'with the guard' | 'but for the guard' = 'with the guard'): string[] {
    const shown = ['-4 rule', '-6 rule', '-4 route show table all', '-6 route show table all'].map(
      (what) => this.must('gateway', 'ip', '-d', ...what.split(' ')),
    );
    const links = this.must('gateway', 'ip', '-o', 'link', 'show');
    const policies = ['show', 'getdefault'].map((verb) =>
      this.must('gateway', 'ip', 'xfrm', 'policy', verb),
    );
    // Not readable, or not settings: the routing cache's flush file, secrets.
    const sysctls = this.run(
      'gateway',
      'grep',
      '-rs',
      '',
      '/proc/sys/net/ipv4',
      '/proc/sys/net/ipv6',
    );
    const ruleset = this.must('gateway', 'nft', '-s', 'list', 'ruleset');
    const all = guard === 'with the guard';
    const nft = all ? ruleset : ruleset.replace(/^table inet tunwall-guard \{.*?^\}$/ms, '');
    return [...shown, links, ...policies, nft, sysctls.stdout]
      .flatMap((text) => text.trim().split('\n'))
      .sort();
  }

  /** Whether the guard's table is there. */
  isGuarded(): boolean {
    return this.run('gateway', 'nft', 'list', 'table', 'inet', 'tunwall-guard').code === 0;
  }

  /** Path of the gateway namespace's record. */
  recordFile(): string {
    const inode = /\d+/.exec(this.must('gateway', 'readlink', '/proc/self/ns/net'))?.[0] ?? '';
    // Were the namespace ours, every test would work on the machine's own network.
    if (inode === '' || readlinkSync('/proc/self/ns/net').includes(inode)) {
      throw new Error('not in a namespace of its own');
    }
    return `/run/tunwall/gateway-${inode}.json`;
  }

  /** ICMP echo requests that reached the server. */
  serverEchoRequests(): number {
    return this.#counter('server', '/proc/net/snmp', 'Icmp', 'InEchos');
  }

  /** Packets that the gateway's reverse-path filter dropped. */
  reversePathDrops(): number {
    return this.#counter('gateway', '/proc/net/netstat', 'TcpExt', 'IPReversePathFilter');
  }

  /** Packets routed into the TUN: with no process attached, each is dropped and counted there. */
  packetsIntoTun(): number {
    const text = this.must('gateway', 'ip', '-s', '-s', '-j', 'link', 'show', 'dev', 'fw0');
    interface Statistics {
      stats64: { tx: { packets: number; dropped: number } };
    }
    const { tx } = (JSON.parse(text) as [Statistics])[0].stats64;
    return tx.packets + tx.dropped;
  }

  /** One ping; true when it was answered. */
  ping(from: Role, target: string, ...options: string[]): boolean {
    return this.run(from, 'ping', '-n', '-c', '1', '-W', '1', ...options, target).code === 0;
  }

  async remove(): Promise<void> {
    await this.#network.close();
  }

  host(...argv: [string, ...string[]]): string {
    const [program, ...args] = argv;
    return succeed(argv, execute(program, args));
  }

  #counter(role: Role, file: string, group: string, name: string): number {
    const lines = this.must(role, 'cat', file)
      .split('\n')
      .filter((line) => line.startsWith(`${group}:`))
      .map((line) => line.split(' '));
    const index = lines[0]?.indexOf(name) ?? -1;
    const value = lines[1]?.[index];
    if (index < 0 || value === undefined) throw new Error(`${file} has no ${group} ${name}`);
    return Number(value);
  }
}

function execute(program: string, args: readonly string[], scratch = tmpdir()): Result {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, NO_COLOR: '1', TMPDIR: scratch },
  });
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}

function succeed(argv: readonly string[], { code, stdout, stderr }: Result): string {
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${String(code)}: ${stderr}`);
  return stdout;
}
