/**
 * Linux as a black box: two TUN devices with connection tracking and nft rules between them. What is written into one and
 * allowed comes out of the other.
 *
 * It takes over the network namespace that it runs in, which must have been made for it: scripts/oracle starts this process
 * with `unshare --net`, in a namespace without a name that goes with the process, however that ends. Devices are not
 * persistent. There is nothing else to clean up.
 *
 * A write to a TUN forwards the packet before it returns, and the device keeps what comes out until it is read. A sentinel
 * that always passes is written behind each lot all the same: when it comes out, everything before it has.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { bindQueue, closeFd, createWake, openTun } from '../../src/dataplane/tun/linux-tun.ts';
import type { TunQueue } from '../../src/dataplane/tun/device.ts';
import { udpPacket } from '../../src/testing/packets.ts';
import type { Place, Settings } from './conversation.ts';
import { nftRules, sentinelDestination, sentinelSource } from './policy.ts';

const devices: Readonly<Record<Place, string>> = { outside: 'outside0', inside: 'inside0' };
const places: readonly Place[] = ['outside', 'inside'];

const slots = 512;
const chunkBytes = 8 << 20;
const sentinelTimeoutMs = 5000;
const vnetHeaderLength = 10;

/** net.* settings; log nothing, forward everything, and let both filters have the same memory for fragments. */
const settings: readonly (readonly [string, string])[] = [
  ['ipv6/conf/all/disable_ipv6', '1'],
  ['ipv6/conf/default/disable_ipv6', '1'],
  ['ipv4/ip_forward', '1'],
  ['ipv4/conf/all/rp_filter', '0'],
  ['ipv4/conf/default/rp_filter', '0'],
  ['ipv4/conf/all/send_redirects', '0'],
  ['ipv4/conf/default/send_redirects', '0'],
  ['ipv4/conf/all/log_martians', '0'],
  ['ipv4/ipfrag_high_thresh', String(256 << 20)],
  // The only timeout whose default is not the kernel's.
  ['netfilter/nf_conntrack_tcp_timeout_close_wait', '240'],
];

function set(setting: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/${setting}`, value);
  } catch (error) {
    // IPv6 may not be there at all.
    if (setting.startsWith('ipv6/')) return;
    throw error;
  }
}

function run(file: string, args: readonly string[], input?: string): string {
  return execFileSync(file, args, {
    encoding: 'utf8',
    maxBuffer: 256 << 20,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(input !== undefined && { input }),
  });
}

/** Throws if the namespace is the one that scripts/oracle was started in. */
function requireOwnNamespace(): void {
  const outer = process.env.TUNWALL_ORACLE_OUTSIDE;
  if (outer === undefined || outer === readlinkSync('/proc/self/ns/net')) {
    throw new Error('the oracle takes over its network namespace: start it with scripts/oracle');
  }
}

interface Device {
  readonly fd: number;
  readonly wake: number;
  readonly queue: TunQueue;
}

export class KernelFilter {
  readonly #devices: Readonly<Record<Place, Device>>;
  readonly #sentinel: Uint8Array = udpPacket(sentinelSource, sentinelDestination, 9, 9);

  constructor() {
    requireOwnNamespace();
    for (const [setting, value] of settings) set(setting, value);
    this.#devices = { outside: openDevice('outside'), inside: openDevice('inside') };
    for (const place of places) {
      run('ip', ['link', 'set', devices[place], 'txqueuelen', '20000', 'mtu', '65535', 'up']);
    }
    places.forEach((place, index) => {
      const table = String(100 + index);
      const other = devices[places[1 - index]!];
      run('ip', ['rule', 'add', 'iif', devices[place], 'lookup', table]);
      run('ip', ['route', 'add', 'default', 'dev', other, 'table', table]);
    });
    run('nft', ['-f', '-'], nftRules);
  }

  /** Also of what is there already: flush first. */
  configure({ loose, fragmentDistance }: Settings): void {
    set('netfilter/nf_conntrack_tcp_loose', loose ? '1' : '0');
    set('ipv4/ipfrag_max_dist', String(fragmentDistance));
  }

  /** Sends packets into one side; returns what came out of the other, in order. */
  forward(from: Place, packets: readonly Uint8Array[]): Uint8Array[] {
    const out: Uint8Array[] = [];
    const into = this.#devices[from].queue;
    const outOf = this.#devices[from === 'outside' ? 'inside' : 'outside'].queue;
    for (let start = 0; start < packets.length;) {
      start += this.#write(into, packets, start);
      this.#readUntilSentinel(outOf, out);
    }
    return out;
  }

  /** Writes as many as fit, and the sentinel. Returns how many. */
  #write(queue: TunQueue, packets: readonly Uint8Array[], start: number): number {
    const { batch } = queue;
    let at = batch.spareOffset;
    let slot = 0;
    const put = (packet: Uint8Array): void => {
      batch.bytes.fill(0, at, at + vnetHeaderLength);
      batch.bytes.set(packet, at + vnetHeaderLength);
      batch.offsets[slot] = at;
      batch.lengths[slot] = vnetHeaderLength + packet.length;
      batch.verdicts[slot] = 1;
      slot++;
      at += vnetHeaderLength + packet.length;
    };
    let next = start;
    while (next < packets.length && slot < slots - 1) {
      if (at - batch.spareOffset + packets[next]!.length + 1024 > chunkBytes) break;
      put(packets[next]!);
      next++;
    }
    put(this.#sentinel);
    // What is not even IP the device refuses to take; that is a verdict too.
    queue.write(slot);
    return next - start;
  }

  #readUntilSentinel(queue: TunQueue, out: Uint8Array[]): void {
    const { batch } = queue;
    for (;;) {
      const count = queue.read(sentinelTimeoutMs);
      if (count === 0)
        throw new Error('the kernel forwards nothing: the sentinel did not come out');
      for (let slot = 0; slot < count; slot++) {
        const at = batch.offsets[slot]! + vnetHeaderLength;
        const packet = batch.bytes.slice(at, batch.offsets[slot]! + batch.lengths[slot]!);
        if (isSentinel(packet)) return;
        out.push(packet);
      }
    }
  }

  /** `conntrack -L`. */
  listFlows(): string {
    return run('conntrack', ['-L']);
  }

  /** Forgets all flows. */
  flush(): void {
    run('conntrack', ['-F']);
  }

  /** Packets that a device had no room for: a verdict would be missing. */
  get lost(): number {
    let lost = 0;
    for (const line of readFileSync('/proc/self/net/dev', 'utf8').split('\n')) {
      const fields = line.trim().split(/[:\s]+/);
      if (fields[0] === devices.outside || fields[0] === devices.inside) lost += Number(fields[12]);
    }
    return lost;
  }

  close(): void {
    for (const place of places) {
      closeFd(this.#devices[place].fd);
      closeFd(this.#devices[place].wake);
    }
  }
}

function openDevice(place: Place): Device {
  const { fd } = openTun({ name: devices[place], offload: 'off', mustExist: false });
  const wake = createWake();
  const size = { readSlots: slots, readBytes: chunkBytes, extraSlots: 1, extraBytes: chunkBytes };
  return { fd, wake, queue: bindQueue(fd, wake, size, 'off') };
}

/** Source and destination of the sentinel. */
const sentinelAddresses = Buffer.from([192, 0, 2, 1, 192, 0, 2, 2]);

function isSentinel(packet: Uint8Array): boolean {
  return sentinelAddresses.compare(packet, 12, 20) === 0;
}
