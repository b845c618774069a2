/** What templates, servers and sets have in common: PUT with its preconditions, DELETE, a copy, another name. */
import { Type } from 'typebox';
import type { TUnsafe } from 'typebox';
import type { Operation } from '../../store/store.ts';
import type { Api, Reply, Request } from '../api.ts';
import { makeChange } from '../changes.ts';
import type { AppliedChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { requirementOf } from '../etag.ts';
import type { Requirement } from '../etag.ts';
import { HttpProblem } from '../http-problem.ts';
import type { problemOf } from '../http-problem.ts';
import * as schemas from '../schemas.ts';

type Kind = 'template' | 'server' | 'set';

export interface Resource {
  readonly kind: Kind;
  readonly tags: string[];
  /** The answer to a change: its new state, and whether that is in force. Sets the ETag. */
  readonly changedView: (reply: Reply, result: AppliedChange, name: string) => object;
  readonly changed: TUnsafe<object>;
}

const toBody = Type.Object({ to: schemas.nameSchema }, { additionalProperties: false });

export function destroyRoute(
  app: Api,
  context: ApiContext,
  { kind, tags }: Resource,
  words: { readonly summary: string; readonly description: string },
): void {
  app.delete(
    `/${kind}s/:name`,
    {
      schema: {
        tags,
        ...words,
        params: schemas.nameParams,
        querystring: Type.Object(
          {
            force: Type.Optional(
              Type.Boolean({ description: 'Remove it from everything that names it first.' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: schemas.changeOnly, ...schemas.problems },
      },
    },
    async (request) => {
      const { name } = request.params;
      const { force = false } = request.query;
      const { changed, applied } = await makeChange(
        context,
        request,
        ({ revisions }): Operation[] => [
          {
            ...{ kind: `destroy-${kind}`, name, force },
            ...revisionOf(requirementOf(request, revisions[`${kind}s`].get(name))),
          },
        ],
      );
      return { changed, applied };
    },
  );
}

export function copyRoute(
  app: Api,
  context: ApiContext,
  { kind, tags, changed, changedView }: Resource & { readonly kind: 'template' | 'set' },
  summary: string,
): void {
  app.post(
    `/${kind}s/:name/clone`,
    {
      schema: {
        tags,
        summary,
        params: schemas.nameParams,
        body: toBody,
        response: { 201: changed, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { to } = request.body;
      const result = await makeChange(context, request, () => [
        { kind: `clone-${kind}`, name, to },
      ]);
      reply.code(201).header('location', `/v1/${kind}s/${encodeURIComponent(to)}`);
      return changedView(reply, result, to);
    },
  );
}

export function renameRoute(
  app: Api,
  context: ApiContext,
  { kind, tags, changed, changedView }: Resource,
  summary: string,
): void {
  app.post(
    `/${kind}s/:name/rename`,
    {
      schema: {
        tags,
        summary,
        description: 'What names it names it by its new name, in the same change.',
        params: schemas.nameParams,
        body: toBody,
        response: { 201: changed, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { to } = request.body;
      const result = await makeChange(context, request, ({ revisions }): Operation[] => [
        {
          ...{ kind: `rename-${kind}`, name, to },
          ...revisionOf(requirementOf(request, revisions[`${kind}s`].get(name))),
        },
      ]);
      reply.code(201).header('location', `/v1/${kind}s/${encodeURIComponent(to)}`);
      return changedView(reply, result, to);
    },
  );
}

export function revisionOf({ ifRevision, mustExist }: Requirement): { ifRevision?: string } {
  // The resource must exist for this change anyway: `*` requires no more than that.
  return ifRevision === undefined || !mustExist ? {} : { ifRevision };
}

/** PUT, with the meaning that HTTP gives to its preconditions. */
export async function putThing(
  context: ApiContext,
  request: Request,
  kind: Kind,
  name: string,
  body: unknown,
  locate?: Parameters<typeof problemOf>[1],
): Promise<AppliedChange> {
  const operation = (requirement: Requirement): Operation =>
    requirement.mustNotExist
      ? { kind: `create-${kind}`, name, body }
      : {
          ...{ kind: `replace-${kind}`, name, body, upsert: !requirement.mustExist },
          ...(requirement.ifRevision !== undefined && { ifRevision: requirement.ifRevision }),
        };
  try {
    return await makeChange(
      context,
      request,
      ({ revisions }) => [operation(requirementOf(request, revisions[`${kind}s`].get(name)))],
      locate,
    );
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
    const { mustExist, mustNotExist } = requirementOf(request, undefined);
    const failed =
      (mustNotExist && error.kind === 'exists') || (mustExist && error.kind === 'not-found');
    if (!failed) throw error;
    throw new HttpProblem('precondition-failed', error.message, error.members);
  }
}

export function isCreated({ changed }: AppliedChange, kind: Kind, name: string): boolean {
  return changed.some(
    (each) => each.kind === kind && each.name === name && each.before === undefined,
  );
}
