/**
 * Writes super-packets that no kernel takes into a TUN device of the namespace that this runs in, by system calls and by
 * io_uring, and prints what was counted, and which sets of offloads the kernel takes, as JSON.
 */
import {
  bindQueue,
  createWake,
  openTun,
  setOffload,
} from '../../../src/dataplane/tun/linux-tun.ts';
import { Offload } from '../../../src/dataplane/tun/linux-tun.ts';

const [name] = process.argv.slice(2) as [string];
const { fd, offload } = openTun({ name, offload: 'auto', mustExist: false });
const size = { readSlots: 1, readBytes: 65_536, extraSlots: 4, extraBytes: 4096 };

/** A virtio header that promises segments, and not how long they are (virtio 1.2, 5.1.6). */
const gsoTypes = { tcp: 1, tcpWithEcn: 0x81, udp: 5, none: 0 };

const counted = (['off', 'auto'] as const).map((ioUring) => {
  const queue = bindQueue(fd, createWake(), size, ioUring);
  const { batch } = queue;
  for (const [slot, type] of Object.values(gsoTypes).entries()) {
    const at = batch.spareOffset + slot * 1024;
    batch.bytes.fill(0, at, at + 1024);
    batch.bytes[at + 1] = type;
    batch.offsets[slot] = at;
    batch.lengths[slot] = 100;
    batch.verdicts[slot] = 1;
  }
  queue.exchange(4, 0);
  queue.close();
  const { writeFailures, tcpRefused, udpRefused } = queue;
  return { writeFailures, tcpRefused, udpRefused };
});

const withoutTcp = setOffload(fd, offload & ~(Offload.tso4 | Offload.tsoEcn));
const withoutUdp = setOffload(fd, offload & ~(Offload.uso4 | Offload.uso6));
console.log(JSON.stringify({ counted, sets: [withoutTcp, withoutUdp, setOffload(fd, offload)] }));
process.exit(0);
