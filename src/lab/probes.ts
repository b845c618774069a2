/** The probes of the demonstration: does a packet of this kind get through? Real ping, real curl, real nc. */
import type { Network } from './network.ts';

export type Outcome = 'passes' | 'blocked';

/** How long an answer may take before the probe counts as blocked. */
const patienceS = 2;

export interface Try {
  readonly what: string;
  readonly from: string;
  readonly command: readonly string[];
  readonly input?: string;
  /** Whether the command's output and exit code mean that it got through. */
  readonly passed: (code: number, stdout: string) => boolean;
}

export function ping(from: string, address: string): Try {
  return {
    what: `ping ${address}`,
    from,
    command: ['ping', '-c', '1', '-W', String(patienceS), address],
    passed: (code) => code === 0,
  };
}

export function http(from: string, address: string, port: number): Try {
  const url = `http://${address}:${port}/`;
  return {
    what: `curl ${url}`,
    from,
    command: ['curl', '-s', '--max-time', String(patienceS), url],
    passed: (code, stdout) => code === 0 && stdout.startsWith('hello'),
  };
}

export function udp(from: string, address: string, port: number): Try {
  return {
    what: `nc -u ${address} ${port}`,
    from,
    command: ['nc', '-u', '-w', String(patienceS), address, String(port)],
    input: 'hello\n',
    passed: (_code, stdout) => stdout.startsWith('hello'),
  };
}

export async function attempt(
  lab: Network,
  { from, command, input, passed }: Try,
): Promise<Outcome> {
  const finished = await lab.exec(from, command, {
    timeoutMs: (patienceS + 5) * 1000,
    ...(input !== undefined && { input }),
  });
  return passed(finished.code, finished.stdout) ? 'passes' : 'blocked';
}
