/** Several probes at a time, because a blocked one takes its whole patience. */
import type { Network } from '../../../src/lab/network.ts';
import { passes } from '../../../src/lab/probes.ts';
import type { HostProbe } from '../../../src/lab/probes.ts';

export { ping, tcp, udp } from '../../../src/lab/probes.ts';
export type { HostProbe as Probe } from '../../../src/lab/probes.ts';

/** Whatever firewall is between the hosts: probes need only the hosts. */
interface Probed {
  readonly lab: Network;
}

interface Waiting extends Probed {
  until(what: string, condition: () => Promise<boolean>): Promise<void>;
}

export function describeProbe({ from, kind, to, port, source }: HostProbe): string {
  const sender = source === undefined ? from : `${from} (${source})`;
  return `${sender} ${kind} ${to}${port === undefined ? '' : `:${port}`}`;
}

/** What got through, in words, of the probes given. Compare it with what should. */
export async function whatPasses({ lab }: Probed, probes: readonly HostProbe[]): Promise<string[]> {
  const results = await Promise.all(probes.map((probe) => passes(lab, probe, 1)));
  return probes.filter((_, index) => results[index]).map(describeProbe);
}

/** All of them get through; on a busy machine not each of them within its patience at the first try. */
export async function untilAllPass(firewall: Waiting, probes: readonly HostProbe[]): Promise<void> {
  await firewall.until(
    `these pass: ${probes.map(describeProbe).join(', ')}`,
    async () => (await whatPasses(firewall, probes)).length === probes.length,
  );
}
