/**
 * `tunwall gateway watch`: looks whenever something may have changed (lookout.ts), compares as `gateway status` does,
 * repairs as `gateway up` does, and says so: as events for a log, and in a file for whoever may see less
 * (watch-status.ts).
 *
 * Life-cycle: begins with a gateway that is up, ends when it is taken down or at a signal. Its end changes nothing:
 * the plumbing stays as it is. So it can be restarted at any time.
 */
import { GatewayError } from './error.ts';
import { withWatchLock } from './gateway-lock.ts';
import { gatewayStatus } from './gateway.ts';
import { Lookout } from './lookout.ts';
import { requireNetAdmin } from './preflight.ts';
import type { GatewayProblem } from './problems.ts';
import {
  defaultStateDirectory,
  prepareStateDirectory,
  readRecord,
  type GatewayRecord,
} from './record.ts';
import { lookAndRepair, type Attempt, type Looked } from './repair.ts';
import { RepairBudget } from './repair-budget.ts';
import { removeStateFile, writeStateFile } from './state-file.ts';
import {
  pidNamespace,
  removeOldWatchStatus,
  watchStatusPath,
  type Repair,
  type WatchStatus,
} from './watch-status.ts';

export interface WatchOptions {
  /** Name of the TUN; default: that of the gateway that is up. */
  readonly device?: string | undefined;
  /** Says what is wrong, and repairs nothing. */
  readonly reportOnly: boolean;
  /** Where the record is kept; default /run/tunwall. */
  readonly stateDirectory?: string | undefined;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: WatchEvent) => void;
}

export type WatchEvent =
  /** After the first look and its repairs. */
  | { readonly kind: 'started'; readonly device: string }
  | { readonly kind: 'repaired'; readonly repairs: readonly Repair[] }
  /** What is left to be repaired, when it has changed; none: all is right again. */
  | { readonly kind: 'problems'; readonly problems: readonly GatewayProblem[] }
  /** Something did not work; the watch goes on. */
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'ended'; readonly why: string };

/** Repairs that the status file lists. */
const recentRepairs = 50;
/** What could not be repaired now is tried again so much later. */
const againMs = 1000;
/** How often the watch gives a sign of life, and after how long without one it is taken for one that hangs. */
const signMs = 1000;
const validMs = 5000;
/** A look may take that long; after that there is no sign of life until it ends. */
const patienceMs = 20_000;

/**
 * Watches until the signal is aborted or the gateway is taken down.
 *
 * @throws GatewayError when the gateway is not up, or this process may not repair it.
 */
export async function watchGateway(options: WatchOptions): Promise<void> {
  requireNetAdmin('watch');
  const stateDirectory = options.stateDirectory ?? defaultStateDirectory;
  const { recorded, device } = await gatewayStatus({ device: options.device, stateDirectory });
  const record = recorded ? readRecord(stateDirectory) : undefined;
  if (record === undefined) {
    throw new GatewayError(
      'the gateway is not up in this network namespace: there is nothing to watch',
      'set it up first: tunwall gateway up',
    );
  }
  prepareStateDirectory(stateDirectory);
  const watch = new Watch(options, stateDirectory, record);
  await withWatchLock(stateDirectory, async () => {
    removeOldWatchStatus(stateDirectory);
    options.onEvent({ kind: 'ended', why: await watch.run() });
    removeStateFile(watchStatusPath(stateDirectory, device));
  });
}

class Watch {
  readonly #options: WatchOptions;
  readonly #stateDirectory: string;
  readonly #budget: RepairBudget = new RepairBudget();
  readonly #startedAt: string = new Date().toISOString();
  #record: GatewayRecord;
  #recent: Repair[] = [];
  #lookout: Lookout | undefined;
  #again: NodeJS.Timeout | undefined;
  #status: WatchStatus | undefined;
  /** When the look that goes on has begun. */
  #lookingSinceMs: number | undefined;
  #hasLooked = false;
  /** What was reported last, to report nothing twice. */
  #told = '';
  #failure = '';
  #end: (why: string) => void = () => undefined;

  constructor(options: WatchOptions, stateDirectory: string, record: GatewayRecord) {
    this.#options = options;
    this.#stateDirectory = stateDirectory;
    this.#record = record;
  }

