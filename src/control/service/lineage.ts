/** What this process is in the line of processes that its parent has started: for status and metrics, and to ask for the next one. */
import type { ProcessStatus } from '../api/context.ts';
import type { Birth } from '../../parent/messages.ts';
import { sharedClockMs } from '../../parent/messages.ts';

export class Lineage {
  readonly birth: Birth;
  readonly #ask: () => void;
  #gapMs: number | undefined;
  #isUpgrading = false;
  #upgradeError: string | undefined;

  /** @param ask asks the parent to start the next one */
  constructor(birth: Birth, ask: () => void) {
    this.birth = birth;
    this.#ask = ask;
  }

  /** This process judges packets from now on. @param stoppedMs since when none did (sharedClockMs); undefined: it is the first */
  began(stoppedMs: number | undefined): void {
    if (stoppedMs !== undefined) this.#gapMs = Math.ceil(sharedClockMs() - stoppedMs);
  }

  /** Asks for an upgrade. Returns false while one is under way. */
  upgrade(): boolean {
    if (this.#isUpgrading) return false;
    this.#isUpgrading = true;
    this.#upgradeError = undefined;
    this.#ask();
    return true;
  }

  upgradeFailed(reason: string): void {
    this.#isUpgrading = false;
    this.#upgradeError = reason;
  }

  get restarts(): number {
    return this.birth.restarts;
  }

  get upgrades(): number {
    return this.birth.upgrades;
  }

  /** @returns undefined before it judges packets after another one */
  get gapMs(): number | undefined {
    return this.#gapMs;
  }

  get status(): ProcessStatus {
    const { parent, parentStartedMs, restarts, upgrades, died } = this.birth;
    return {
      pid: process.pid,
      parent,
      parentStartedAt: new Date(parentStartedMs).toISOString(),
      restarts,
      upgrades,
      ...(died !== undefined && { died }),
      ...(this.#gapMs !== undefined && { gapMs: this.#gapMs }),
      upgrading: this.#isUpgrading,
      ...(this.#upgradeError !== undefined && { upgradeError: this.#upgradeError }),
    };
  }
}
