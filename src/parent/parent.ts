/**
 * `tunwall run`, the parent: holds the descriptors of the device, and starts the firewall proper as its child.
 *
 * It does next to nothing, so that nothing can go wrong in it: it reads no configuration and opens no socket. While a child is
 * dead or another one takes over, packets wait in the queues of the device, because the parent has them open. It has
 * descriptors of the driver for as many queues as there can be, and the child makes those that it needs queues of its device.
 *
 * A child that dies is started again at once; after several short lives, with pauses. A child that cannot start, because of the
 * configuration for example, says why, and the parent ends with its exit code. A child that ends with 0 was asked to. When
 * the parent ends, however that happens, the kernel ends its children.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { constants, openSync } from 'node:fs';
import { constants as os } from 'node:os';
import { birthVariable, reportOf, sharedClockMs } from './messages.ts';
import type { Birth, Order, Report } from './messages.ts';

/** Queues that a device can have; see `queues` in gateway.yaml. */
const maxQueues = 16;

/** A life that is shorter is a reason to pause before the next one: twice as long each time. */
const shortLifeMs = 1000;
const firstPauseMs = 100;
const longestPauseMs = 5000;

/** How long a step of an upgrade may take, and the end of a child, in ms. Then it is killed. */
const usualPatience = {
  prepared: 120_000,
  closed: 15_000,
  refreshed: 60_000,
  stopped: 5000,
  ready: 60_000,
  end: 9000,
};
export type Patience = Readonly<typeof usualPatience>;

/**
 * A child keeps what a large policy is made of, and makes as much again with each change. By default V8 gives new objects 48 MB
 * before it looks which of them are needed, and each thread has its own heap for `malloc`: with 10,000 servers 40 MB more.
 */
const frugalFlags = ['--max-semi-space-size=4'];
const frugalVariables = { MALLOC_ARENA_MAX: '1' };

/** A child, and what it has said. */
interface Child {
  readonly process: ChildProcess;
  readonly waits: boolean;
  isPrepared: boolean;
  readyMs: number | undefined;
  reason: string | undefined;
}

/** What a child is started with: Node, its flags, this program, its arguments. */
type Command = readonly [string, ...string[]];

/** Runs until it is asked to end, or cannot go on. Resolves with the exit code. */
export function runParent(command: Command, patience: Partial<Patience> = {}): Promise<number> {
  return new Promise((resolve) => {
    new Parent(command, { ...usualPatience, ...patience }, resolve).start();
  });
}

class Parent {
  readonly #command: Command;
  readonly #patience: Patience;
  readonly #finish: (code: number) => void;
  readonly #descriptors: readonly number[] = openDescriptors();
  readonly #startedMs: number = Date.now();
  readonly #living = new Set<Child>();
  /** In force, or about to be. */
  #current: Child | undefined;
  /** Is to take over from it. */
  #next: Child | undefined;
  /** Since when nothing is judged, while a child takes over. */
  #stoppedMs = 0;
  #step: NodeJS.Timeout | undefined;
  #pause: NodeJS.Timeout | undefined;
  #shortLives = 0;
  #restarts = 0;
  #upgrades = 0;
  #isReady = false;
  #isStopping = false;
  /** Of the process, when all children are gone. */
  #exitCode = 0;

  constructor(command: Command, patience: Patience, finish: (code: number) => void) {
    this.#command = command;
    this.#patience = patience;
    this.#finish = finish;
  }

