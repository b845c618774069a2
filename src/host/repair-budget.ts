/**
 * What is repaired now, and what waits: at most {@link burst} repairs of one thing at once, and one a second in the long
 * run. So whoever fights for a setting costs little, and everything else is repaired at once all the same.
 *
 * Pure: a clock is passed in. An account is forgotten when it is full again; the counts stay for things that were
 * repaired lately, up to a bound.
 */
import type { GatewayProblem } from './problems.ts';

const burst = 10;
const refillPerMs = 1 / 1000;
/**
 * More repairs than this, of which one is forgotten every four seconds: somebody changes it again and again. A fight
 * is one also on a busy machine, where a look takes as long as a token.
 */
const contestedAbove = 5;
const mostRemembered = 8;
const forgottenPerMs = 1 / 4000;
/** Things counted; beyond it the ones that were repaired longest ago are forgotten. */
const most = 10_000;

interface Account {
  readonly tokens: number;
  /** Repairs that are not forgotten yet. */
  readonly remembered: number;
  readonly atMs: number;
  /** Repairs so far. */
  readonly times: number;
  /** As it was found last. */
  readonly problem: GatewayProblem;
}

export class RepairBudget {
  /** By what was repaired, the latest last. */
  readonly #accounts: Map<string, Account> = new Map();
  #total = 0;

  /** Repairs of all things so far. */
  get total(): number {
    return this.#total;
  }

  /** Whether this may be repaired now. */
  allows({ what, repairable }: GatewayProblem, nowMs: number): boolean {
    return repairable && this.#tokens(what, nowMs) >= 1;
  }

  /** It was repaired, or an attempt failed. Returns how often so far. */
  spend(problem: GatewayProblem, nowMs: number): number {
    const { what } = problem;
    const times = (this.#accounts.get(what)?.times ?? 0) + 1;
    const tokens = this.#tokens(what, nowMs) - 1;
    const remembered = Math.min(mostRemembered, this.#remembered(what, nowMs) + 1);
    this.#accounts.delete(what);
    this.#accounts.set(what, { tokens, remembered, atMs: nowMs, times, problem });
    this.#total++;
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= most) break;
      this.#accounts.delete(oldest);
    }
    return times;
  }

  /** What somebody changes again and again: a problem also in the moments in which it is right. */
  contested(nowMs: number): GatewayProblem[] {
    return [...this.#accounts]
      .filter(([what]) => this.#remembered(what, nowMs) > contestedAbove)
      .map(([, { problem, times }]) => ({
        ...problem,
        found: `${problem.found}, again and again: repaired ${times} times`,
        hint: 'find what sets it: sysctl.d, udev rules, network managers, scripts that load nftables',
      }));
  }

  #tokens(what: string, nowMs: number): number {
    const account = this.#accounts.get(what);
    if (account === undefined) return burst;
    return Math.min(burst, account.tokens + (nowMs - account.atMs) * refillPerMs);
  }

  #remembered(what: string, nowMs: number): number {
    const account = this.#accounts.get(what);
    if (account === undefined) return 0;
    return Math.max(0, account.remembered - (nowMs - account.atMs) * forgottenPerMs);
  }
}
