/**
 * A rig: namespaces client, gateway and server for one subject, and what runs in them.
 *
 *     client 198.51.100.2 ──── 198.51.100.1 gateway 10.0.0.1 ──── 10.0.0.2 server
 *
 * Each subject of a workload has a rig of its own, so that the rounds need no rebuilding between them. The lab's watchdog
 * removes it, however this process ends.
 */
import { Lab } from '../../src/demo/lab.ts';

const open = new Set<Lab>();

/** Builds the network of a rig. */
export async function openLab(): Promise<Lab> {
  const lab = Lab.create('twb');
  open.add(lab);
  await lab.buildStar('gateway', [
    { name: 'client', address: '198.51.100.2/24', gatewayAddress: '198.51.100.1/24' },
    { name: 'server', address: '10.0.0.2/24', gatewayAddress: '10.0.0.1/24' },
  ]);
  return lab;
}

/** Removes every rig that is still there. */
export async function closeRigs(): Promise<void> {
  await Promise.all([...open].map((lab) => lab.close()));
  open.clear();
}
