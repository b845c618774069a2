/** What a gateway goes on with while it has never reached the cluster: the policy that this machine has kept, or nothing. */
import type { Problem } from '../../../policy/types.ts';
import type { ConfigJudge } from '../config-judge.ts';
import type { ConfigFiles } from '../config-texts.ts';
import type { KeptState } from '../files/last-good.ts';
import type { Snapshot } from '../store.ts';
import type { Replica } from './replica.ts';

const nothing: ConfigFiles = {
  gateway: undefined,
  servers: undefined,
  templates: undefined,
  sets: undefined,
};

export class WithoutStore {
  readonly #kept: KeptState;
  readonly #replica: Replica;
  readonly #judge: ConfigJudge;
  #snapshot: Snapshot | undefined;

  constructor(kept: KeptState, replica: Replica, judge: ConfigJudge) {
    this.#kept = kept;
    this.#replica = replica;
    this.#judge = judge;
  }

  async read(): Promise<Snapshot> {
    const kept = await this.#kept.files();
    const problem = this.#replica.problem ?? '';
    const message =
      kept === undefined
        ? `nothing is forwarded: this gateway has never seen the policy in etcd (${problem})`
        : `the policy is what this gateway has seen last (${problem})`;
    const judged = this.#judge.judge(this.#replica.withGateway(kept ?? nothing));
    const warning: Problem = {
      ...{ severity: 'warning', file: this.#judge.place, line: 0, column: 0, path: '', message },
    };
    // Equal to the one before, so that nothing is put in force anew.
    if (this.#snapshot?.revision === judged.revision) return this.#snapshot;
    this.#snapshot = { ...judged, problems: [...judged.problems, warning] };
    return this.#snapshot;
  }
}
