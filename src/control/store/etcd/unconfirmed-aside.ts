/**
 * A change whose time is over, and that cannot be undone in etcd: this gateway goes back to what was confirmed last, for itself. The
 * change may be what has cut it off; then nobody else could undo it, either. When etcd says that it was confirmed or
 * undone, what is in etcd counts again.
 */
import type { Snapshot } from '../store.ts';
import type { Head } from './layout.ts';

export class UnconfirmedAside {
  readonly #place: string;
  /** In force before a change that waits. */
  #confirmed: Snapshot | undefined;
  #aside: { readonly number: number; readonly snapshot: Snapshot } | undefined;

  /** @param place what problems of the policy name as their file */
  constructor(place: string) {
    this.#place = place;
  }

  /** A policy that waits for nobody is in force. */
  confirmed(snapshot: Snapshot): void {
    this.#confirmed = snapshot;
    this.#aside = undefined;
  }

  /**
   * @param lastGood what is on the disk, for a process that has begun with the change
   * @returns whether there is something else to be put in force now
   */
  async setAside(number: number, lastGood: () => Promise<Snapshot | undefined>): Promise<boolean> {
    if (this.#aside?.number === number) return false;
    const before = this.#confirmed ?? (await lastGood());
    if (before === undefined) return false;
    const message = `change ${number} was not confirmed in time and cannot be undone in etcd: this gateway has gone back to the policy before it`;
    const problem = { file: this.#place, line: 0, column: 0, path: '', message };
    const problems = [...before.problems, { severity: 'warning' as const, ...problem }];
    this.#aside = { number, snapshot: { ...before, problems } };
    return true;
  }

  insteadOf({ unconfirmed }: Head): Snapshot | undefined {
    return this.#aside !== undefined && unconfirmed?.number === this.#aside.number
      ? this.#aside.snapshot
      : undefined;
  }
}
