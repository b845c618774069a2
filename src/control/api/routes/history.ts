/** Every version of a template or set: list, text, difference, rollback. Includes what was destroyed. */
import { Type } from 'typebox';
import type { Operation, Version, VersionHistory } from '../../store/store.ts';
import type { Api } from '../api.ts';
import { makeChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { requirementOf } from '../etag.ts';
import { asProblem } from '../http-problem.ts';
import * as histories from '../history-schemas.ts';
import * as schemas from '../schemas.ts';
import { changeMark, notFound } from '../views.ts';
import { revisionOf } from './resources.ts';
import type { Resource } from './resources.ts';

const tags = ['history'];
const version = Type.Integer({ minimum: 1, title: 'the number of a version, from 1' });

export function historyRoutes(
  app: Api,
  context: ApiContext,
  resource: Resource & { readonly kind: 'template' | 'set' },
): void {
  const { kind, changedView, changed } = resource;
  const path = `/${kind}s/:name` as const;
  const history: VersionHistory =
    kind === 'template' ? context.store.history : context.store.setHistory;
  /** @throws HttpProblem for a name that was never used */
  const versionsOf = async (name: string): Promise<readonly Version[]> => {
    const versions = await history.list(name);
    if (versions.length === 0) throw notFound(`history of a ${kind}`, name);
    return versions;
  };

  app.get(
    `${path}/history`,
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: `The versions of a ${kind}`,
        params: schemas.nameParams,
        response: { 200: histories.versionList, ...schemas.problems },
      },
    },
    async (request) => {
      const versions = await versionsOf(request.params.name);
      return { versions: versions.map((each) => ({ ...each, ...changeMark(each) })) };
    },
  );

  app.get(
    `${path}/history/:version`,
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
    `${path}/history/diff`,
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
      const isEdit = ({ action }: Version): boolean => action !== 'expire' && action !== 'revive';
      const { to = (versions.find(isEdit) ?? versions[0]!).version } = request.query;
      const before = versions.find((each) => each.version < to)?.version ?? 0;
      const text = await asProblem(history.diff(name, request.query.from ?? before, to));
      return reply.type('text/x-diff; charset=utf-8').serializer(String).send(text);
    },
  );

  app.post(
    `${path}/rollback`,
    {
      schema: {
        tags,
        summary: `Back to a version, exactly as it was; also for a destroyed ${kind}`,
        params: schemas.nameParams,
        body: Type.Object({ version }, { additionalProperties: false }),
        response: { 200: changed, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      await versionsOf(name);
      const result = await makeChange(
        context,
        request,
        ({ revisions }): Operation[] => [
          {
            ...{ kind: `restore-${kind}`, name, version: request.body.version },
            ...revisionOf(requirementOf(request, revisions[`${kind}s`].get(name))),
          },
        ],
        (failure) =>
          failure.kind === 'not-found' && (failure.what === 'version' || failure.what === 'list')
            ? 'version'
            : undefined,
      );
      return changedView(reply, result, name);
    },
  );
}
