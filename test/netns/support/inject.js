/**
 * Sends packets that no program would: `node inject.js DEVICE < packets`, one IPv4 packet a line, in hexadecimal. They come
 * out of a TUN device of the host, which forwards them.
 */
import { readFileSync } from 'node:fs';
import { bindQueue, createWake, openTun } from '../../../dist/dataplane/tun/linux-tun.js';

const { fd } = openTun({ name: process.argv[2], offload: 'off', mustExist: true });
const size = { readSlots: 1, readBytes: 65_536, extraSlots: 1, extraBytes: 65_600 };
const queue = bindQueue(fd, createWake(), size);
const { batch } = queue;
for (const line of readFileSync(0, 'utf8').split('\n')) {
  if (line === '') continue;
  const packet = Buffer.from(line, 'hex');
  batch.bytes.fill(0, batch.spareOffset, batch.spareOffset + 10);
  batch.bytes.set(packet, batch.spareOffset + 10);
  batch.offsets[0] = batch.spareOffset;
  batch.lengths[0] = 10 + packet.length;
  batch.verdicts[0] = 1;
  if (queue.write(1) !== 1) throw new Error(`not accepted: ${line}`);
}
