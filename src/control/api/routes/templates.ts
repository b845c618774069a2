/** Templates as a whole: list, show, create, replace, destroy, clone, rename, and the servers that have them. */
import { Type } from 'typebox';
import { judgeTemplate } from '../../../policy/bodies.ts';
import { presets } from '../../../policy/presets.ts';
import { didYouMean } from '../../../policy/problem.ts';
import { StoreError } from '../../store/store.ts';
import type { Operation } from '../../store/store.ts';
import type { Api, Reply } from '../api.ts';
import { locateNames, makeChange, makeOperations } from '../changes.ts';
import type { AppliedChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { isKnown, setTag } from '../etag.ts';
import { invalid } from '../http-problem.ts';
import type { FieldError } from '../http-problem.ts';
import { resolverOf } from '../resolved.ts';
import * as schemas from '../schemas.ts';
import { lastChange } from '../set-views.ts';
import { checkedBy, checker } from '../validation.ts';
import {
  requireTemplate,
  serversOf,
  templateSummary,
  templateView,
  withoutReadOnly,
} from '../views.ts';
import type { TemplateView } from '../views.ts';
import { copyRoute, destroyRoute, isCreated, putThing, renameRoute } from './resources.ts';
import type { Resource } from './resources.ts';

const tags = ['templates'];

/** The part of a new template's body that the route itself uses. */
const newTemplate = Type.Object({
  name: Type.String({ title: 'a name' }),
  preset: Type.Optional(Type.String({ title: 'the name of a preset' })),
  clone: Type.Optional(Type.String({ title: 'the name of a template' })),
  assignTo: Type.Optional(schemas.names),
});

const createQuery = Type.Object({}, { additionalProperties: false });

export function templateRoutes(app: Api, context: ApiContext): void {
  readingRoutes(app, context);
  creatingRoute(app, context);
  changingRoutes(app, context);
  serverRoutes(app, context);
}

function readingRoutes(app: Api, context: ApiContext): void {
  const { controlPlane, store, observer } = context;
  app.get(
    '/templates',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'List templates',
        querystring: schemas.changedQuery,
        response: { 200: schemas.templateList, ...schemas.problems },
      },
    },
    async (request) => {
      const snapshot = await controlPlane.snapshot();
      const hits = observer?.ruleHits();
      const list = snapshot.templates.map((each) => templateSummary(snapshot, each, hits));
      if (request.query.changed !== true) return { templates: list };
      const marks = await Promise.all(list.map(({ name }) => lastChange(store.history, name)));
      return { templates: list.map((each, index) => ({ ...each, ...marks[index] })) };
    },
  );

  app.get(
    '/templates/:name',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Show a template, with the hits of its rules',
        description: 'The ETag is that of what it says: 304 tells nothing of hits and servers.',
        params: schemas.nameParams,
        querystring: schemas.resolveQuery,
        response: { 200: schemas.template, ...schemas.notModified, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const snapshot = await controlPlane.snapshot();
      const { name } = request.params;
      const template = requireTemplate(snapshot, name);
      const resolver = request.query.resolve === true ? resolverOf(snapshot) : undefined;
      const view = templateView(snapshot, template, observer?.ruleHits(), resolver);
      setTag(reply, view.revision);
      // What groups mean changes without the template.
      if (resolver === undefined && isKnown(request, view.revision)) {
        return reply.code(304).send(null);
      }
      return { ...view, ...(await lastChange(store.history, name)) };
    },
  );
}

