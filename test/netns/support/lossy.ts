/**
 * A hop that loses and reorders packets: `lossy.ts DEVICE LOSS REORDERED SEED`, the parts between 0 and 1. What the host
 * forwards must come out of the TUN device DEVICE and go on behind it (netem, which would do this, is a module that not
 * every kernel has). Prints `ready`, and goes on until it is killed.
 *
 * The device has no offloads, so the kernel has cut super-packets into what a cable carries before they get here. A
 * packet that is reordered leaves behind the batch that follows its own, or after a while if none follows.
 */
import { bindQueue, createWake, openTun } from '../../../src/dataplane/tun/linux-tun.ts';
import { seededRandom } from '../../support/seed.ts';

const [device, ...numbers] = process.argv.slice(2) as [string, string, string, string];
const [loss, reordered, seed] = numbers.map(Number) as [number, number, number];
const random = seededRandom(seed);

const readSlots = 128;
const slotBytes = 2048;
const longestDelayMs = 3;
const size = {
  readSlots,
  readBytes: 1 << 19,
  extraSlots: readSlots,
  extraBytes: readSlots * slotBytes,
};
const { fd } = openTun({ name: device, offload: 'off', mustExist: true });
const queue = bindQueue(fd, createWake(), size, 'off');
const { batch } = queue;
const { bytes, offsets, lengths, verdicts } = batch;
/** Packets of the batch before that have to leave now, copied: their place in the arena is used again. */
let late: Uint8Array[] = [];

process.stdout.write('ready\n');
for (;;) {
  const count = queue.read(late.length > 0 ? longestDelayMs : 1000);
  const held: Uint8Array[] = [];
  for (let slot = 0; slot < count; slot++) {
    const fate = random();
    verdicts[slot] = fate < loss + reordered ? 0 : 1;
    if (fate >= loss && fate < loss + reordered) {
      held.push(bytes.slice(offsets[slot], offsets[slot]! + lengths[slot]!));
    }
  }
  for (const [index, packet] of late.entries()) {
    const at = batch.spareOffset + index * slotBytes;
    bytes.set(packet, at);
    offsets[count + index] = at;
    lengths[count + index] = packet.length;
    verdicts[count + index] = 1;
  }
  queue.write(count + late.length);
  late = held;
}
