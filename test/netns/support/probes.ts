/** Does it get through? Real ping, curl and nc, several at a time, because a blocked one takes its whole patience. */
import type { Network } from '../../../src/lab/network.ts';

const patience = '1';

/** Whatever firewall is between the hosts: probes need only the hosts. */
interface Probed {
  readonly lab: Network;
}

interface Waiting extends Probed {
  until(what: string, condition: () => Promise<boolean>): Promise<void>;
}

export interface Probe {
  from: string;
  kind: 'ping' | 'tcp' | 'udp';
  to: string;
  port?: number;
  /** Address to send from. */
  source?: string;
}

export const ping = (from: string, to: string, source?: string): Probe => ({
  from,
  kind: 'ping',
  to,
  ...(source !== undefined && { source }),
});
export const tcp = (from: string, to: string, port: number, source?: string): Probe => ({
  from,
  kind: 'tcp',
  to,
  port,
  ...(source !== undefined && { source }),
});
export const udp = (from: string, to: string, port: number, source?: string): Probe => ({
  from,
  kind: 'udp',
  to,
  port,
  ...(source !== undefined && { source }),
});

async function passes(firewall: Probed, { from, kind, to, port, source }: Probe): Promise<boolean> {
  const { lab } = firewall;
  if (kind === 'ping') {
    const bound = source === undefined ? [] : ['-I', source];
    return (await lab.exec(from, ['ping', '-c', '1', '-W', patience, ...bound, to])).code === 0;
  }
  if (kind === 'tcp') {
    const bound = source === undefined ? [] : ['--interface', source];
    const url = `http://${to}:${port!}/`;
    const { stdout } = await lab.exec(from, ['curl', '-s', '--max-time', patience, ...bound, url]);
    return stdout.startsWith('hello');
  }
  const bound = source === undefined ? [] : ['-s', source];
  const command = ['nc', '-u', '-w', patience, ...bound, to, String(port)];
  const { stdout } = await lab.exec(from, command, { input: 'hello\n' });
  return stdout.startsWith('hello');
}

export function describeProbe({ from, kind, to, port, source }: Probe): string {
  const sender = source === undefined ? from : `${from} (${source})`;
  return `${sender} ${kind} ${to}${port === undefined ? '' : `:${port}`}`;
}

/** What got through, in words, of the probes given. Compare it with what should. */
export async function whatPasses(firewall: Probed, probes: readonly Probe[]): Promise<string[]> {
  const results = await Promise.all(probes.map((probe) => passes(firewall, probe)));
  return probes.filter((_, index) => results[index]).map(describeProbe);
}

/** All of them get through; on a busy machine not each of them within its patience at the first try. */
export async function untilAllPass(firewall: Waiting, probes: readonly Probe[]): Promise<void> {
  await firewall.until(
    `these pass: ${probes.map(describeProbe).join(', ')}`,
    async () => (await whatPasses(firewall, probes)).length === probes.length,
  );
}
