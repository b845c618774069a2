/** The traffic tools (peers/) and iperf3, on their core, with what they print. */
import { once } from 'node:events';
import { join } from 'node:path';
import type { Network } from '../../src/lab/network.ts';
import { serverAddress } from './addresses.ts';
import { pinned, toolsCore } from './cores.ts';
import { port } from './policy.ts';

/** Path of a tool. */
export function tool(name: string): string {
  return join(import.meta.dirname, '../peers/build', name);
}

type Options = Readonly<Record<string, string | number | boolean>>;

/** `--name value`; a flag that is true has no value, one that is false is left out. */
function commandLine(name: string, options: Options): string[] {
  const args = Object.entries(options).flatMap(([key, value]) => {
    if (value === false) return [];
    return value === true ? [`--${key}`] : [`--${key}`, String(value)];
  });
  return pinned(toolsCore, [tool(name), ...args]);
}

/** Runs a tool to its end. */
async function runTool(
  lab: Network,
  host: string,
  name: string,
  options: Options,
): Promise<unknown> {
  const stdout = await lab.mustExec(host, commandLine(name, options), { timeoutMs: 120_000 });
  return JSON.parse(stdout);
}

export interface Background {
  /** Ends it; resolves with the last line that it printed. */
  stop(): Promise<string>;
}

/** Starts a program, and waits for the line that it prints when it is ready, if it prints one. */
async function startInBackground(
  lab: Network,
  host: string,
  command: readonly string[],
  saysReady: boolean,
): Promise<Background> {
  const child = lab.spawn(host, command, 'pipe');
  const ended = once(child, 'close');
  let output = '';
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      resolve();
    });
    child.stderr!.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('exit', () => reject(new Error(`${command.join(' ')} has ended: ${output}`)));
  });
  if (saysReady) await ready;
  // Nothing waits for it any more: `stop` returns how the program ended.
  else ready.catch(() => undefined);
  return {
    async stop(): Promise<string> {
      child.kill('SIGTERM');
      await ended;
      return output.trim().split('\n').at(-1)!;
    },
  };
}

export interface Sent {
  readonly sent: number;
  readonly refused: number;
  readonly seconds: number;
}

export interface Arrived {
  readonly received: number;
  readonly bytes: number;
  /** Datagrams that had arrived and did not fit into the socket's buffer. */
  readonly overflow: number;
  readonly spanSeconds: number;
  readonly longestGapMs: number;
}

export interface BlastOptions {
  /** Datagrams a second; 0: as fast as it goes. */
  readonly rate: number;
  readonly ms: number;
  readonly port?: number;
  readonly size?: number;
  readonly segments?: number;
  /** The flow begins with a datagram that the sink answers. */
  readonly answered?: boolean;
}

function blastArguments(options: BlastOptions): Options {
  const { rate, ms, size = 18, segments = 1, answered: ask = false } = options;
  const to = `${serverAddress}:${options.port ?? port.udp}`;
  return { to, rate: Math.round(rate), ms, size, segments, ask };
}

/** With what the sender and all that its packets went through in its context have cost: up to the ring of the TUN. */
export async function udpBlast(
  lab: Network,
  options: BlastOptions,
): Promise<Sent & { readonly cpuSeconds: number }> {
  const said = await runTool(lab, 'client', 'udp-blast', blastArguments(options));
  return said as Sent & { readonly cpuSeconds: number };
}

/** The same until it is stopped. */
export async function startUdpBlast(
  lab: Network,
  options: BlastOptions,
): Promise<{ stop(): Promise<Sent> }> {
  const command = commandLine('udp-blast', blastArguments(options));
  const background = await startInBackground(lab, 'client', command, false);
  return { stop: async () => JSON.parse(await background.stop()) as Sent };
}

export interface ManyFlows {
  readonly from: string;
  readonly flows: number;
  readonly rate: number;
  readonly ms: number;
  readonly random: boolean;
  readonly seed: number;
  /** All datagrams are such that the sink answers. */
  readonly ask: boolean;
}

export async function flowBlast(lab: Network, options: ManyFlows): Promise<Sent> {
  const to = `${serverAddress}:${port.udp}`;
  const args = { to, ...options, rate: Math.round(options.rate) };
  return (await runTool(lab, 'client', 'flow-blast', args)) as Sent;
}

export async function synFlood(
  lab: Network,
  options: { from: string; rate: number; ms: number },
): Promise<Sent> {
  const to = `${serverAddress}:${port.tcp}`;
  return (await runTool(lab, 'client', 'syn-flood', { to, ...options })) as Sent;
}

export interface Sink {
  stop(): Promise<Arrived>;
}

export async function udpSink(
  lab: Network,
  options: { size?: number; gaps?: boolean } = {},
): Promise<Sink> {
  const { size = 18, gaps = false } = options;
  const command = commandLine('udp-sink', { port: port.udp, size, gaps });
  const background = await startInBackground(lab, 'server', command, true);
  return {
    stop: async () => JSON.parse(await background.stop()) as Arrived,
  };
}

export interface Latencies {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}

/** Serves what {@link tcpConnect} and {@link tcpRequest} ask for. */
export async function tcpServe(lab: Network): Promise<Background> {
  const options = { port: port.tcp, ports: port.tcpCount };
  return await startInBackground(lab, 'server', commandLine('tcp-serve', options), true);
}

export interface Connected extends Latencies {
  readonly opened: number;
  readonly failed: number;
  readonly seconds: number;
}

export async function tcpConnect(
  lab: Network,
  options: { concurrency: number; ms: number; intervalUs?: number },
): Promise<Connected> {
  const { concurrency, ms, intervalUs = 0 } = options;
  const to = `${serverAddress}:${port.tcp}`;
  const args = { to, ports: port.tcpCount, concurrency, ms, 'interval-us': intervalUs };
  return (await runTool(lab, 'client', 'tcp-connect', args)) as Connected;
}

export interface Answered extends Latencies {
  readonly answered: number;
  readonly failed: number;
}

export async function tcpRequest(lab: Network, options: { ms: number }): Promise<Answered> {
  const to = `${serverAddress}:${port.tcp}`;
  return (await runTool(lab, 'client', 'tcp-request', { to, ms: options.ms })) as Answered;
}

/** iperf3's server; it goes on until the lab ends. */
export async function iperfServe(lab: Network): Promise<void> {
  const command = ['iperf3', '--server', '--forceflush', '--port', String(port.iperf)];
  await startInBackground(lab, 'server', pinned(toolsCore, command), true);
}

/** Goodput of TCP in bits a second, as the receiver saw it; the first second does not count. */
export async function iperf(
  lab: Network,
  options: { streams: number; seconds: number },
): Promise<number> {
  const { streams, seconds } = options;
  const args = ['--json', '--client', serverAddress, '--port', String(port.iperf)];
  args.push('--parallel', String(streams), '--time', String(seconds), '--omit', '1');
  const stdout = await lab.mustExec('client', pinned(toolsCore, ['iperf3', ...args]), {
    timeoutMs: (seconds + 30) * 1000,
  });
  const report = JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } };
  return report.end.sum_received.bits_per_second;
}
