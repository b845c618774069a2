/**
 * Entity tags (RFC 9110): the revision of a resource in quotes. `If-Match` names the revision that a change is based
 * on, so that two people do not overwrite each other's work; `If-None-Match: *` requires that the resource does not
 * exist yet.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpProblem } from './http-problem.ts';

/** `*`, or the tags without their quotes. */
type Tags = '*' | readonly string[];

export interface Preconditions {
  readonly ifMatch?: Tags;
  readonly ifNoneMatch?: Tags;
}

export function preconditionsOf({ headers }: FastifyRequest): Preconditions {
  const match = headers['if-match'];
  const noneMatch = headers['if-none-match'];
  return {
    // A weak tag never matches here.
    ...(match !== undefined && { ifMatch: parseTags('If-Match', match, false) }),
    ...(noneMatch !== undefined && { ifNoneMatch: parseTags('If-None-Match', noneMatch, true) }),
  };
}

/** The precondition of a change; the store checks it. */
export interface Requirement {
  /** The revision that it must have. */
  readonly ifRevision?: string;
  /** It must exist, in any revision. */
  readonly mustExist: boolean;
  readonly mustNotExist: boolean;
}

/** @param current its revision, if it exists */
export function requirementOf(request: FastifyRequest, current: string | undefined): Requirement {
  const { ifMatch, ifNoneMatch } = preconditionsOf(request);
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new HttpProblem('bad-request', 'If-None-Match: a change takes * only');
  }
  return {
    // If none is the current one, any of them makes the store refuse the change.
    ...(ifMatch !== undefined &&
      ifMatch !== '*' && {
        ifRevision: ifMatch.find((tag) => tag === current) ?? ifMatch[0] ?? '',
      }),
    mustExist: ifMatch !== undefined,
    mustNotExist: ifNoneMatch === '*',
  };
}

export function setTag(reply: FastifyReply, revision: string): void {
  reply.header('etag', `"${revision}"`);
}

/** Whether the client has this revision already: the answer is then 304. */
export function isKnown(request: FastifyRequest, revision: string): boolean {
  const { ifNoneMatch } = preconditionsOf(request);
  return ifNoneMatch === '*' || (ifNoneMatch?.includes(revision) ?? false);
}

function parseTags(header: string, value: string, weak: boolean): Tags {
  if (value.trim() === '*') return '*';
  const tags = value.split(',').map((each) => /^\s*(W\/)?"([^"]*)"\s*$/.exec(each));
  if (tags.includes(null)) {
    throw new HttpProblem('bad-request', `${header}: expected * or tags in quotes like "abc"`);
  }
  return tags.flatMap((tag) => (tag![1] === undefined || weak ? [tag![2]!] : ['']));
}
