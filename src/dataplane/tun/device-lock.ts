/**
 * Allows one firewall per device.
 *
 * A multi-queue device takes any number of processes, and the kernel would spread flows over all of them, each with a flow
 * table of its own. The lock is a socket in the abstract namespace: it belongs to the network namespace, as the device does,
 * needs no writable directory, and disappears with the process however that ends.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { TunError } from './linux-tun.ts';

/** Held until `close`. Throws a `TunError` with code EBUSY if another process holds it. */
export async function lockDevice(device: string): Promise<Server> {
  const lock = createServer((connection) => connection.destroy());
  // It must not keep the process alive.
  lock.unref();
  try {
    await once(lock.listen(`\0tunwall/${device}`), 'listening');
  } catch (error) {
    throw new TunError(
      'EBUSY',
      `device ${device} is busy: another tunwall has it`,
      'stop the other one, or name another "device" in gateway.yaml',
      error,
    );
  }
  return lock;
}