  start(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#stop(0));
    process.on('SIGHUP', () => this.#current?.process.kill('SIGHUP'));
    this.#current = this.#spawn({ waits: false });
  }

  #spawn(birth: Pick<Birth, 'waits' | 'died' | 'diedMs'>): Child {
    const [node, ...args] = this.#command;
    const variables: Birth = {
      parent: process.pid,
      parentStartedMs: this.#startedMs,
      descriptors: this.#descriptors.length,
      restarts: this.#restarts,
      upgrades: this.#upgrades + (birth.waits ? 1 : 0),
      ...birth,
    };
    const child: Child = {
      process: spawn(node, [...frugalFlags, ...args], {
        stdio: ['inherit', 'inherit', 'inherit', 'ipc', ...this.#descriptors],
        env: { ...frugalVariables, ...process.env, [birthVariable]: JSON.stringify(variables) },
      }),
      waits: birth.waits,
      isPrepared: false,
      readyMs: undefined,
      reason: undefined,
    };
    this.#living.add(child);
    child.process.on('message', (message) => {
      const report = reportOf(message);
      if (report !== undefined) this.#onReport(child, report);
    });
    child.process.on('error', (error) => (child.reason ??= error.message));
    // Not `close`: output that a process of the child's still has open must not delay the next one.
    child.process.on('exit', (code, signal) => this.#onExit(child, code, signal));
    return child;
  }

  #onReport(child: Child, report: Report): void {
    switch (report.kind) {
      case 'failed':
        child.reason = report.reason;
        break;
      case 'ready':
        this.#onReady(child);
        break;
      case 'upgrade':
        if (child === this.#current && this.#next === undefined) this.#upgrade();
        break;
      case 'prepared':
        child.isPrepared = true;
        if (child === this.#current) this.#begin();
        else if (child === this.#next) this.#take('closed', this.#current, { kind: 'close' });
        break;
      case 'closed':
        if (child === this.#current) this.#take('refreshed', this.#next, { kind: 'refresh' });
        break;
      case 'refreshed':
        if (child === this.#next) this.#take('stopped', this.#current, { kind: 'stop' });
        break;
      case 'stopped':
        if (child === this.#current) this.#succeed(report.stoppedMs);
        break;
    }
  }

  /** Starts the next child beside the one in force. */
  #upgrade(): void {
    this.#next = this.#spawn({ waits: true });
    this.#limit('prepared', this.#next);
  }

  /** One step of an upgrade: `child` is to answer `order`. */
  #take(answer: keyof Patience, child: Child | undefined, order: Order): void {
    if (child === undefined || this.#next === undefined) return;
    send(child, order);
    this.#limit(answer, child);
  }

  #limit(answer: keyof Patience, child: Child): void {
    clearTimeout(this.#step);
    const patienceMs = this.#patience[answer];
    this.#step = setTimeout(() => {
      // A child in force that is too busy to close is left in peace.
      const victim = answer === 'closed' ? this.#next : child;
      if (victim === undefined) return;
      victim.reason ??= `an upgrade waits ${patienceMs / 1000} s, at most, for: ${answer}`;
      victim.process.kill('SIGKILL');
    }, patienceMs);
  }

  /** The next child is the one in force from now on. */
  #succeed(stoppedMs: number): void {
    const next = this.#next;
    if (next === undefined) return;
    this.#current = next;
    this.#next = undefined;
    this.#stoppedMs = stoppedMs;
    if (next.isPrepared) this.#begin();
    else this.#limit('prepared', next);
  }

  #begin(): void {
    send(this.#current!, { kind: 'begin', stoppedMs: this.#stoppedMs });
    this.#limit('ready', this.#current!);
  }

  #onReady(child: Child): void {
    child.readyMs = sharedClockMs();
    if (child !== this.#current) return;
    clearTimeout(this.#step);
    if (child.waits) this.#upgrades++;
    if (!this.#isReady) notifySystemd('READY=1');
    this.#isReady = true;
  }

  #onExit(child: Child, code: number | null, signal: NodeJS.Signals | null): void {
    this.#living.delete(child);
    if (this.#isStopping) {
      // One that has been succeeded may be ending already.
      if (code !== 0 && child === this.#current) {
        this.#exitCode ||= code ?? 128 + os.signals[signal!];
      }
      if (this.#living.size === 0) this.#end();
      return;
    }
    if (child === this.#next) {
      this.#abandon(child.reason ?? describeEnd(code, signal));
    } else if (child === this.#current) {
      if (this.#next !== undefined) this.#succeed(sharedClockMs());
      else if (code === 0) this.#stop(0);
      else if (code !== null && child.readyMs === undefined && !child.waits) this.#stop(code);
      else this.#restart(child, describeEnd(code, signal));
    }
  }

  /** The next child is gone before it was in force. */
  #abandon(reason: string): void {
    clearTimeout(this.#step);
    this.#next = undefined;
    if (this.#current !== undefined) send(this.#current, { kind: 'resume', reason });
  }

  #restart(dead: Child, died: string): void {
    const diedMs = sharedClockMs();
    clearTimeout(this.#step);
    this.#restarts++;
    const isShort = dead.readyMs === undefined || diedMs - dead.readyMs < shortLifeMs;
    this.#shortLives = isShort ? this.#shortLives + 1 : 0;
    const again = (): void => {
      this.#current = this.#spawn({ waits: false, died, diedMs });
    };
    if (this.#shortLives < 2) again();
    else {
      const pauseMs = firstPauseMs * 2 ** (this.#shortLives - 2);
      this.#pause = setTimeout(again, Math.min(pauseMs, longestPauseMs));
    }
  }

  /** Ends the children, and then itself. */
  #stop(exitCode: number): void {
    clearTimeout(this.#pause);
    clearTimeout(this.#step);
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#exitCode = exitCode;
    for (const { process } of this.#living) process.kill('SIGTERM');
    if (this.#living.size === 0) {
      this.#end();
      return;
    }
    this.#step = setTimeout(() => {
      for (const { process } of this.#living) process.kill('SIGKILL');
    }, this.#patience.end);
  }

  #end(): void {
    clearTimeout(this.#step);
    this.#finish(this.#exitCode);
  }
}

/** None if the driver cannot be opened: the child finds that, too, and has the words for it. */
function openDescriptors(): number[] {
  const { O_RDWR, O_NONBLOCK } = constants;
  try {
    return Array.from({ length: maxQueues }, () => openSync('/dev/net/tun', O_RDWR | O_NONBLOCK));
  } catch {
    return [];
  }
}

/** A child that is dying takes no orders; its exit says the rest. */
function send({ process }: Child, order: Order): void {
  if (process.connected) process.send(order, () => undefined);
}

/** See sd_notify(3); the unit says `NotifyAccess=all`, because a child says it. */
function notifySystemd(state: string): void {
  if ((process.env['NOTIFY_SOCKET'] ?? '') === '') return;
  // What goes wrong there, systemd will notice.
  spawn('systemd-notify', [state], { stdio: 'ignore' }).on('error', () => undefined);
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`;
}
