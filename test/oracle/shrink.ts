/**
 * Makes a conversation with a difference as small as it gets: leaves out steps, takes changes back, and replaces what is left
 * by what is plainest, as long as the two filters still differ in the same way.
 */
import type { Comparison, Outcome } from './compare.ts';
import type { Changes, Conversation, Piece, Step } from './conversation.ts';
import { sent } from './conversation.ts';

/** Performances at most: a difference is found again within milliseconds, but need not get any smaller. */
const mostTries = 600;
const longestMs = 10_000;

/** Whether a performance still shows what is looked for. */
export type Shows = (outcome: Outcome) => boolean;

export class Shrinker {
  readonly #comparison: Comparison;
  readonly #shows: Shows;
  #best: Outcome;
  #triesLeft = mostTries;
  readonly #deadline = performance.now() + longestMs;

  constructor(comparison: Comparison, found: Outcome, shows: Shows) {
    this.#comparison = comparison;
    this.#shows = shows;
    this.#best = found;
  }

  /** The smallest performance found; the one given, if it cannot be shown again alone. */
  shrink(): Outcome {
    this.#try(this.#best.conversation);
    for (let before = Infinity; before > this.#triesLeft;) {
      before = this.#triesLeft;
      let smaller = this.#leaveOutSteps();
      smaller = this.#takeBackChanges() || smaller;
      smaller = this.#simplify() || smaller;
      if (!smaller || this.#triesLeft <= 0) break;
    }
    return this.#best;
  }

  #try(conversation: Conversation): boolean {
    if (this.#triesLeft <= 0 || conversation.steps.length === 0) return false;
    this.#triesLeft = performance.now() > this.#deadline ? 0 : this.#triesLeft - 1;
    const outcome = this.#comparison.play([conversation])[0]!;
    if (outcome.difference === undefined || !this.#shows(outcome)) return false;
    const { difference } = outcome;
    // What lies behind the difference was not played.
    const steps = conversation.steps.slice(0, difference.step + 1);
    this.#best = { ...outcome, conversation: { ...conversation, steps } };
    return true;
  }

  #withSteps(steps: readonly Step[]): boolean {
    return this.#try({ ...this.#best.conversation, steps });
  }

  #leaveOutSteps(): boolean {
    let smaller = false;
    for (let size = this.#steps.length >> 1; size >= 1; size >>= 1) {
      for (let at = this.#steps.length - size; at >= 0; at -= size) {
        const steps = this.#steps;
        smaller = this.#withSteps([...steps.slice(0, at), ...steps.slice(at + size)]) || smaller;
      }
    }
    return smaller;
  }

  get #steps(): readonly Step[] {
    return this.#best.conversation.steps;
  }

  #replace(at: number, step: Step): boolean {
    const steps = [...this.#steps];
    if (at >= steps.length) return false;
    steps[at] = step;
    return this.#withSteps(steps);
  }

  #takeBackChanges(): boolean {
    let smaller = false;
    this.#steps.forEach((step, at) => {
      let { changes } = step;
      for (const name of Object.keys(changes) as (keyof Changes)[]) {
        const fewer = Object.fromEntries(
          Object.entries(changes).filter(([each]) => each !== name),
        ) as Changes;
        if (!this.#replace(at, { base: step.base, changes: fewer })) continue;
        changes = fewer;
        smaller = true;
      }
    });
    return smaller;
  }

  /** Plainer values, one field after another: no payload, no options, the usual window. */
  #simplify(): boolean {
    let smaller = false;
    this.#steps.forEach((original, at) => {
      const fields = sent(original);
      const plainer: Changes[] = [
        ...(fields.length > 0 ? [{ length: 0 }] : []),
        ...(fields.length > 1 ? [{ length: 1 }] : []),
        ...(fields.options.length > 0 ? [{ options: [] }] : []),
        ...(fields.win !== 8192 ? [{ win: 8192 }] : []),
        ...(fields.flags.length > 1
          ? fields.flags.split('').map((gone) => ({ flags: fields.flags.replace(gone, '') }))
          : []),
        ...(fields.keep > 28 ? [{ keep: 28 }] : []),
        ...fewerPieces(fields.pieces ?? []),
      ];
      for (const change of plainer) {
        const step = this.#steps[at];
        if (step === undefined) return;
        const lighter = {
          base: { ...step.base, ...without(step.changes, change), ...change },
          changes: {},
        };
        smaller = this.#replace(at, lighter) || smaller;
      }
    });
    return smaller;
  }
}

/** All changes but those that are replaced. */
function without(changes: Changes, replaced: Changes): Changes {
  return Object.fromEntries(Object.entries(changes).filter(([name]) => !(name in replaced)));
}

/** A list of pieces without one half, the other, and without each of them. */
function fewerPieces(pieces: readonly Piece[]): Changes[] {
  const half = pieces.length >> 1;
  const shorter =
    pieces.length < 16 ? pieces.map((_, gone) => pieces.filter((_piece, at) => at !== gone)) : [];
  return [pieces.slice(half), pieces.slice(0, half), ...shorter]
    .filter((list) => list.length > 0)
    .map((list) => ({ pieces: list }));
}
