/** Programs of ours that run on the hosts of a test network, straight from their TypeScript. */
import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { FirewallLab } from './firewall.ts';

export type ScriptName =
  | 'bulkServer'
  | 'flood'
  | 'largeAnswers'
  | 'lossy'
  | 'refusedSuperPackets'
  | 'sessions'
  | 'shortConnections';

const files: Readonly<Record<ScriptName, URL>> = {
  bulkServer: new URL('./bulk-server.ts', import.meta.url),
  flood: new URL('./flood.ts', import.meta.url),
  largeAnswers: new URL('./large-answers.ts', import.meta.url),
  refusedSuperPackets: new URL('./refused-super-packets.ts', import.meta.url),
  sessions: new URL('./sessions.ts', import.meta.url),
  lossy: new URL('./lossy.ts', import.meta.url),
  shortConnections: new URL('./short-connections.ts', import.meta.url),
};

const tsx = import.meta.resolve('tsx');

export function scriptCommand(name: ScriptName, ...args: (string | number)[]): string[] {
  return [process.execPath, '--import', tsx, fileURLToPath(files[name]), ...args.map(String)];
}

/** A program of ours that runs on a host, and what it has printed. */
export interface RunningScript {
  readonly child: ChildProcess;
  /** Lines so far, the last one perhaps not complete. */
  printed(): string[];
  /** Waits for its end; returns the last line. Throws if it failed. */
  result(): Promise<string>;
}

/** Starts a program. */
export function runScript(
  { lab }: Pick<FirewallLab, 'lab'>,
  host: string,
  name: ScriptName,
  ...args: (string | number)[]
): RunningScript {
  const child = lab.spawn(host, scriptCommand(name, ...args), 'pipe');
  let output = '';
  let complaint = '';
  child.stdout!.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr!.on('data', (data: Buffer) => (complaint += data.toString()));
  const ended = once(child, 'close') as Promise<[number | null]>;
  return {
    child,
    printed: () => output.split('\n'),
    async result() {
      const [code] = await ended;
      if (code === 0) return output.trimEnd().split('\n').at(-1)!;
      throw new Error(`${name} on ${host} ended with ${code ?? 'a signal'}: ${output}${complaint}`);
    },
  };
}

/** Starts a program that goes on, and waits until it says `ready`. */
export async function startScript(
  firewall: FirewallLab,
  host: string,
  name: ScriptName,
  ...args: (string | number)[]
): Promise<RunningScript> {
  const script = runScript(firewall, host, name, ...args);
  await firewall.until(`${name} on ${host} is ready`, async () => {
    if (script.child.exitCode !== null) await script.result();
    return script.printed().includes('ready');
  });
  return script;
}
