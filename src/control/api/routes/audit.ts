/** The audit log, newest first. */
import { Type } from 'typebox';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { invalid } from '../http-problem.ts';
import { limit } from '../live-schemas.ts';
import * as schemas from '../schemas.ts';
import * as userSchemas from '../user-schemas.ts';

export function auditRoutes(app: Api, { store }: ApiContext): void {
  const time = Type.Optional(Type.String({ description: 'ISO 8601, included.' }));
  app.get(
    '/audit',
    {
      schema: {
        tags: ['audit'],
        summary: 'The audit log: changes, logins, refusals',
        querystring: Type.Object(
          {
            limit: Type.Optional(limit(1000)),
            before: Type.Optional(Type.String({ description: 'The `next` of the page before.' })),
            actor: Type.Optional(Type.String()),
            action: Type.Optional(Type.String({ description: 'Or its first part: `template`.' })),
            target: Type.Optional(
              Type.String({ description: 'The name of a template, server, set or user.' }),
            ),
            result: Type.Optional(Type.Enum(['ok', 'denied', 'refused', 'failed'])),
            since: time,
            until: time,
          },
          { additionalProperties: false },
        ),
        response: { 200: userSchemas.auditPage, ...schemas.problems },
      },
    },
    async (request) => {
      const { query } = request;
      const wrong = (['since', 'until'] as const).filter(
        (key) => query[key] !== undefined && Number.isNaN(Date.parse(query[key])),
      );
      if (wrong.length > 0) {
        throw invalid(
          wrong.map((path) => ({ path, message: 'expected a time like 2030-01-31T12:00:00Z' })),
        );
      }
      return await store.audit.query(query);
    },
  );
}
