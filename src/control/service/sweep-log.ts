/**
 * Logs how many flows a policy change has cut, once all flows were judged again.
 *
 * A change is in force when every packet thread has taken it; the sweep through the flow table continues after that,
 * for some ticks in a large table, and with drain until the deadline. Nothing waits for it: the service's timer polls
 * one word of shared memory.
 */
import { Counter } from '../../dataplane/engine/counters.ts';

/** The observed part of the data plane. */
export interface SweepSource {
  readonly sweepRemaining: number;
  counter(index: number): number;
}

/** A finished sweep. */
export interface Swept {
  /** The policy that all flows were judged by. A change that came before the sweep was through has no line of its own. */
  readonly epoch: number;
  /** Flows cut since the line before: the lines add up to tunwall_flows_cut_total. */
  readonly flowsCut: number;
}

export class SweepLog {
  readonly #onSwept: (swept: Swept) => void;
  #epoch: number | undefined;
  #toldCut = 0;

  constructor(onSwept: (swept: Swept) => void) {
    this.#onSwept = onSwept;
  }

  /** A new policy is in force in every thread. */
  onPolicy(epoch: number): void {
    this.#epoch = epoch;
  }

  /** Checks whether the sweep is finished; call it a few times a second. */
  look(source: SweepSource): void {
    if (this.#epoch === undefined || source.sweepRemaining > 0) return;
    const cut = source.counter(Counter.flowsCut);
    this.#onSwept({ epoch: this.#epoch, flowsCut: cut - this.#toldCut });
    this.#epoch = undefined;
    this.#toldCut = cut;
  }
}