  /** Why it has ended. */
  async run(): Promise<string> {
    const { signal } = this.#options;
    const ended = new Promise<string>((resolve) => (this.#end = resolve));
    const stop = (): void => this.#end('it was asked to stop');
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    this.#lookout = new Lookout(
      () => this.#look(),
      (message) => this.#options.onEvent({ kind: 'failed', message }),
    );
    const signs = setInterval(() => this.#giveSign(), signMs);
    const why = await ended;
    clearInterval(signs);
    signal.removeEventListener('abort', stop);
    clearTimeout(this.#again);
    await this.#lookout.close();
    return why;
  }

  async #look(): Promise<void> {
    const { reportOnly } = this.#options;
    const nowMs = performance.now();
    this.#lookingSinceMs = nowMs;
    try {
      const looked = await lookAndRepair(
        this.#stateDirectory,
        this.#record,
        (problem) => !reportOnly && this.#budget.allows(problem, nowMs),
      );
      if (looked === undefined) {
        this.#end('the gateway was taken down');
        return;
      }
      this.#record = looked.record;
      this.#count(looked.attempts, nowMs);
      this.#report(this.#leftOf(looked, nowMs), looked.bypass);
    } catch (error) {
      this.#fail(error instanceof GatewayError ? error.message : String(error));
      this.#lookAgain();
    } finally {
      this.#lookingSinceMs = undefined;
    }
  }

  #giveSign(): void {
    const since = this.#lookingSinceMs;
    if (since !== undefined && performance.now() - since > patienceMs) return;
    if (this.#status !== undefined) this.#write(this.#status);
  }

  #write(status: WatchStatus): void {
    this.#status = { ...status, aliveAt: new Date().toISOString() };
    try {
      writeStateFile(watchStatusPath(this.#stateDirectory, status.device), this.#status);
    } catch (error) {
      this.#fail(`the status cannot be written: ${(error as Error).message}`);
    }
  }

  #count(attempts: readonly Attempt[], nowMs: number): void {
    const at = new Date().toISOString();
    const repairs: Repair[] = [];
    for (const { problem, failure } of attempts) {
      const times = this.#budget.spend(problem, nowMs);
      const { what, wanted, found } = problem;
      if (failure === undefined) repairs.push({ at, what, wanted, found, times });
      else this.#fail(`${what} cannot be repaired: ${failure}`);
    }
    if (repairs.length === 0) return;
    this.#recent = [...this.#recent, ...repairs].slice(-recentRepairs);
    this.#options.onEvent({ kind: 'repaired', repairs });
  }

  /** What was found and not repaired, and what somebody changes again and again. */
  #leftOf({ problems, attempts }: Looked, nowMs: number): GatewayProblem[] {
    // Whether the repairs last.
    if (attempts.length > 0) this.#lookout?.hint();
    const repaired = new Set(
      attempts.filter(({ failure }) => failure === undefined).map(({ problem }) => problem.what),
    );
    const contested = this.#budget.contested(nowMs);
    const others = problems.filter(
      ({ what }) => !repaired.has(what) && !contested.some((each) => each.what === what),
    );
    if (others.some(({ repairable }) => repairable) || contested.length > 0) this.#lookAgain();
    return [...contested, ...others];
  }

  #lookAgain(): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#lookout?.hint(), againMs);
  }

  #report(problems: readonly GatewayProblem[], bypass: Looked['bypass']): void {
    const { device } = this.#record;
    const { onEvent, reportOnly } = this.#options;
    const now = new Date().toISOString();
    this.#write({
      version: 1,
      pid: process.pid,
      pidNamespace: pidNamespace(),
      device,
      startedAt: this.#startedAt,
      lookedAt: now,
      aliveAt: now,
      validMs,
      reportOnly,
      state: problems.length === 0 ? 'ok' : 'degraded',
      problems,
      ...(bypass !== undefined && { bypass }),
      repairs: this.#budget.total,
      recent: this.#recent,
    });
    const told = problems.map(({ what }) => what).join();
    if (told !== this.#told) onEvent({ kind: 'problems', problems });
    this.#told = told;
    if (problems.length === 0) this.#failure = '';
    if (!this.#hasLooked) onEvent({ kind: 'started', device });
    this.#hasLooked = true;
  }

  #fail(message: string): void {
    if (message !== this.#failure) this.#options.onEvent({ kind: 'failed', message });
    this.#failure = message;
  }
}
