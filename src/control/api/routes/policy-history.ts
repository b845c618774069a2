/** The history of the whole policy. The way back is an operation of `/changes` and `/review`: `restore-policy`. */
import { Type } from 'typebox';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { asProblem } from '../http-problem.ts';
import * as history from '../history-schemas.ts';
import * as schemas from '../schemas.ts';

const tags = ['history'];
const number = Type.Integer({ minimum: 0, title: 'the number of a change' });

export function policyHistoryRoutes(app: Api, { store }: ApiContext): void {
  app.get(
    '/history',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The changes of the policy: templates, sets and servers, by hand too',
        querystring: Type.Object(
          {
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 50 })),
            before: Type.Optional(number),
          },
          { additionalProperties: false },
        ),
        response: { 200: history.policyChanges, ...schemas.problems },
      },
    },
    async (request) => {
      const { changes, next } = await asProblem(store.changes.list(request.query));
      const views = changes.map(({ actor, ...rest }) => ({
        ...{ ...rest, actor: actor.name, via: actor.via },
      }));
      return { changes: views, ...(next !== undefined && { next }) };
    },
  );

  app.get(
    '/history/diff',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'What differs between the policies after two changes, as a unified diff',
        description: 'Without `to` it is the newest, without `from` the one before it.',
        querystring: Type.Object(
          { from: Type.Optional(number), to: Type.Optional(number) },
          { additionalProperties: false },
        ),
        produces: ['text/x-diff'],
        response: { 200: Type.String(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const [newest] = (await asProblem(store.changes.list({ limit: 1 }))).changes;
      const { to = newest?.number ?? 0 } = request.query;
      const { from = Math.max(0, to - 1) } = request.query;
      const text = await asProblem(store.changes.diff(from, to));
      return reply.type('text/x-diff; charset=utf-8').serializer(String).send(text);
    },
  );
}
