/** Assigns templates to many servers, or removes them, in one change. */
import { Type } from 'typebox';
import { labelsOf } from '../../../policy/server-index.ts';
import { selects } from '../../../policy/selector.ts';
import type { Api } from '../api.ts';
import { locateNames, makeChange, withWarnings } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { requireOne } from '../operations.ts';
import * as schemas from '../schemas.ts';
import { selectorOf } from '../selectors.ts';

const body = Type.Object(
  {
    servers: Type.Optional(schemas.names),
    selector: Type.Optional(schemas.selector),
    templates: schemas.names,
  },
  { additionalProperties: false },
);

export function assignmentRoutes(app: Api, context: ApiContext): void {
  const route = (path: string, kind: 'assign' | 'unassign', summary: string): void => {
    app.post(
      path,
      {
        schema: {
          tags: ['assignments'],
          summary,
          description:
            'Each of the templates, each of the servers: by name, or those that the selector matches now. What is so already stays so.',
          body,
          response: { 200: schemas.assignedChange, ...schemas.problems },
        },
      },
      async (request) => {
        requireOne(request.body, ['servers', 'selector']);
        const { servers: named, selector, templates } = request.body;
        const wanted = selector === undefined ? undefined : selectorOf(selector, 'selector');
        let servers = named ?? [];
        const { changed, applied } = await makeChange(
          context,
          request,
          (before) => {
            if (wanted !== undefined) {
              servers = before.servers
                .filter((each) => selects(wanted, labelsOf(each)))
                .map(({ name }) => name);
            }
            return [{ kind, servers, templates }];
          },
          locateNames({
            server: { names: servers, path: 'servers' },
            template: { names: templates, path: 'templates' },
          }),
        );
        const nobody = `no server matches "${selector ?? ''}": nothing was done`;
        const warnings = wanted !== undefined && servers.length === 0 ? [nobody] : [];
        return { changed, servers, applied: withWarnings(applied, warnings) };
      },
    );
  };
  route('/assignments', 'assign', 'Assign templates to servers');
  route('/assignments/remove', 'unassign', 'Remove templates from servers');
}
