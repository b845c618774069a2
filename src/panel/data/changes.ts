/**
 * Changes as operations: the same list is reviewed first (what it would do, `POST /v1/review`) and then made
 * (`POST /v1/changes`), as one change: all of it, or nothing.
 */
import type { Static } from 'typebox';
import type * as schemas from '../../api/schemas.ts';
import { request } from './client.ts';
import type { Change, Direction, FieldError, Review } from './types.ts';

export type TemplateBody = Omit<Static<typeof schemas.templateBody>, 'name'>;
export type RuleBody = Static<typeof schemas.ruleBody>;

interface Assignment {
  readonly servers: readonly string[];
  readonly templates: readonly string[];
}

/** Those of the API's operations that the panel makes; `ifRevision`: only if it is still that. */
export type Operation =
  | { readonly kind: 'create-template'; readonly name: string; readonly body: TemplateBody }
  | {
      readonly kind: 'replace-template';
      readonly name: string;
      readonly body: TemplateBody;
      readonly upsert?: boolean;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'rename-template';
      readonly name: string;
      readonly to: string;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'destroy-template';
      readonly name: string;
      readonly force?: boolean;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'restore-template';
      readonly name: string;
      readonly version: number;
      readonly ifRevision?: string;
    }
  | {
      readonly kind: 'add-rule';
      readonly template: string;
      readonly direction: Direction;
      readonly rule: RuleBody;
      readonly index?: number;
      readonly ifRevision?: string;
    }
  | ({ readonly kind: 'assign' | 'unassign' } & Assignment);

/** What it would do. @throws ApiProblem as the change itself would */
export function review(operations: readonly Operation[], signal?: AbortSignal): Promise<Review> {
  return request('POST', '/v1/review', { body: { operations }, signal });
}

/** @throws ApiProblem */
export function makeChange(operations: readonly Operation[]): Promise<Change> {
  return request('POST', '/v1/changes', { body: { operations } });
}

/**
 * An error of an operation, with the path that the thing itself would have: `operations[0].body.inbound[1].ports[0]` is
 * `inbound[1].ports[0]` of operation 0.
 */
export function locate({ path }: FieldError): { operation: number; path: string } | undefined {
  const found = /^operations\[(\d+)\](?:\.(?:body|rule)(?=\.|$))?\.?(.*)$/.exec(path);
  return found === null ? undefined : { operation: Number(found[1]), path: found[2]! };
}
