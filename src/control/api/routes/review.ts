/**
 * Previews a change: its effect on the files and servers, and how many live flows it would cut. Also makes several
 * operations as one change, all or nothing.
 */
import { Type } from 'typebox';
import { openings } from '../../../policy/openings.ts';
import type { Operation, Preview } from '../../store/store.ts';
import { identityOf } from '../access.ts';
import { effectsOf } from '../affected.ts';
import type { Api } from '../api.ts';
import { newWarnings, storeChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { operationSchema, operationsProblem, parseOperations, requireOne } from '../operations.ts';
import * as schemas from '../schemas.ts';
import { review } from '../review-schemas.ts';
import { checkedBy } from '../validation.ts';
import { withoutReadOnly } from '../views.ts';

/** A whole policy, with lists. */
const maxPolicyBytes = 16 << 20;

const documented = Type.Object({
  operations: Type.Optional(Type.Array(operationSchema)),
  template: Type.Optional(schemas.templateBody),
  server: Type.Optional(schemas.serverBody),
});
const checked = Type.Object(
  {
    operations: Type.Optional(Type.Array(Type.Unknown())),
    template: Type.Optional(Type.Object({ name: schemas.nameSchema })),
    server: Type.Optional(Type.Object({ name: schemas.nameSchema })),
  },
  { additionalProperties: false },
);

export function reviewRoutes(app: Api, context: ApiContext): void {
  const { store, observer } = context;
  const tags = ['changes'];
  app.post(
    '/review',
    {
      bodyLimit: maxPolicyBytes,
      schema: {
        tags,
        summary: 'What a change would do, without doing it',
        description:
          'Operations; or a template or server as it is to be. Refused as the change itself would be.',
        querystring: Type.Object(
          {
            flows: Type.Optional(
              Type.Boolean({
                description: 'False: only whether it may be done, without the flows it would cut.',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        body: checkedBy(documented, checked),
        response: { 200: review, ...schemas.problems },
      },
    },
    async (request) => {
      const { body } = request;
      requireOne(body, ['operations', 'template', 'server']);
      const { operations, one } = operationsOf(body);
      let preview: Preview;
      try {
        preview = await store.preview(() => operations);
      } catch (error) {
        throw operationsProblem(error, one ? undefined : operations);
      }
      const { changed, diff, before, after } = preview;
      const { flows = true } = request.query;
      const nowMs = Date.now();
      const effects = effectsOf(before, after, changed, nowMs);
      const servers = effects.affected.map(({ server }) => server);
      const answer = {
        revision: before.revision,
        ...{ changed, diff, ...effects, servers },
        opens: flows ? openings(before, after, servers, nowMs) : [],
        closes: flows ? openings(after, before, servers, nowMs) : [],
        warnings: newWarnings(before, after),
      };
      if (observer === undefined || !flows) return answer;
      const { address } = identityOf(request).actor;
      const { count, largest, ofClient } = await observer.cutBy(after, address);
      return { ...answer, flowsCut: count, largestFlowsCut: largest, cutsClient: ofClient };
    },
  );

  app.post(
    '/changes',
    {
      bodyLimit: maxPolicyBytes,
      schema: {
        tags,
        summary: 'Several operations as one change: all of them, or none',
        body: checkedBy(
          Type.Object({ operations: Type.Array(operationSchema) }),
          Type.Object({ operations: Type.Array(Type.Unknown()) }, { additionalProperties: false }),
        ),
        response: { 200: schemas.changeOnly, ...schemas.problems },
      },
    },
    async (request) => {
      const operations = parseOperations(request.body.operations);
      try {
        const { changed, applied } = await storeChange(context, request, () => operations);
        return { changed, applied };
      } catch (error) {
        throw operationsProblem(error, operations);
      }
    },
  );
}

interface ReviewBody {
  readonly operations?: readonly unknown[];
  readonly template?: { readonly name: string };
  readonly server?: { readonly name: string };
}

/** `one`: there is one operation, and paths are those of its body. */
function operationsOf(body: ReviewBody): { operations: readonly Operation[]; one: boolean } {
  const { template, server } = body;
  if (template !== undefined) {
    const { name } = template;
    const content = withoutReadOnly('template', template);
    return {
      operations: [{ kind: 'replace-template', name, body: content, upsert: true }],
      one: true,
    };
  }
  if (server !== undefined) {
    const { name } = server;
    const content = withoutReadOnly('server', server);
    return {
      operations: [{ kind: 'replace-server', name, body: content, upsert: true }],
      one: true,
    };
  }
  return { operations: parseOperations(body.operations ?? []), one: false };
}
