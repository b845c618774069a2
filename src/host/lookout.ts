/**
 * When to look at the namespace's plumbing: whenever something of it may have changed, and now and then anyway.
 *
 * rtnetlink, nftables and xfrm tell of changes: links, rules, routes, some sysctls (netconf), filters, tables, IPsec policies.
 * Children listen, `ip monitor`, `tc monitor`, `nft monitor`, `ip xfrm monitor`; what they print is taken as a hint only, the look
 * itself decides. The other sysctls have no events: their files are read every second, which starts no
 * program. A slow look is the second line, for what nobody tells.
 *
 * One look at a time. What happens during a look leads to another one. After a look there is a pause as long as some looks,
 * so that a host that changes all the time costs a bounded part of a processor.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { firewallTable, readSysctls } from './snapshot.ts';
import { childEnvironment, hasNetAdmin, isInstalled, readSysctl } from './system.ts';

const sysctlPeriodMs = 1000;
const slowPeriodMs = 5000;
/** A change often comes with others: a short wait sees them together. */
const gatherMs = 20;
/** The pause after a look, as a multiple of what the look took, within bounds. */
const pauseFactor = 4;
const leastPauseMs = 100;
const mostPauseMs = 500;
/** How long after its end a monitor is started again. Until then there is a look every {@link sysctlPeriodMs}. */
const restartMs = 10_000;

/** Whether a line of a monitor (`ip monitor label`, `nft monitor`) may be about the gateway. */
export function isHint(line: string): boolean {
  // Routing daemons change thousands of routes; the gateway has one table.
  if (line.startsWith('[ROUTE]')) return line.includes(` table ${firewallTable} `);
  // Likewise the elements of sets; and the end of each transaction.
  return !/^((add|delete) element |# new generation )/.test(line);
}

function hasIpsec(): boolean {
  return readSysctl('core/xfrm_acq_expires') !== undefined;
}

export class Lookout {
  readonly #look: () => Promise<void>;
  readonly #onTrouble: (message: string) => void;
  readonly #children: Set<ChildProcess> = new Set();
  readonly #timers: Set<NodeJS.Timeout> = new Set();
  #next: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #hinted = false;
  #closed = false;
  #notBeforeMs = 0;
  #sysctls = '';
  /** Monitors that have ended. */
  #ended = 0;

  /**
   * Begins at once.
   *
   * @param look must not reject
   * @param onTrouble a sentence for the operator: changes are seen late
   */
  constructor(look: () => Promise<void>, onTrouble: (message: string) => void) {
    this.#look = look;
    this.#onTrouble = onTrouble;
    this.#monitor('ip', ['-N', 'monitor', 'label', 'link', 'route', 'rule', 'netconf']);
    if (isInstalled('tc')) this.#monitor('tc', ['monitor']);
    // Only root is notified of nftables and of IPsec policies; not every kernel has these.
    if (hasNetAdmin()) this.#monitor('nft', ['monitor']);
    if (hasNetAdmin() && hasIpsec()) this.#monitor('ip', ['xfrm', 'monitor', 'policy']);
    this.#every(sysctlPeriodMs, () => this.#readSysctls());
    this.#every(slowPeriodMs, () => this.hint());
    this.hint();
  }

  /** Something may have changed. */
  hint(): void {
    this.#hinted = true;
    if (this.#closed || this.#looking !== undefined) return;
    const waitMs = Math.max(gatherMs, this.#notBeforeMs - performance.now());
    this.#next ??= setTimeout(() => {
      this.#next = undefined;
      this.#looking = this.#lookOnce().finally(() => {
        this.#looking = undefined;
        if (this.#hinted) this.hint();
      });
    }, waitMs);
  }

  /** Ends the children, and waits for a look that goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#next);
    for (const timer of this.#timers) clearTimeout(timer);
    for (const child of this.#children) child.kill();
    await this.#looking;
  }

  async #lookOnce(): Promise<void> {
    this.#hinted = false;
    const startedMs = performance.now();
    await this.#look();
    const endedMs = performance.now();
    const pauseMs = Math.max(leastPauseMs, pauseFactor * (endedMs - startedMs));
    this.#notBeforeMs = endedMs + Math.min(pauseMs, mostPauseMs);
  }

  #every(periodMs: number, work: () => void): void {
    this.#timers.add(setInterval(work, periodMs));
  }

  #readSysctls(): void {
    const now = [...readSysctls()].join();
    if (now !== this.#sysctls || this.#ended > 0) this.hint();
    this.#sysctls = now;
  }

  #monitor(program: string, args: readonly string[]): void {
    const child = spawn(program, args, {
      env: childEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    let said = '';
    createInterface(child.stdout).on('line', (line) => {
      if (isHint(line)) this.hint();
    });
    // Among others: events were lost because there were too many.
    createInterface(child.stderr).on('line', (line) => {
      said = line;
      this.hint();
    });
    child.on('error', (error) => (said = error.message));
    child.on('close', () => {
      this.#children.delete(child);
      if (this.#closed) return;
      this.#ended++;
      const again = `it is started again in ${restartMs / 1000} s, until then there is a look a second`;
      this.#onTrouble(
        `'${[program, ...args].join(' ')}' has ended${said === '' ? '' : ` (${said})`}: ${again}`,
      );
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#ended--;
        this.#monitor(program, args);
      }, restartMs);
      this.#timers.add(timer);
    });
  }
}
