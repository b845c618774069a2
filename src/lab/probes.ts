/** Does a packet of this kind get through? Real ping, real curl, real nc. */
import type { Network } from './network.ts';

export interface HostProbe {
  readonly from: string;
  readonly kind: 'ping' | 'tcp' | 'udp';
  readonly to: string;
  /** Of TCP and UDP. */
  readonly port?: number;
  /** Address to send from. */
  readonly source?: string;
}

export const ping = (from: string, to: string, source?: string): HostProbe => ({
  ...{ from, kind: 'ping', to },
  ...(source !== undefined && { source }),
});
export const tcp = (from: string, to: string, port: number, source?: string): HostProbe => ({
  ...{ from, kind: 'tcp', to, port },
  ...(source !== undefined && { source }),
});
export const udp = (from: string, to: string, port: number, source?: string): HostProbe => ({
  ...{ from, kind: 'udp', to, port },
  ...(source !== undefined && { source }),
});

/** Of each kind: the command, the option with an address to send from, and the command in words. */
const commands = {
  ping: {
    command: (patience: string, to: string) => ['ping', '-c', '1', '-W', patience, to],
    from: '-I',
    words: (to: string) => `ping ${to}`,
  },
  tcp: {
    command: (patience: string, to: string, port: number) => [
      'curl',
      '-s',
      '--max-time',
      patience,
      `http://${to}:${port}/`,
    ],
    from: '--interface',
    words: (to: string, port: number) => `curl http://${to}:${port}/`,
  },
  udp: {
    command: (patience: string, to: string, port: number) => [
      'nc',
      '-u',
      '-w',
      patience,
      to,
      String(port),
    ],
    from: '-s',
    words: (to: string, port: number) => `nc -u ${to} ${port}`,
  },
} as const;

/** The command that is run. */
export function wordsOf({ kind, to, port = 0 }: HostProbe): string {
  return commands[kind].words(to, port);
}

/** Whether it is answered in time. Servers are those of servers.ts. */
export async function passes(
  network: Network,
  { from, kind, to, port = 0, source }: HostProbe,
  patienceSeconds: number,
): Promise<boolean> {
  const { command, from: option } = commands[kind];
  const [program, ...args] = command(String(patienceSeconds), to, port);
  const bound = source === undefined ? [] : [option, source];
  const { code, stdout } = await network.exec(from, [program!, ...bound, ...args], {
    timeoutMs: (patienceSeconds + 5) * 1000,
    ...(kind === 'udp' && { input: 'hello\n' }),
  });
  return kind === 'ping' ? code === 0 : stdout.startsWith('hello');
}
