/** Why a store refuses a change. */
import { andMore } from '../../policy/problem.ts';
import type { Problem } from '../../policy/types.ts';
import { usedByWords } from './mentions.ts';
import type { Mention, Named } from './mentions.ts';

/** An error in the body of an operation. */
export interface BodyProblem {
  /** Index of the operation in its change. */
  readonly operation: number;
  /** Within the body, as a client wrote it: `inbound[2].ports[0]`; within a rule: `ports[0]`. Empty: the whole. */
  readonly path: string;
  readonly message: string;
}

export type ThingKind =
  | 'template'
  | 'server'
  | 'set'
  | 'list'
  | 'rule'
  | 'version'
  | 'revision'
  | 'unconfirmed change'
  | 'user'
  | 'token';

/** Why a change was refused. */
export type Failure =
  | { readonly kind: 'not-found'; readonly what: ThingKind; readonly name: string }
  | { readonly kind: 'exists'; readonly what: ThingKind; readonly name: string }
  /** `revision` is the current one; absent if the resource is gone. */
  | {
      readonly kind: 'precondition-failed';
      readonly what: ThingKind;
      readonly name: string;
      readonly revision?: string;
    }
  /** At least one place. */
  | {
      readonly kind: 'in-use';
      readonly what: Named['kind'];
      readonly name: string;
      readonly usedBy: readonly Mention[];
    }
  | { readonly kind: 'invalid'; readonly problems: readonly BodyProblem[] }
  /** The state has errors that this change does not correct. */
  | { readonly kind: 'broken'; readonly problems: readonly Problem[] }
  /** The client's access has ended: its session or token, or the password was changed meanwhile. */
  | { readonly kind: 'unauthenticated'; readonly message: string }
  /** The client may not do this. */
  | { readonly kind: 'forbidden'; readonly message: string }
  /** The last owner can be neither removed nor demoted. */
  | { readonly kind: 'last-owner'; readonly name: string }
  /** A change waits for confirmation; `message` says whose, and until when. */
  | { readonly kind: 'unconfirmed'; readonly message: string }
  /** This process lacks write permission; `message` names the file and the remedy. */
  | { readonly kind: 'read-only'; readonly message: string }
  /** Another process kept the store locked for too long, or kept changing it: trying again may help. */
  | { readonly kind: 'busy'; readonly message: string }
  /** The store that is shared does not answer, or is not to be trusted at present. Nothing is kept for later. */
  | { readonly kind: 'store-unavailable'; readonly message: string }
  /** The disk is full, or the like. */
  | { readonly kind: 'failed'; readonly message: string };

/** A change was refused, and nothing has changed. */
export class StoreError extends Error {
  override name = 'StoreError';
  /** At least one: all that are known, as far as a person reads. */
  readonly failures: readonly Failure[];

  constructor(failures: readonly Failure[], cause?: unknown) {
    const first = firstOf(failures);
    super(first.map(describeFailure).join('; '), { cause });
    this.failures = first;
  }
}

/** A body alone has at most a hundred problems, and the number of the others. */
const maxReasons = 200;

/** The first reasons, of each kind at least one, and the number of the others. */
function firstOf(failures: readonly Failure[]): readonly Failure[] {
  const kinds = new Set<Failure['kind']>();
  let [left, more] = [maxReasons, 0];
  const first = failures.flatMap((failure): Failure[] => {
    const count = 'problems' in failure ? failure.problems.length : 1;
    const taken = Math.min(count, Math.max(left, kinds.has(failure.kind) ? 0 : 1));
    kinds.add(failure.kind);
    left -= taken;
    more += count - taken;
    if (taken === count) return [failure];
    if (failure.kind === 'invalid')
      return [{ ...failure, problems: failure.problems.slice(0, taken) }];
    if (failure.kind === 'broken')
      return [{ ...failure, problems: failure.problems.slice(0, taken) }];
    return [];
  });
  if (more === 0) return failures;
  return [
    ...first,
    { kind: 'invalid', problems: [{ operation: 0, path: '', message: andMore(more) }] },
  ];
}

/** One line, for a person. */
export function describeFailure(failure: Failure): string {
  switch (failure.kind) {
    case 'not-found':
      if (failure.what === 'unconfirmed change') {
        const which = failure.name === '' ? 'no change' : `revision ${failure.name} no longer`;
        return `${which} waits for confirmation`;
      }
      return `there is no ${failure.what} "${failure.name}"`;
    case 'exists':
      return `there is a ${failure.what} "${failure.name}" already`;
    case 'precondition-failed':
      if (failure.what === 'revision')
        return `meanwhile there is ${failure.name}: look at it first`;
      return `${failure.what} "${failure.name}" was changed by somebody else meanwhile`;
    case 'in-use':
      return `${failure.what} "${failure.name}" ${usedByWords(failure.usedBy)}`;
    case 'invalid':
      return failure.problems
        .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
        .join('; ');
    case 'broken':
      return `errors in the configuration stand in the way: ${failure.problems
        .map(({ file, line, message }) => `${file}:${line}: ${message}`)
        .join('; ')}`;
    case 'last-owner':
      return `"${failure.name}" is the last owner: make somebody else an owner first`;
    default:
      return failure.message;
  }
}
