/** Assigns templates to many servers, or removes them, in one change. */
import { Type } from 'typebox';
import type { Api } from '../api.ts';
import { locateNames, makeOperations } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import * as schemas from '../schemas.ts';

export function assignmentRoutes(app: Api, context: ApiContext): void {
  const route = (path: string, kind: 'assign' | 'unassign', summary: string): void => {
    app.post(
      path,
      {
        schema: {
          tags: ['assignments'],
          summary,
          description: 'Each of the templates, each of the servers. What is so already stays so.',
          body: Type.Object(
            { servers: schemas.names, templates: schemas.names },
            { additionalProperties: false },
          ),
          response: { 200: schemas.changeOnly, ...schemas.problems },
        },
      },
      async (request) => {
        const { servers, templates } = request.body;
        const { changed, applied } = await makeOperations(
          context,
          request,
          [{ kind, servers, templates }],
          locateNames({
            server: { names: servers, path: 'servers' },
            template: { names: templates, path: 'templates' },
          }),
        );
        return { changed, applied };
      },
    );
  };
  route('/assignments', 'assign', 'Assign templates to servers');
  route('/assignments/remove', 'unassign', 'Remove templates from servers');
}
