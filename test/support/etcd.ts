/**
 * Three real members of etcd, from Debian's etcd-server, on loopback: started by this process, and ended by their ids. Never
 * its unit.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Why there can be no cluster here; undefined where there can be one. */
export const etcdObstacle: string | undefined =
  spawnSync('etcd', ['--version']).error === undefined ? undefined : 'etcd is not installed';
if (etcdObstacle !== undefined) console.log(`tests with etcd do not run: ${etcdObstacle}`);

const patienceMs = 90_000;
const execute = promisify(execFile);

/** PEM files. Of the members and of their clients alike. */
interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface ClusterOptions {
  readonly size?: number;
  /** Arguments of every member, such as its quota. */
  readonly more?: readonly string[];
  /** Network namespace that they run in. */
  readonly namespace?: string;
  /** Clients have to show a certificate. */
  readonly tls?: TlsFiles;
  /** As in operation. Else the kernel keeps what a killed member has written, and a busy disk holds up nothing. */
  readonly syncs?: boolean;
}

function tlsArguments({ ca, cert, key }: TlsFiles): string[] {
  return ['--client-cert-auth', '--trusted-ca-file', ca, '--cert-file', cert, '--key-file', key];
}

interface Member {
  readonly name: string;
  readonly args: readonly string[];
  readonly endpoint: string;
  process: ChildProcess;
}

/** Ports that are free now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

export class EtcdCluster {
  readonly #directory: string;
  readonly #members: readonly Member[];
  readonly #namespace: string | undefined;
  readonly #tls: TlsFiles | undefined;

  static async start({
    size = 3,
    more = [],
    namespace,
    tls,
    syncs = false,
  }: ClusterOptions = {}): Promise<EtcdCluster> {
    const directory = await mkdtemp(join(tmpdir(), 'twt-etcd-'));
    const ports = await freePorts(2 * size);
    const names = Array.from({ length: size }, (_, index) => `m${index}`);
    const peers = names.map((name, index) => `${name}=http://127.0.0.1:${ports[size + index]!}`);
    const members = names.map((name, index): Member => {
      const client = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${ports[index]!}`;
      const peer = `http://127.0.0.1:${ports[size + index]!}`;
      const args = [
        ...['--name', name, '--data-dir', join(directory, name)],
        ...['--listen-client-urls', client, '--advertise-client-urls', client],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
        ...['--initial-cluster', peers.join(','), '--initial-cluster-token', directory],
        ...['--heartbeat-interval', '50', '--election-timeout', '500', '--log-level', 'error'],
        ...(syncs ? [] : ['--unsafe-no-fsync']),
        ...more,
        ...(tls === undefined ? [] : tlsArguments(tls)),
      ];
      return { name, args, endpoint: client, process: run(args, namespace) };
    });
    const cluster = new EtcdCluster(directory, members, namespace, tls);
    await cluster.ready();
    return cluster;
  }

  private constructor(
    directory: string,
    members: readonly Member[],
    namespace: string | undefined,
    tls: TlsFiles | undefined,
  ) {
    this.#directory = directory;
    this.#namespace = namespace;
    this.#tls = tls;
    this.#members = members;
  }

  get endpoints(): string[] {
    return this.#members.map(({ endpoint }) => endpoint);
  }

  /** Of the members. */
  get pids(): number[] {
    return this.#members.map(({ process: child }) => child.pid!);
  }

  /** A call of the JSON gateway. */
  async call<T>(path: string, body: object = {}, at = 0): Promise<T> {
    const url = `${this.endpoints[at]!}${path}`;
    const [namespace, tls] = [this.#namespace, this.#tls];
    if (namespace !== undefined || tls !== undefined) {
      const command = [
        ...(namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace]),
        ...['curl', '-sf', '--max-time', '5', '-d', JSON.stringify(body)],
        ...(tls === undefined ? [] : ['--cacert', tls.ca, '--cert', tls.cert, '--key', tls.key]),
        url,
      ];
      const { stdout } = await execute(command[0]!, command.slice(1));
      return JSON.parse(stdout) as T;
    }
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
    return JSON.parse(text) as T;
  }

  /** Resolves when a majority answers through every running member. */
  async ready(): Promise<void> {
    const untilMs = Date.now() + patienceMs;
    for (const [index, { process: child }] of this.#members.entries()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      for (;;) {
        try {
          await this.call('/v3/kv/range', { key: 'YQ==' }, index);
          break;
        } catch (error) {
          if (Date.now() > untilMs) throw error;
          await sleep(100);
        }
      }
    }
  }

  /** Index of the leader. */
  async leader(): Promise<number> {
    for (const index of this.#members.keys()) {
      try {
        const status = await this.call<{ leader: string; header: { member_id: string } }>(
          '/v3/maintenance/status',
          {},
          index,
        );
        if (status.leader === status.header.member_id) return index;
      } catch {
        // It does not run.
      }
    }
    throw new Error('there is no leader');
  }

  signal(index: number, signal: NodeJS.Signals): void {
    this.#members[index]!.process.kill(signal);
  }

  async kill(...indexes: readonly number[]): Promise<void> {
    await Promise.all(indexes.map(async (index) => end(this.#members[index]!.process)));
  }

  /** Starts members that were killed, with what they have on disk. */
  restart(...indexes: readonly number[]): void {
    for (const index of indexes) {
      const member = this.#members[index]!;
      member.process = run(member.args, this.#namespace);
    }
  }

  async stop(): Promise<void> {
    await this.kill(...this.#members.keys());
    await rm(this.#directory, { recursive: true });
  }
}

function run(args: readonly string[], namespace: string | undefined): ChildProcess {
  const command = [...(namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace]), 'etcd'];
  return spawn(command[0]!, [...command.slice(1), ...args], {
    stdio: 'ignore',
    env: { ...process.env, GOMAXPROCS: '1', ETCD_UNSUPPORTED_ARCH: process.arch },
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGCONT');
  child.kill('SIGKILL');
  await exit;
}
