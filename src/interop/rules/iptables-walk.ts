/**
 * The way of an opening packet through a built-in chain of iptables and the chains that it jumps to, for all packets at
 * once: which boxes are accepted, and what was taken away before.
 *
 * What takes packets away is remembered with a condition that is never too narrow, so an ACCEPT behind it is only taken if
 * the two have no packet in common. RETURN and what a goto leaves out hold until the end of their chain, DROP and REJECT
 * until the end.
 */
import { ImportError } from './import-result.ts';
import type { Remarks } from './import-result.ts';
import { anything, covers, intersect, overlap } from './iptables-condition.ts';
import type { Condition } from './iptables-condition.ts';
import type { IptablesChain, IptablesRule } from './iptables-parse.ts';

/** Packets that are accepted, and where that is said. */
export interface Accepted {
  readonly condition: Condition;
  readonly place: string;
  readonly comment?: string;
}

/** Packets that do not come any further. */
interface Blocker {
  readonly condition: Condition;
  readonly line: number;
  readonly target: string;
  /** All of the condition's box is taken. */
  readonly exact: boolean;
}

/** Targets after which the next rule is asked all the same. */
const passingTargets = ['LOG', 'NFLOG', 'ULOG', 'TRACE', 'MARK', 'CONNMARK', 'AUDIT'];

/** iptables refuses loops; a file need not. */
const maxDepth = 64;
/** A chain that many rules jump to is walked for each of them. */
const maxSteps = 500_000;

export class ChainWalk {
  readonly #chains: ReadonlyMap<string, IptablesChain>;
  readonly #remarks: Remarks;
  readonly #accepted: Accepted[] = [];
  /** DROP, REJECT and targets that are not known. */
  readonly #blockers: Blocker[] = [];
  /** Whether replies of every flow have been accepted. */
  #repliesPass = false;
  #toldOfOthers = false;
  #steps = 0;

  constructor(chains: ReadonlyMap<string, IptablesChain>, remarks: Remarks) {
    this.#chains = chains;
    this.#remarks = remarks;
  }

  /** Walks a built-in chain to its policy. Once. */
  run(chain: IptablesChain): Accepted[] {
    const returned: Blocker[] = [];
    this.#walk(chain, anything, returned, 0);
    const place = `line ${chain.line}`;
    if (chain.policy === 'ACCEPT') {
      // What returns from a built-in chain meets its policy.
      const comment = `${chain.name} accepts by policy`;
      this.#accept(anything, place, comment, []);
      this.#repliesPass ||= this.#blockers.length === 0;
    }
    if (!this.#repliesPass && this.#accepted.length > 0) {
      this.#remarks.lost(
        place,
        `${chain.name} does not accept all replies (state ESTABLISHED): here replies of an allowed flow always pass`,
      );
    }
    return this.#accepted;
  }

  /** @param returned what has left this chain; grows */
  #walk(chain: IptablesChain, parent: Condition, returned: Blocker[], depth: number): void {
    for (const rule of chain.rules) {
      this.#steps++;
      if (this.#steps > maxSteps || depth > maxDepth) {
        throw new ImportError(
          `line ${rule.line}: the chains jump to each other too often`,
          'import them one by one, or flatten them first',
        );
      }
      this.#step(rule, intersect(parent, rule.condition), returned, depth);
    }
  }

  #step(rule: IptablesRule, condition: Condition, returned: Blocker[], depth: number): void {
    const { target, line, comment } = rule;
    const place = `line ${line}`;
    if (target === undefined || passingTargets.includes(target)) return;
    if (target === 'ACCEPT') {
      const unconditional =
        covers(condition, anything) && condition.vague.length === 0 && condition.established;
      if (unconditional && returned.length === 0) this.#repliesPass = true;
      this.#accept(condition, place, comment, returned);
      return;
    }
    const chain = this.#chains.get(target);
    if (chain !== undefined && chain.policy === undefined) {
      this.#walk(chain, condition, [...returned], depth + 1);
      if (rule.goto) this.#block(rule, condition, returned, returned);
      return;
    }
    if (target === 'RETURN') {
      this.#block(rule, condition, returned, returned);
      return;
    }
    if (target !== 'DROP' && target !== 'REJECT') {
      this.#remarks.lost(place, `what the target ${target} does is not known: it may drop`);
    }
    this.#dropReplies(rule, condition);
    this.#block(rule, condition, returned, this.#blockers);
  }

  /** A drop without a state takes replies, too, unless they were accepted before. */
  #dropReplies({ line, target }: IptablesRule, condition: Condition): void {
    if (!condition.established || this.#repliesPass) return;
    // The end of a chain is reported once, as a whole.
    if (covers(condition, anything) && condition.vague.length === 0) return;
    this.#remarks.lost(
      `line ${line}`,
      `${target!} takes replies of allowed flows, too: here they always pass`,
    );
  }

  #block(
    { line, target }: IptablesRule,
    condition: Condition,
    returned: readonly Blocker[],
    list: Blocker[],
  ): void {
    if (condition.outside !== undefined) return;
    // Nothing is left for it to take.
    const taken = (each: Blocker): boolean => each.exact && covers(each.condition, condition);
    if (returned.some(taken) || this.#blockers.some(taken)) return;
    const exact =
      condition.vague.length === 0 && !returned.some((each) => overlap(each.condition, condition));
    list.push({ condition, line, target: target!, exact });
  }

  #accept(
    condition: Condition,
    place: string,
    comment: string | undefined,
    returned: readonly Blocker[],
  ): void {
    const remarks = this.#remarks;
    const { outside, vague } = condition;
    if (outside !== undefined) {
      if (outside.severity !== 'silent') remarks[outside.severity](place, outside.message);
      return;
    }
    const before = (test: (blocker: Blocker) => boolean): Blocker | undefined =>
      this.#blockers.find(test) ?? returned.find(test);
    const shadow = before((each) => each.exact && covers(each.condition, condition));
    if (shadow !== undefined) {
      // The end of a chain that drops everything is how a policy of ACCEPT is meant.
      const text = `never reached: line ${shadow.line} (${shadow.target}) takes all of it before`;
      remarks.note(place, text);
      return;
    }
    if (vague.length > 0) {
      remarks.lost(place, vague.join('; '));
      return;
    }
    const blocker = before((each) => overlap(each.condition, condition));
    if (blocker !== undefined) {
      const { line, target } = blocker;
      const what = `line ${line} (${target}) takes a part of it before, and templates only allow`;
      remarks.lost(place, what);
      return;
    }
    if (condition.protocol === 'all' && !this.#toldOfOthers) {
      this.#toldOfOthers = true;
      remarks.note(place, 'all protocols are ICMP, TCP and UDP here: others are dropped');
    }
    this.#accepted.push({ condition, place, ...(comment !== undefined && { comment }) });
  }
}
