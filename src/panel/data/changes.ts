/**
 * Changes as operations: the same list is reviewed first (what it would do, `POST /v1/review`) and then made
 * (`POST /v1/changes`), as one change: all of it, or nothing.
 */
import type { Static } from 'typebox';
import type { Operation } from '../../control/api/operations.ts';
import type * as schemas from '../../control/api/schemas.ts';
import { request } from './client.ts';
import type { Change, FieldError, Review } from './types.ts';

export type { Operation };

export type TemplateBody = Omit<Static<typeof schemas.templateBody>, 'name'>;
export type RuleBody = Static<typeof schemas.ruleBody>;

/** What it would do. @throws ApiProblem as the change itself would */
export function review(operations: readonly Operation[], signal?: AbortSignal): Promise<Review> {
  return request('POST', '/v1/review', { body: { operations }, signal });
}

/** Only whether it may be done: that is soon said, however many rules and flows there are. @throws ApiProblem */
export async function check(operations: readonly Operation[], signal: AbortSignal): Promise<void> {
  await request('POST', '/v1/review?flows=false', { body: { operations }, signal });
}

export interface ChangeWords {
  readonly operations: readonly Operation[];
  /** Why, for history and audit log. */
  readonly why?: string;
  /** Seconds, after which it is undone unless somebody confirms it; absent: it stays. */
  readonly confirmWithinS?: number | undefined;
}

/** @throws ApiProblem */
export function makeChange({ operations, why, confirmWithinS }: ChangeWords): Promise<Change> {
  return request('POST', '/v1/changes', { body: { operations }, why, confirmWithinS });
}

/** Keeps the change that waits for confirmation, or undoes it now. @throws ApiProblem `not-found`: it waits no more */
export async function settleChange(how: 'confirm' | 'revert', revision: number): Promise<void> {
  await request('POST', `/v1/changes/${how}?revision=${revision}`);
}

/**
 * An error of an operation, with the path that the thing itself would have: `operations[0].body.inbound[1].ports[0]` is
 * `inbound[1].ports[0]` of operation 0.
 */
export function locate({ path }: FieldError): { operation: number; path: string } | undefined {
  const found = /^operations\[(\d+)\](?:\.(?:body|rule)(?=\.|$))?\.?(.*)$/.exec(path);
  return found === null ? undefined : { operation: Number(found[1]), path: found[2]! };
}
