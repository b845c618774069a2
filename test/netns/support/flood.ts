/**
 * Sends a flood out of a TUN device of the host, which forwards it: `flood.ts DEVICE OPTIONS`, with {@link FloodOptions} as
 * JSON. So many packets and no more, at most so many a second; sources are random ones of 198.18.0.0/15, from the seed.
 * Prints what it has sent, and in which time, as JSON.
 */
import { bindQueue, createWake, openTun } from '../../../src/dataplane/tun/linux-tun.ts';
import { ipv4Packet, tcpPacket, udpPacket } from '../../../src/testing/packets.ts';
import { seededRandom } from '../../support/seed.ts';

export interface FloodOptions {
  /** SYNs, small datagrams, or first fragments of datagrams that never come whole. */
  readonly kind: 'syn' | 'udp' | 'fragment';
  readonly to: string;
  readonly port: number;
  readonly count: number;
  readonly perSecond: number;
  readonly seed: number;
}

const [device, json] = process.argv.slice(2) as [string, string];
const options = JSON.parse(json) as FloodOptions;
const random = seededRandom(options.seed);
const below = (limit: number): number => Math.floor(random() * limit);
const payload = new Uint8Array(1400);

function nextPacket(index: number): Uint8Array {
  const { kind, to, port } = options;
  const src = `198.${18 + below(2)}.${below(256)}.${1 + below(254)}`;
  const srcPort = 1024 + below(64_512);
  if (kind === 'syn') {
    return tcpPacket(src, to, {
      srcPort,
      dstPort: port,
      flags: 'S',
      seq: below(2 ** 32),
      win: 64_240,
    });
  }
  if (kind === 'udp') return udpPacket(src, to, srcPort, port);
  const identification = index & 0xffff;
  return ipv4Packet({ src, dst: to, protocol: 17, identification, payload, moreFragments: true });
}

const perBatch = 64;
const vnetHeader = 10;
const { fd } = openTun({ name: device, offload: 'off', mustExist: true });
const size = { readSlots: 1, readBytes: 65_536, extraSlots: perBatch, extraBytes: perBatch * 2048 };
const queue = bindQueue(fd, createWake(), size, 'off');
const { batch } = queue;
const startedMs = performance.now();
const asleep = new Int32Array(new SharedArrayBuffer(4));
let sent = 0;
while (sent < options.count) {
  const batchCount = Math.min(perBatch, options.count - sent);
  let at = batch.spareOffset;
  for (let slot = 0; slot < batchCount; slot++) {
    const packet = nextPacket(sent + slot);
    batch.bytes.fill(0, at, at + vnetHeader);
    batch.bytes.set(packet, at + vnetHeader);
    batch.offsets[slot] = at;
    batch.lengths[slot] = vnetHeader + packet.length;
    batch.verdicts[slot] = 1;
    at += 2048;
  }
  if (queue.write(batchCount) !== batchCount) throw new Error('the device does not take packets');
  sent += batchCount;
  const aheadMs = (sent / options.perSecond) * 1000 - (performance.now() - startedMs);
  if (aheadMs > 1) Atomics.wait(asleep, 0, 0, aheadMs);
}
console.log(JSON.stringify({ sent, ms: Math.round(performance.now() - startedMs) }));
