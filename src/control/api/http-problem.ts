/**
 * Error responses: problem details (RFC 9457).
 *
 *     { "type": "urn:tunwall:problem:invalid", "title": "…", "status": 422, "detail": "…",
 *       "errors": [{ "path": "inbound[2].ports[0]", "message": "expected a port from 1 to 65535 …" }] }
 *
 * The kinds are a closed list, so that a program can rely on them; the texts are for people. All errors of a request
 * are reported at once. An unexpected error is `failed`, without internal details: those go to the log.
 */
import type { FastifyReply } from 'fastify';
import { describeFailure, StoreError } from '../store/store.ts';
import { andMore } from '../../policy/problem.ts';
import type { Mention } from '../store/mentions.ts';
import type { Failure } from '../store/store.ts';

/** Status and title of each kind. */
export const problemKinds = {
  'bad-request': [400, 'The request cannot be read'],
  unauthenticated: [401, 'Authentication is required'],
  forbidden: [403, 'Your role does not allow this'],
  'foreign-origin': [403, 'The request comes from another site'],
  'not-found': [404, 'There is no such thing'],
  exists: [409, 'The name is taken'],
  'in-use': [409, 'It is in use'],
  // Of files by hand, or of what a change would leave behind.
  broken: [409, 'Errors in the configuration stand in the way'],
  'last-owner': [409, 'At least one owner is required'],
  unconfirmed: [409, 'A change waits for confirmation'],
  'precondition-failed': [412, 'It was changed meanwhile'],
  'body-too-large': [413, 'The body is too large'],
  'unsupported-media-type': [415, 'Bodies are application/json'],
  'foreign-host': [421, 'This server does not go by that name'],
  invalid: [422, 'Some values are not valid'],
  'too-many-requests': [429, 'Too many requests'],
  failed: [500, 'It went wrong'],
  busy: [503, 'Try again in a moment'],
  'no-firewall': [503, 'No firewall is running'],
  'read-only': [503, 'The configuration cannot be written'],
  'store-unavailable': [503, 'The store of the policy does not answer'],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;

/** A client mends the first errors first. */
const maxErrors = 100;

/** Places that an answer names. */
const maxUsers = 1000;

export type ProblemKind = keyof typeof problemKinds;

/** One error and its place. */
export interface FieldError {
  /** As in files: `inbound[2].ports[0]`; empty: the whole. */
  readonly path: string;
  readonly message: string;
  /** For an error in the configuration directory. */
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

export interface ProblemMembers {
  readonly errors?: readonly FieldError[];
  /** With `in-use`: the servers that have it, and all places that name it. */
  readonly servers?: readonly string[];
  readonly usedBy?: readonly Mention[];
  /** With `precondition-failed`: the current revision. */
  readonly revision?: string;
}

export class HttpProblem extends Error {
  override name = 'HttpProblem';
  readonly kind: ProblemKind;
  readonly members: ProblemMembers;
  readonly headers: Readonly<Record<string, string>>;
  /** Fastify's name for it. */
  readonly statusCode: number;

  constructor(
    kind: ProblemKind,
    detail: string,
    members: ProblemMembers = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail);
    this.kind = kind;
    this.members = members;
    this.headers = headers;
    this.statusCode = problemKinds[kind][0];
  }
}

/** The first errors, and how many more there are. @param wordsOf called for those that are shown */
export function firstOf<T>(errors: readonly T[], wordsOf: (error: T) => FieldError): FieldError[] {
  const shown = errors.slice(0, maxErrors).map(wordsOf);
  const more = errors.length - shown.length;
  return more === 0 ? shown : [...shown, { path: '', message: andMore(more) }];
}

export function invalid(all: readonly FieldError[]): HttpProblem {
  const errors = all.length > maxErrors + 1 ? firstOf(all, (each) => each) : all;
  const detail = errors
    .map(({ path, message }) => (path === '' ? message : `${path}: ${message}`))
    .join('; ');
  return new HttpProblem('invalid', detail, { errors });
}

export function noFirewall(what: string): HttpProblem {
  return new HttpProblem(
    'no-firewall',
    `no firewall runs here, which is what knows ${what}: start tunwall run`,
  );
}

export function sendProblem(reply: FastifyReply, problem: HttpProblem): FastifyReply {
  const [status, title] = problemKinds[problem.kind];
  const body = {
    type: `urn:tunwall:problem:${problem.kind}`,
    title,
    status,
    detail: problem.message,
    ...problem.members,
  };
  return reply
    .code(status)
    .headers(problem.headers)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(body);
}

/** The kind of a whole refusal is that of its gravest failure: one that prevents the others from being checked. */
const gravity: readonly Failure['kind'][] = [
  'unauthenticated',
  'forbidden',
  'failed',
  'read-only',
  'store-unavailable',
  'busy',
  'unconfirmed',
  'broken',
  'precondition-failed',
  'not-found',
  'exists',
  'in-use',
  'last-owner',
  'invalid',
];

/** The place in the body that caused a failure; undefined if its cause is the requested resource itself. */
export type Locate = (failure: Failure) => string | undefined;

/** A refused change. */
export function problemOf(error: StoreError, locate: Locate = () => undefined): HttpProblem {
  const located = error.failures.map((failure) => ({ failure, path: locate(failure) }));
  const own = located.filter(({ path }) => path === undefined).map(({ failure }) => failure);
  const kind = gravity.find((each) => own.some((failure) => failure.kind === each)) ?? 'invalid';
  const errors = located.flatMap(({ failure, path }) => errorsOf(failure, path));
  const used = own.find((failure) => failure.kind === 'in-use');
  const changed = own.find((failure) => failure.kind === 'precondition-failed');
  const retry: Record<string, string> = kind === 'busy' ? { 'retry-after': '1' } : {};
  return new HttpProblem(
    kind,
    error.message,
    {
      ...(errors.length > 0 && { errors }),
      ...(used !== undefined && usersOf(used.usedBy)),
      ...(changed?.revision !== undefined && { revision: changed.revision }),
    },
    retry,
  );
}

/** The servers by themselves, and every place, as far as a person reads. */
function usersOf(usedBy: readonly Mention[]): Pick<ProblemMembers, 'servers' | 'usedBy'> {
  const servers = usedBy.flatMap(({ kind, name }) => (kind === 'server' ? name : []));
  return { ...(servers.length > 0 && { servers }), usedBy: usedBy.slice(0, maxUsers) };
}

function errorsOf(failure: Failure, path: string | undefined): FieldError[] {
  switch (failure.kind) {
    case 'invalid':
      return failure.problems.map((each) => ({ path: each.path, message: each.message }));
    case 'broken':
      return failure.problems.map((each) => ({
        path: each.path,
        message: each.message,
        file: each.file,
        line: each.line,
        column: each.column,
      }));
    default:
      return path === undefined ? [] : [{ path, message: describeFailure(failure) }];
  }
}

/** The result of a store operation; a refusal is thrown as a problem. @throws HttpProblem */
export async function asProblem<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof StoreError ? problemOf(error) : error;
  }
}
