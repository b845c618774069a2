/** Servers: list, show, create, replace, destroy; their templates, and the resulting rules. */
import { Type } from 'typebox';
import { judgeServer, serverBody } from '../../../policy/bodies.ts';
import { labelsOf } from '../../../policy/server-index.ts';
import { selects } from '../../../policy/selector.ts';
import { StoreError } from '../../store/store.ts';
import type { Snapshot } from '../../store/store.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import type { Api, Reply } from '../api.ts';
import { locateNames, makeChange, makeOperations } from '../changes.ts';
import type { AppliedChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { isKnown, requirementOf, setTag } from '../etag.ts';
import { invalid } from '../http-problem.ts';
import { resolverOf } from '../resolved.ts';
import * as schemas from '../schemas.ts';
import { selectorOf } from '../selectors.ts';
import { checkedBy, checker } from '../validation.ts';
import { requireServer, ruleView, serverView, withoutReadOnly } from '../views.ts';
import type { RuleView, ServerView } from '../views.ts';
import { destroyRoute, isCreated, putThing, renameRoute, revisionOf } from './resources.ts';
import { assignments } from './templates.ts';

const tags = ['servers'];
const named = Type.Object({ name: Type.String({ title: 'a name' }) });

export function serverRoutes(app: Api, context: ApiContext): void {
  readingRoutes(app, context);
  changingRoutes(app, context);
  templateRoutes(app, context);
}

function readingRoutes(app: Api, context: ApiContext): void {
  const { controlPlane, observer } = context;
  app.get(
    '/servers',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'List servers',
        querystring: Type.Object(
          {
            template: Type.Optional(Type.String({ description: 'Those that have it.' })),
            region: Type.Optional(Type.String()),
            selector: Type.Optional(schemas.selector),
          },
          { additionalProperties: false },
        ),
        response: { 200: schemas.serverList, ...schemas.problems },
      },
    },
    async (request) => {
      const snapshot = await controlPlane.snapshot();
      const { template, region, selector } = request.query;
      const wanted = selector === undefined ? undefined : selectorOf(selector, 'selector');
      const servers = snapshot.servers
        .filter(
          (each) =>
            (region === undefined || each.region === region) &&
            (wanted === undefined || selects(wanted, labelsOf(each))),
        )
        .map((each) => serverView(snapshot, each))
        .filter((view) => template === undefined || hasTemplate(view, template));
      return { servers };
    },
  );

  app.get(
    '/servers/:name',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Show a server',
        params: schemas.nameParams,
        response: { 200: schemas.server, ...schemas.notModified, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const snapshot = await controlPlane.snapshot();
      const view = serverView(snapshot, requireServer(snapshot, request.params.name));
      setTag(reply, view.revision);
      return isKnown(request, view.revision) ? reply.code(304).send(null) : view;
    },
  );

  app.get(
    '/servers/:name/rules',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The rules of a server: the union of those of its templates',
        params: schemas.nameParams,
        querystring: schemas.resolveQuery,
        response: { 200: schemas.effectiveRules, ...schemas.problems },
      },
    },
    async (request) => {
      const snapshot = await controlPlane.snapshot();
      const server = serverView(snapshot, requireServer(snapshot, request.params.name));
      const hits = observer?.ruleHits();
      const resolver = request.query.resolve === true ? resolverOf(snapshot) : undefined;
      const reasons = new Map(server.appliedTemplates.map((each) => [each.template, each]));
      const rules = (direction: RuleDirection): EffectiveRule[] =>
        snapshot.templates
          .filter(({ name }) => hasTemplate(server, name))
          .flatMap(({ name: template, [direction]: own }) =>
            own.map((rule, index) => ({
              ...{ index, ...(reasons.get(template) ?? { template }) },
              ...ruleView(template, direction, rule, hits, resolver),
            })),
          );
      return { inbound: rules('inbound'), outbound: rules('outbound') };
    },
  );
}

type EffectiveRule = RuleView & {
  readonly template: string;
  readonly index: number;
  readonly selector?: string;
};

function hasTemplate(
  { templates, appliedTemplates }: Pick<ServerView, 'templates' | 'appliedTemplates'>,
  name: string,
): boolean {
  return templates.includes(name) || appliedTemplates.some(({ template }) => template === name);
}

