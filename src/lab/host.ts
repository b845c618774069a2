/** A host, a router or the firewall's own machine in a lab: a network namespace with the files of this machine. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Network } from './network.ts';
import { LabError } from './lab-error.ts';
import { untilReady } from './ready.ts';
import type { ExecOptions, Fetched, Finished, Service } from './types.ts';

/** Compiled, also for tests that run from src. */
const script = fileURLToPath(new URL('../../dist/lab/servers.js', import.meta.url));

/** A program that runs in the background. */
export interface Running {
  stop(signal?: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<void>;
}

export class Host {
  readonly name: string;
  /** Without prefix length. */
  readonly addresses: readonly string[];
  readonly #network: Network;
  readonly #started: Set<ChildProcess> = new Set();
  readonly #services: Map<Service, ChildProcess> = new Map();

  /** @internal */
  constructor(network: Network, name: string, addresses: readonly string[]) {
    this.#network = network;
    this.name = name;
    this.addresses = addresses;
  }

  /** The first one. */
  get address(): string {
    return this.addresses[0]!;
  }

  /** What {@link serve} has started and is there still. */
  get services(): readonly Service[] {
    return [...this.#services.keys()];
  }

  /** Runs a program to its end; a text is run by `sh`. That it fails is no error. */
  exec(command: string | readonly string[], options: ExecOptions = {}): Promise<Finished> {
    return this.#network.exec(this.name, wordsOf(command), options);
  }

  /** Starts a program, which ends with the lab, or with {@link Lab.reset}. */
  start(command: string | readonly string[]): Running {
    const child = this.#network.spawn(this.name, wordsOf(command));
    return this.#keep(child);
  }

  /** Whether one of the echo requests, of which it sends one a second, is answered within so many seconds. */
  async ping(target: Host | string, seconds = 2): Promise<boolean> {
    const until = ['-c', '1', '-w', String(seconds)];
    return (await this.exec(['ping', '-n', ...until, addressOf(target)])).code === 0;
  }

  /** @param args more arguments of curl; it waits five seconds unless they say otherwise */
  async curl(url: string, args: readonly string[] = []): Promise<Fetched> {
    const told = ['-sS', '--max-time', '5', '-w', '\n%{http_code}', ...args, url];
    const { stdout, stderr } = await this.exec(['curl', ...told]);
    const end = stdout.lastIndexOf('\n');
    const status = Number(stdout.slice(end + 1));
    const ok = status > 0 && status < 400;
    return { ok, status, body: stdout.slice(0, Math.max(end, 0)), error: stderr.trim() };
  }

  /**
   * Starts servers; resolves when they listen. On TCP ports it is HTTP, and says `hello from port N`; on UDP ports an echo.
   *
   * @throws LabError if a port is in use
   */
  async serve(...services: readonly Service[]): Promise<Running> {
    const args = [process.execPath, script, ...services];
    const child = this.#network.spawn(this.name, args, 'pipe');
    const complaint = await untilReady(child);
    if (complaint !== undefined) {
      throw new LabError(`${this.name} cannot serve ${services.join(', ')}: ${complaint}`, '');
    }
    for (const service of services) this.#services.set(service, child);
    return this.#keep(child);
  }

  /** What was started after `before`, or all of it. @internal */
  async stop(before: ReadonlySet<unknown> = new Set()): Promise<void> {
    const fresh = [...this.#started].filter((child) => !before.has(child));
    await Promise.all(fresh.map((child) => end(child, 'SIGKILL')));
  }

  /** @internal */
  running(): ReadonlySet<unknown> {
    return new Set(this.#started);
  }

  #keep(child: ChildProcess): Running {
    // A process that forgets to close its lab ends all the same.
    child.unref();
    this.#started.add(child);
    child.once('exit', () => {
      this.#started.delete(child);
      for (const [service, server] of this.#services) {
        if (server === child) this.#services.delete(service);
      }
    });
    return { stop: (signal = 'SIGTERM') => end(child, signal) };
  }
}

export function addressOf(target: Host | string): string {
  return typeof target === 'string' ? target : target.address;
}

function wordsOf(command: string | readonly string[]): readonly string[] {
  return typeof command === 'string' ? ['sh', '-c', command] : command;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.ref();
  child.kill(signal);
  await ended;
}