function creatingRoute(app: Api, context: ApiContext): void {
  const errorsOf = checker(newTemplate);
  app.post(
    '/templates',
    {
      schema: {
        tags,
        summary: 'Create a template: from scratch, from a pre-defined rule set, or as a copy',
        querystring: createQuery,
        body: checkedBy(schemas.newTemplateBody, schemas.anyObject),
        response: { 201: schemas.changedTemplate, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const body = request.body as Record<string, unknown>;
      const errors = errorsOf(body);
      if (errors.length > 0) throw invalid([...errors, ...ruleErrors(body)]);
      const { name, preset, clone, assignTo = [], ...own } = body as unknown as NewTemplate;
      const operations: Operation[] = [creation({ name, preset, clone }, own)];
      if (assignTo.length > 0) {
        operations.push({ kind: 'assign', servers: assignTo, templates: [name] });
      }
      const located = locateNames({ server: { names: assignTo, path: 'assignTo' } });
      const result = await makeOperations(context, request, operations, (failure) =>
        failure.kind === 'not-found' && failure.what === 'template' && failure.name === clone
          ? 'clone'
          : located(failure),
      );
      reply.code(201).header('location', `/v1/templates/${encodeURIComponent(name)}`);
      return changedView(context, reply, result, name);
    },
  );
}

interface NewTemplate {
  readonly name: string;
  readonly preset?: string | undefined;
  readonly clone?: string | undefined;
  readonly assignTo?: readonly string[];
}

/** Errors of the rules, for an answer that reports other errors already. */
function ruleErrors(body: Record<string, unknown>): readonly FieldError[] {
  const { description, inbound, outbound } = body;
  const own = Object.entries({ description, inbound, outbound }).filter(
    ([, value]) => value !== undefined,
  );
  const judged = judgeTemplate('x', withoutReadOnly('template', Object.fromEntries(own)));
  return 'problems' in judged ? judged.problems : [];
}

function creation({ name, preset, clone }: NewTemplate, own: object): Operation {
  const rest = withoutReadOnly('template', own);
  const starts = [preset, clone].filter((each) => each !== undefined);
  const more = Object.keys(rest).filter((key) => key !== 'description' || clone !== undefined);
  if (starts.length > 1 || (starts.length === 1 && more.length > 0)) {
    const others = [...(starts.length > 1 ? ['clone'] : []), ...more];
    const start = preset === undefined ? 'clone' : 'preset';
    throw invalid(
      others.map((path) => ({ path, message: `${start} says already what the template says` })),
    );
  }
  if (clone !== undefined) return { kind: 'clone-template', name: clone, to: name };
  if (preset === undefined) return { kind: 'create-template', name, body: rest };
  const found = presets.find((each) => each.name === preset);
  if (found === undefined) {
    const hint = didYouMean(
      preset,
      presets.map((each) => each.name),
    );
    throw invalid([{ path: 'preset', message: `there is no preset "${preset}"${hint}` }]);
  }
  const { description, inbound, outbound } = found;
  return {
    kind: 'create-template',
    name,
    body: { description, inbound, outbound, ...rest },
  };
}

function changingRoutes(app: Api, context: ApiContext): void {
  app.put(
    '/templates/:name',
    {
      schema: {
        tags,
        summary: 'Replace a template, or create it',
        description:
          'If-Match: only if it has this revision. If-None-Match: * only if there is none yet. 201 when it was created.',
        params: schemas.nameParams,
        body: checkedBy(schemas.templateBody, schemas.anyObject),
        response: {
          200: schemas.changedTemplate,
          201: schemas.changedTemplate,
          ...schemas.problems,
        },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const body = withoutReadOnly('template', request.body);
      const result = await putThing(context, request, 'template', name, body);
      if (isCreated(result, 'template', name)) reply.code(201);
      return changedView(context, reply, result, name);
    },
  );
  const resource = templateResource(context);
  destroyRoute(app, context, resource, {
    summary: 'Destroy a template',
    description:
      'Refused as in-use while a server has it or a rule names it, unless `force`. Its history stays.',
  });
  copyRoute(app, context, resource, 'Copy a template: the copy is no server’s');
  renameRoute(
    app,
    context,
    resource,
    'Rename a template: its servers and its history stay with it',
  );
}

export function templateResource(context: ApiContext): Resource & { readonly kind: 'template' } {
  return {
    kind: 'template',
    tags,
    changed: schemas.changedTemplate,
    changedView: (reply, result, name) => changedView(context, reply, result, name),
  };
}

/** The answer to a change of a template: its new state, and whether that is in force. */
export function changedView(
  { observer }: ApiContext,
  reply: Reply,
  { snapshot, applied }: AppliedChange,
  name: string,
): TemplateView & { readonly applied: AppliedChange['applied'] } {
  const view = templateView(snapshot, requireTemplate(snapshot, name), observer?.ruleHits());
  setTag(reply, view.revision);
  return { ...view, applied };
}

/** Operations that have an effect. */
export function assignments(
  ...operations: readonly Extract<Operation, { kind: 'assign' | 'unassign' }>[]
): readonly Operation[] {
  return operations.filter(({ servers, templates }) => servers.length > 0 && templates.length > 0);
}

function serverRoutes(app: Api, context: ApiContext): void {
  app.get(
    '/templates/:name/servers',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The servers that have a template',
        params: schemas.nameParams,
        response: {
          200: schemas.templateServers,
          ...schemas.problems,
        },
      },
    },
    async (request) => {
      const snapshot = await context.controlPlane.snapshot();
      const { name } = requireTemplate(snapshot, request.params.name);
      return serversOf(snapshot, name);
    },
  );

  app.put(
    '/templates/:name/servers',
    {
      schema: {
        tags,
        summary: 'Assign a template to exactly these servers',
        params: schemas.nameParams,
        body: Type.Object({ servers: schemas.names }, { additionalProperties: false }),
        response: { 200: schemas.changedNames, ...schemas.problems },
      },
    },
    async (request) => {
      const { name } = request.params;
      const { servers } = request.body;
      const { snapshot, applied } = await makeChange(
        context,
        request,
        (before) => {
          if (!before.templates.some((each) => each.name === name)) {
            throw new StoreError([{ kind: 'not-found', what: 'template', name }]);
          }
          const leaving = serversOf(before, name).servers.filter((each) => !servers.includes(each));
          return assignments(
            { kind: 'assign', servers, templates: [name] },
            { kind: 'unassign', servers: leaving, templates: [name] },
          );
        },
        locateNames({ server: { names: servers, path: 'servers' } }),
      );
      return { ...serversOf(snapshot, name), applied };
    },
  );
}
