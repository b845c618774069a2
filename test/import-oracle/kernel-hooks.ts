/**
 * Linux as the importer's oracle: a host with two interfaces that loads rule sets with iptables-restore, is sent packets, and
 * says which of them came through all of its tables.
 *
 * It takes over the network namespace that it runs in, which must have been made for it: scripts/import-oracle starts this
 * process with `unshare --net`, and the namespace goes with it. Packets are known by the identification of their IP header,
 * which nft rules behind all of iptables' write down; those that the host sends itself, by their addresses and ports.
 */
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readlinkSync, writeFileSync } from 'node:fs';
import { bindQueue, createWake, openTun } from '../../src/dataplane/tun/linux-tun.ts';
import type { TunQueue } from '../../src/dataplane/tun/device.ts';
import { connect } from 'node:net';
import { addressSet, listed } from './rule-sets.ts';
import type { Hook } from './rule-sets.ts';

export type Interface = 'eth0' | 'eth1';

/** The two kinds of iptables. Only one has rules at a time. */
export type Backend = 'legacy' | 'nft';

/** A TCP connection or a datagram of the host itself. */
export interface Attempt {
  readonly protocol: 6 | 17;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly port: number;
}

export const keyOfAttempt = ({
  protocol,
  source,
  sourcePort,
  destination,
  port,
}: Attempt): string => [source, destination, protocol, sourcePort, port].join(' ');

const slots = 256;
const chunkBytes = 1 << 20;
const vnetHeaderLength = 10;

const settings: readonly (readonly [string, string])[] = [
  ['ipv4/ip_forward', '1'],
  ['ipv4/conf/all/rp_filter', '0'],
  ['ipv4/conf/default/rp_filter', '0'],
  ['ipv4/icmp_ratelimit', '0'],
  ['ipv4/conf/all/log_martians', '0'],
];

/** What a translation sends elsewhere is not found by this. The import leaves it out, too. */
const tuple = 'ip saddr . ip daddr . meta l4proto . th sport . th dport';

/**
 * Behind iptables' own chains: those of INPUT are at 0 and 50 (filter, security), those of POSTROUTING at -150 (mangle);
 * sources are translated at 100. Answers of the host itself have its own addresses.
 */
const witnesses = `
table ip witness {
  set input { typeof ip id; flags dynamic; size 65535; }
  set forward { typeof ip id; flags dynamic; size 65535; }
  set output { typeof ${tuple}; flags dynamic; size 65535; }
  chain input { type filter hook input priority 60; add @input { ip id }
  }
  chain forward { type filter hook postrouting priority 50; ip saddr != 10.9.0.0/24 add @forward { ip id }
  }
  chain output { type filter hook postrouting priority 50; add @output { ${tuple} }
  }
}
`;

/** Tables and chains that a rule set does not name must not be left from the one before. */
const builtIn: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
};

function run(file: string, args: readonly string[], input = ''): string {
  const done = spawnSync(file, args, { encoding: 'utf8', input, maxBuffer: 16 << 20 });
  if (done.status === 0) return done.stdout;
  throw new Error(`${file} ${args.join(' ')}: ${done.stderr || String(done.error)}`);
}

function requireOwnNamespace(): void {
  const outer = process.env['TUNWALL_ORACLE_OUTSIDE'];
  if (outer === undefined || outer === readlinkSync('/proc/self/ns/net')) {
    throw new Error('it takes over its network namespace: start it with scripts/import-oracle');
  }
}

export class KernelHooks {
  readonly #queues: Readonly<Record<Interface, TunQueue>>;
  #backend: Backend = 'nft';

  constructor() {
    requireOwnNamespace();
    for (const [setting, value] of settings) writeFileSync(`/proc/sys/net/${setting}`, value);
    this.#queues = { eth0: openDevice('eth0'), eth1: openDevice('eth1') };
    run(
      'ip',
      ['-batch', '-'],
      [
        'link set lo up',
        'link set eth0 up',
        'link set eth1 up',
        'addr add 10.9.0.2/24 dev eth0',
        'addr add 10.9.0.3/24 dev eth0',
        'route add 10.8.0.0/24 dev eth1',
        'route add default dev eth0',
        '',
      ].join('\n'),
    );
    run('nft', ['-f', '-'], witnesses);
    const members = listed.map((block) => `add ${addressSet} ${block}\n`);
    run('ipset', ['restore'], `create ${addressSet} hash:net\n${members.join('')}`);
  }

