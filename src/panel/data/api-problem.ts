/** Why a request was not done: the API's problem documents, and the gateway that does not answer. */
import type { FieldError, Mention, Problem } from './types.ts';

/** As in `urn:tunwall:problem:KIND`; `unreachable` is ours: there was no answer, or none of the API. */
export type ProblemKind = string;

export class ApiProblem extends Error {
  override name = 'ApiProblem';
  readonly kind: ProblemKind;
  readonly title: string;
  readonly status: number;
  readonly errors: readonly FieldError[];
  /** With `in-use`: the servers that use it. */
  readonly servers: readonly string[];
  /** With `in-use`: the places that name it. */
  readonly usedBy: readonly Mention[];
  /** With `precondition-failed`: the revision that it has now. */
  readonly revision: string | undefined;

  constructor(kind: ProblemKind, problem: Omit<Problem, 'type'>) {
    super(problem.detail);
    this.kind = kind;
    this.title = problem.title;
    this.status = problem.status;
    this.errors = problem.errors ?? [];
    this.servers = problem.servers ?? [];
    this.usedBy = problem.usedBy ?? [];
    this.revision = problem.revision;
  }
}

export function unreachable(): ApiProblem {
  return new ApiProblem('unreachable', {
    ...{ title: 'The gateway does not answer', status: 0 },
    detail: 'It may be restarting, or the network to it is down. The page tries again by itself.',
  });
}

/** Whatever was thrown, as something that can be shown. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  return new ApiProblem('failed', {
    title: 'The page made a mistake',
    status: 0,
    detail: error instanceof Error ? error.message : String(error),
  });
}

export function isKind(error: unknown, kind: ProblemKind): boolean {
  return error instanceof ApiProblem && error.kind === kind;
}
