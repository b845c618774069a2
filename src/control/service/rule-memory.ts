/**
 * Which rule a policy had under an index, of the policies of this process: a flow remembers index and epoch, and may end under a
 * later policy, which has another rule there or none.
 *
 * A rule keeps its index while its template does not change. An index whose rule has gone is used again, so each has a short list of
 * rules with the epoch from which on they had it.
 */
import type { CompiledPolicy, RulePlace } from '../../policy/compile.ts';
import type { LoggedRule } from '../log/flow-log.ts';

/** Rules that are remembered of one index. */
const remembered = 4;

interface Held {
  /** The policy from which on. */
  readonly epoch: number;
  readonly place: RulePlace | undefined;
}

export class RuleMemory {
  /** By index; the newest first. */
  readonly #held: Held[][] = [];
  /** Something of this index was forgotten. */
  readonly #isPartial: Set<number> = new Set<number>();

  constructor(policy: CompiledPolicy) {
    this.onCompiled(policy);
  }

  /** A policy is about to come into force: its flows may end before all know that it has. */
  onCompiled({ rules, epoch }: CompiledPolicy): void {
    const count = Math.max(rules.length, this.#held.length);
    for (let index = 0; index < count; index++) {
      const held = (this.#held[index] ??= []);
      const place = rules[index];
      if (held[0]?.place === place) continue;
      held.unshift({ epoch, place });
      if (held.length > remembered) {
        held.length = remembered;
        this.#isPartial.add(index);
      }
    }
  }

  /**
   * @param spared the policy of that epoch forbade the flow, and an earlier one had admitted it; nobody knows which, so the rule is
   * known only if the index had no other one
   */
  ruleOf(index: number, epoch: number, spared: boolean): LoggedRule | undefined {
    const held = this.#held[index];
    if (held === undefined) return undefined;
    const places = held.filter(({ place }) => place !== undefined);
    const only = places.length === 1 && !this.#isPartial.has(index) ? places[0] : undefined;
    const found = spared ? only : held.find((each) => ((epoch - each.epoch) | 0) >= 0);
    if (found?.place === undefined) return undefined;
    const { template, direction, position, rule } = found.place;
    return { template, direction, index: position, log: rule.log === true };
  }
}
