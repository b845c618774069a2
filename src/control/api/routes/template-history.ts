/** Every version of a template: list, text, difference, rollback. Includes destroyed templates. */
import { Type } from 'typebox';
import type { TemplateVersion } from '../../store/store.ts';
import type { Api } from '../api.ts';
import { makeChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { requirementOf } from '../etag.ts';
import { asProblem } from '../http-problem.ts';
import * as schemas from '../schemas.ts';
import { changeMark, notFound } from '../views.ts';
import { changedView, revisionOf } from './templates.ts';

const tags = ['history'];
const version = Type.Integer({ minimum: 1, title: 'the number of a version, from 1' });

export function templateHistoryRoutes(app: Api, context: ApiContext): void {
  const { history } = context.store;
  /** @throws HttpProblem for a name that was never used */
  const versionsOf = async (name: string): Promise<readonly TemplateVersion[]> => {
    const versions = await history.list(name);
    if (versions.length === 0) throw notFound('history of a template', name);
    return versions;
  };

  app.get(
    '/templates/:name/history',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The versions of a template',
        params: schemas.nameParams,
        response: { 200: schemas.versionList, ...schemas.problems },
      },
    },
    async (request) => {
      const versions = await versionsOf(request.params.name);
      return { versions: versions.map((each) => ({ ...each, ...changeMark(each) })) };
    },
  );

  app.get(
    '/templates/:name/history/:version',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The text of a version, as it was written',
        params: Type.Object({ name: Type.String(), version }),
        produces: ['application/yaml'],
        response: { 200: Type.String(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { params } = request;
      const text = await asProblem(history.text(params.name, params.version));
      return reply.type('application/yaml; charset=utf-8').serializer(String).send(text);
    },
  );

  app.get(
    '/templates/:name/history/diff',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'What differs between two versions, as a unified diff',
        description: 'Without `to` it is the newest, without `from` the one before it.',
        params: schemas.nameParams,
        querystring: Type.Object(
          {
            from: Type.Optional(
              Type.Integer({ minimum: 0, title: 'the number of a version, or 0 for nothing' }),
            ),
            to: Type.Optional(version),
          },
          { additionalProperties: false },
        ),
        produces: ['text/x-diff'],
        response: { 200: Type.String(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const versions = await versionsOf(name);
      // A version by the clock repeats the text of the one before.
      const isEdit = ({ action }: TemplateVersion): boolean =>
        action !== 'expire' && action !== 'revive';
      const { to = (versions.find(isEdit) ?? versions[0]!).version } = request.query;
      const before = versions.find((each) => each.version < to)?.version ?? 0;
      const text = await asProblem(history.diff(name, request.query.from ?? before, to));
      return reply.type('text/x-diff; charset=utf-8').serializer(String).send(text);
    },
  );

  app.post(
    '/templates/:name/rollback',
    {
      schema: {
        tags,
        summary: 'Back to a version, exactly as it was; also for a destroyed template',
        params: schemas.nameParams,
        body: Type.Object({ version }, { additionalProperties: false }),
        response: { 200: schemas.changedTemplate, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      await versionsOf(name);
      const result = await makeChange(
        context,
        request,
        ({ revisions }) => [
          {
            ...{ kind: 'restore-template', name, version: request.body.version },
            ...revisionOf(requirementOf(request, revisions.templates.get(name))),
          },
        ],
        (failure) =>
          failure.kind === 'not-found' && failure.what === 'version' ? 'version' : undefined,
      );
      return changedView(context, reply, result, name);
    },
  );
}
