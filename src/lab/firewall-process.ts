/**
 * The firewall on the gateway of a network: `tunwall gateway up`, then `tunwall run`, which is asked through its control socket. The socket
 * is a file, so no namespace is in between, and no program has to be started to ask.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ask } from './control-socket.ts';
import { LabError } from './lab-error.ts';
import type { Network } from './network.ts';
import type { Finished } from './types.ts';

/** Compiled, also for tests that run from src. */
export const program: string = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** For a start, on a machine that is busy. */
const patienceMs = 60_000;

/** What `/healthz` says. */
export interface Health {
  readonly status: 'ok' | 'degraded';
  readonly epoch: number;
  readonly gateway?: { readonly problems: readonly { readonly message?: string }[] };
}

export class FirewallProcess {
  /** Its configuration. */
  readonly directory: string;
  readonly log: string;
  socket: string;
  child: ChildProcess | undefined;
  readonly #network: Network;

  constructor(network: Network) {
    this.#network = network;
    this.directory = join(network.directory, 'config');
    this.log = join(network.directory, 'firewall.log');
    this.socket = join(network.directory, 'tunwall.sock');
  }

  /** `tunwall gateway …` @throws Error with what it says if it fails */
  async gateway(...args: readonly string[]): Promise<Finished> {
    const command = [process.execPath, program, 'gateway', ...args];
    const finished = await this.#network.exec('gateway', command);
    if (finished.code === 0) return finished;
    throw new Error(`gateway ${args.join(' ')}: ${finished.stderr}`);
  }

  /** Starts it. */
  spawn(
    command: readonly string[] = [process.execPath, program, 'run', '--config', this.directory],
  ): void {
    this.child = this.#network.spawn('gateway', command, openSync(this.log, 'a'));
    // A process that forgets to close its network ends all the same.
    this.child.unref();
  }

  /** Resolves when it judges packets. @throws LabError with the end of its log if it does not get there */
  async untilUp(status: Health['status'] = 'ok'): Promise<void> {
    await this.until('the firewall does not start', (health) => health.status === status);
  }

  /** @param complaint of the LabError, before the end of the log, if it does not get there */
  async until(complaint: string, isThere: (health: Health) => boolean): Promise<void> {
    const until = performance.now() + patienceMs;
    let health: Health | undefined;
    while (performance.now() < until && !this.#network.isClosed) {
      health = await this.health();
      if (health !== undefined && isThere(health)) return;
      await sleep(20);
    }
    const problems = health?.gateway?.problems.map(({ message = '' }) => message) ?? [];
    const log = readFileSync(this.log, 'utf8').slice(-3000);
    throw new LabError([complaint, ...problems, log].join('\n'), '');
  }

  /** Undefined while it does not answer. */
  async health(): Promise<Health | undefined> {
    return await this.request<Health>('GET', '/healthz').catch(() => undefined);
  }

  /** The HTTP API, as owner. @throws LabError with what is wrong */
  async request<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T> {
    return JSON.parse(await ask(this.socket, method, path, body)) as T;
  }

  /** Sends a signal and waits for the end. Returns the exit code, or the signal. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals | null> {
    const child = this.child!;
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    child.ref();
    child.kill(signal);
    const [code, killedBy] = await ended;
    this.child = undefined;
    return code ?? killedBy;
  }
}
