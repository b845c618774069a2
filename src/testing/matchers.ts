/** Matchers on what `send` returns. A failure says what `tunwall explain` says: the nearest rule, and what of it fails. */
import { Outcome } from './outcome.ts';
import type { DropReasonName } from './outcome.ts';

/** What `expect.extend` of vitest and jest wants. */
export interface MatcherResult {
  readonly pass: boolean;
  readonly message: () => string;
}

function outcomeOf(received: unknown): Outcome {
  if (received instanceof Outcome) return received;
  throw new TypeError('expected what fw.send(…) returns');
}

function seenOf({ verdict, reason }: Outcome): string {
  return verdict === 'drop' ? `dropped: ${reason!}` : verdict === 'held' ? 'held' : 'passed';
}

function result(pass: boolean, wanted: string, outcome: Outcome): MatcherResult {
  const message = (): string =>
    `expected ${wanted}, but it was ${seenOf(outcome)}\n\n${outcome.explanation()}`;
  return { pass, message };
}

function toPass(received: unknown): MatcherResult {
  const outcome = outcomeOf(received);
  const pass = outcome.verdict === 'pass';
  return result(pass, pass ? 'no pass' : 'a pass', outcome);
}

function toDrop(received: unknown, reason?: DropReasonName): MatcherResult {
  const outcome = outcomeOf(received);
  const pass = outcome.verdict === 'drop' && (reason === undefined || outcome.reason === reason);
  const drop = reason === undefined ? 'drop' : `drop as ${reason}`;
  return result(pass, `${pass ? 'no' : 'a'} ${drop}`, outcome);
}

function toBeHeld(received: unknown): MatcherResult {
  const outcome = outcomeOf(received);
  const pass = outcome.verdict === 'held';
  return result(pass, `${pass ? 'no' : 'a'} fragment that waits`, outcome);
}

/** For `expect.extend`; `tunwall/testing/vitest` does that, and tells TypeScript. */
export const matchers: {
  /** Every packet passed. */
  readonly toPass: (received: unknown) => MatcherResult;
  /** A packet was dropped; for this reason, if one is given. */
  readonly toDrop: (received: unknown, reason?: DropReasonName) => MatcherResult;
  /** The last fragment waits for more of its datagram. */
  readonly toBeHeld: (received: unknown) => MatcherResult;
} = { toPass, toDrop, toBeHeld };