function changingRoutes(app: Api, context: ApiContext): void {
  const errorsOf = checker(named);
  app.post(
    '/servers',
    {
      schema: {
        tags,
        summary: 'Create a server; with templates it is filtered by them from its first packet',
        body: checkedBy(schemas.newServerBody, schemas.anyObject),
        response: { 201: schemas.changedServer, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const errors = errorsOf(request.body);
      const body = withoutReadOnly('server', request.body);
      if (errors.length > 0) {
        throw invalid([...errors, ...(await bodyErrors(context, { ...body, name: 'x' }))]);
      }
      const name = body['name'] as string;
      const result = await makeOperations(context, request, [
        { kind: 'create-server', name, body },
      ]);
      reply.code(201).header('location', `/v1/servers/${encodeURIComponent(name)}`);
      return changedView(reply, result, name);
    },
  );

  app.put(
    '/servers/:name',
    {
      schema: {
        tags,
        summary: 'Replace a server, or create it',
        description:
          'If-Match: only if it has this revision. If-None-Match: * only if there is none yet. 201 when it was created.',
        params: schemas.nameParams,
        body: checkedBy(schemas.serverBody, schemas.anyObject),
        response: { 200: schemas.changedServer, 201: schemas.changedServer, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const body = withoutReadOnly('server', request.body);
      const result = await putThing(context, request, 'server', name, body);
      if (isCreated(result, 'server', name)) reply.code(201);
      return changedView(reply, result, name);
    },
  );

  patchRoute(app, context);

  const resource = { kind: 'server', tags, changedView, changed: schemas.changedServer } as const;
  destroyRoute(app, context, resource, {
    summary: 'Destroy a server: what goes to it is dropped from then on',
    description: 'Refused as in-use while a rule names it, unless `force`.',
  });
  renameRoute(app, context, resource, 'Rename a server: its templates stay with it');
}

/**
 * RFC 7396 (JSON merge patch): what is not named stays, null takes away, and labels are named one by one. A mapping of which nothing
 * is left goes as well.
 */
function patchRoute(app: Api, context: ApiContext): void {
  app.patch(
    '/servers/:name',
    {
      schema: {
        tags,
        summary: 'Change what is named of a server: null takes away, labels and reject one by one',
        description: 'If-Match: only if it has this revision.',
        params: schemas.nameParams,
        body: checkedBy(schemas.serverPatch, schemas.anyObject),
        response: { 200: schemas.changedServer, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const patch = withoutReadOnly('server', request.body);
      const result = await makeChange(context, request, ({ servers, revisions }) => {
        const server = servers.find((each) => each.name === name);
        if (server === undefined) {
          throw new StoreError([{ kind: 'not-found', what: 'server', name }]);
        }
        const body = merged(serverBody(server), patch);
        if (isEmpty(body['labels'])) delete body['labels'];
        if (isEmpty(body['reject'])) delete body['reject'];
        return [
          {
            ...{ kind: 'replace-server', name, body },
            ...revisionOf(requirementOf(request, revisions.servers.get(name))),
          },
        ];
      });
      return changedView(reply, result, name);
    },
  );
}

/** RFC 7396. */
function merged(target: object, patch: object): Record<string, unknown> {
  const result = new Map<string, unknown>(Object.entries(target));
  for (const [key, value] of Object.entries(patch) as [string, unknown][]) {
    const before = result.get(key);
    if (value === null) result.delete(key);
    else result.set(key, isMapping(value) ? merged(isMapping(before) ? before : {}, value) : value);
  }
  return Object.fromEntries(result);
}

function isEmpty(value: unknown): boolean {
  return isMapping(value) && Object.keys(value).length === 0;
}

function isMapping(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The other errors of a server without a name. */
async function bodyErrors(
  { controlPlane }: ApiContext,
  body: object,
): Promise<readonly { path: string; message: string }[]> {
  const { templates } = await controlPlane.snapshot();
  const judged = judgeServer('x', body, new Set(templates.map(({ name }) => name)));
  return 'problems' in judged ? judged.problems : [];
}

function changedView(
  reply: Reply,
  { snapshot, applied }: AppliedChange,
  name: string,
): ServerView & { readonly applied: AppliedChange['applied'] } {
  const view = serverView(snapshot, requireServer(snapshot, name));
  setTag(reply, view.revision);
  return { ...view, applied };
}

function templateRoutes(app: Api, context: ApiContext): void {
  app.get(
    '/servers/:name/templates',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The templates of a server',
        params: schemas.nameParams,
        response: {
          200: schemas.serverTemplates,
          ...schemas.problems,
        },
      },
    },
    async (request) => {
      const snapshot = await context.controlPlane.snapshot();
      const server = requireServer(snapshot, request.params.name);
      const { templates, appliedTemplates } = serverView(snapshot, server);
      return { templates, appliedTemplates };
    },
  );

  app.put(
    '/servers/:name/templates',
    {
      schema: {
        tags,
        summary: 'Give a server exactly these templates',
        description: 'If-Match: only if the server has this revision.',
        params: schemas.nameParams,
        body: Type.Object({ templates: schemas.names }, { additionalProperties: false }),
        response: { 200: schemas.changedNames, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { templates } = request.body;
      const { snapshot, applied } = await makeChange(
        context,
        request,
        (before) => {
          requireRevision(before, name, requirementOf(request, before.revisions.servers.get(name)));
          const had = before.servers.find((each) => each.name === name)?.templates ?? [];
          const leaving = had.filter((each) => !templates.includes(each));
          return assignments(
            { kind: 'assign', servers: [name], templates },
            { kind: 'unassign', servers: [name], templates: leaving },
          );
        },
        locateNames({ template: { names: templates, path: 'templates' } }),
      );
      const view = serverView(snapshot, requireServer(snapshot, name));
      setTag(reply, view.revision);
      const { templates: named, appliedTemplates } = view;
      return { templates: named, appliedTemplates, applied };
    },
  );
}

/** Assignments have no revisions. @throws StoreError */
function requireRevision(
  { revisions }: Snapshot,
  name: string,
  { ifRevision }: { ifRevision?: string },
): void {
  const revision = revisions.servers.get(name);
  if (ifRevision === undefined || ifRevision === revision) return;
  throw new StoreError([
    {
      ...{ kind: 'precondition-failed', what: 'server', name },
      ...(revision !== undefined && { revision }),
    },
  ]);
}
