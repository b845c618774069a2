/**
 * Linux as the importer's oracle: a host with two interfaces that loads rule sets with iptables-restore, is sent packets, and
 * says which of them came through all of its tables.
 *
 * It takes over the network namespace that it runs in, which must have been made for it: scripts/import-oracle starts this
 * process with `unshare --net`, and the namespace goes with it. Packets are known by the identification of their IP header,
 * which nft rules behind all of iptables' write down.
 */
import { spawnSync } from 'node:child_process';
import { readlinkSync, writeFileSync } from 'node:fs';
import { bindQueue, createWake, openTun } from '../../src/dataplane/tun/linux-tun.ts';
import type { TunQueue } from '../../src/dataplane/tun/device.ts';
import type { Hook } from './rule-sets.ts';

export type Interface = 'eth0' | 'eth1';

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

/**
 * Behind iptables' own chains: those of INPUT are at 0 and 50 (filter, security), those of POSTROUTING at -150 (mangle);
 * sources are translated at 100. Answers of the host itself have its own addresses.
 */
const witnesses = `
table ip witness {
  set input { typeof ip id; flags dynamic; size 65535; }
  set forward { typeof ip id; flags dynamic; size 65535; }
  chain input { type filter hook input priority 60; add @input { ip id }
  }
  chain forward { type filter hook postrouting priority 50; ip saddr != 10.9.0.0/24 add @forward { ip id }
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
  }

  /** Undefined, or why iptables-restore does not take the rules. */
  load(text: string): string | undefined {
    const blank = Object.entries(builtIn)
      .filter(([table]) => !text.includes(`*${table}\n`))
      .map(([table, chains]) =>
        [`*${table}`, ...chains.map((chain) => `:${chain} ACCEPT [0:0]`), 'COMMIT', ''].join('\n'),
      );
    const done = spawnSync('iptables-restore', [], {
      encoding: 'utf8',
      input: blank.join('') + text,
    });
    return done.status === 0 ? undefined : done.stderr.trim();
  }

  /** The rules that are in force, as iptables-save prints them. */
  save(): string {
    return run('iptables-save', []);
  }

  /** Identifications of the packets that came through. */
  send(hook: Hook, packets: readonly (readonly [Interface, Uint8Array])[]): Set<number> {
    const set = hook === 'INPUT' ? 'input' : 'forward';
    run('nft', ['flush', 'set', 'ip', 'witness', set]);
    for (const [device, packet] of packets) write(this.#queues[device], packet);
    // A write to a TUN takes the packet all the way before it returns; another processor's backlog may be behind.
    const listing = run('nft', ['-j', 'list', 'set', 'ip', 'witness', set]);
    run('conntrack', ['-F']);
    const { nftables } = JSON.parse(listing) as {
      nftables: { set?: { elem?: readonly number[] } }[];
    };
    return new Set(nftables.flatMap((each) => each.set?.elem ?? []));
  }
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