  /** Undefined, or why iptables-restore does not take the rules. */
  load(text: string, backend: Backend): string | undefined {
    const blank = Object.entries(builtIn)
      .filter(([table]) => !text.includes(`*${table}\n`))
      .map(([table]) => blankTable(table));
    if (backend !== this.#backend) {
      const all = Object.keys(builtIn).map(blankTable);
      run(`iptables-${this.#backend}-restore`, [], all.join(''));
      this.#backend = backend;
    }
    const done = spawnSync(`iptables-${backend}-restore`, [], {
      encoding: 'utf8',
      input: blank.join('') + text,
    });
    return done.status === 0 ? undefined : done.stderr.trim();
  }

  /** The rules that are in force, as iptables-save prints them. */
  save(): string {
    return run(`iptables-${this.#backend}-save`, []);
  }

  /** Identifications of the packets that came through. */
  send(hook: Hook, packets: readonly (readonly [Interface, Uint8Array])[]): Set<number> {
    const set = hook === 'INPUT' ? 'input' : 'forward';
    run('nft', ['flush', 'set', 'ip', 'witness', set]);
    for (const [device, packet] of packets) write(this.#queues[device], packet);
    // A write to a TUN takes the packet all the way before it returns; another processor's backlog may be behind.
    return new Set(this.#written<number>(set));
  }

  /** Keys of the attempts that left the host. */
  async attempt(attempts: readonly Attempt[]): Promise<Set<string>> {
    run('nft', ['flush', 'set', 'ip', 'witness', 'output']);
    for (const each of attempts) await (each.protocol === 6 ? tryConnection : tryDatagram)(each);
    const numbers: Readonly<Record<string, number>> = { tcp: 6, udp: 17 };
    return new Set(
      this.#written<{ concat: (string | number)[] }>('output').map(({ concat }) =>
        concat.map((part) => numbers[part] ?? part).join(' '),
      ),
    );
  }

  #written<T>(set: string): T[] {
    const listing = run('nft', ['-j', 'list', 'set', 'ip', 'witness', set]);
    run('conntrack', ['-F']);
    const { nftables } = JSON.parse(listing) as { nftables: { set?: { elem?: readonly T[] } }[] };
    return nftables.flatMap((each) => each.set?.elem ?? []);
  }
}

function blankTable(table: string): string {
  const chains = builtIn[table]!.map((chain) => `:${chain} ACCEPT [0:0]`);
  return [`*${table}`, ...chains, 'COMMIT', ''].join('\n');
}

/** What a rule set refuses gives an error here, or none. */
const ignored = (): void => undefined;

async function tryConnection(attempt: Attempt): Promise<void> {
  const { source, sourcePort, destination, port } = attempt;
  const socket = connect({
    ...{ host: destination, port },
    ...{ localAddress: source, localPort: sourcePort },
  });
  socket.on('error', ignored);
  // The SYN is sent within the next turn; nobody answers.
  await new Promise((resolve) => setImmediate(resolve));
  const closed = once(socket, 'close');
  socket.destroy();
  await closed;
}

async function tryDatagram(attempt: Attempt): Promise<void> {
  const { source, sourcePort, destination, port } = attempt;
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.on('error', ignored);
  socket.bind(sourcePort, source);
  await once(socket, 'listening');
  await new Promise((resolve) => {
    socket.send('probe', port, destination, resolve);
  });
  socket.close();
}

function openDevice(name: Interface): TunQueue {
  const { fd } = openTun({ name, offload: 'off', mustExist: false });
  const size = { readSlots: slots, readBytes: chunkBytes, extraSlots: 1, extraBytes: chunkBytes };
  return bindQueue(fd, createWake(), size, 'off');
}

function write(queue: TunQueue, packet: Uint8Array): void {
  const { batch } = queue;
  const at = batch.spareOffset;
  batch.bytes.fill(0, at, at + vnetHeaderLength);
  batch.bytes.set(packet, at + vnetHeaderLength);
  batch.offsets[0] = at;
  batch.lengths[0] = vnetHeaderLength + packet.length;
  batch.verdicts[0] = 1;
  queue.write(1);
}
