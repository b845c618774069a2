/** Templates as a whole: list, show, create, replace, destroy, clone, rename, and the servers that have them. */
import { Type } from 'typebox';
import { judgeTemplate } from '../../../policy/bodies.ts';
import { presets } from '../../../policy/presets.ts';
import { didYouMean } from '../../../policy/problem.ts';
import { StoreError } from '../../store/store.ts';
import type { Operation, TemplateHistory } from '../../store/store.ts';
import type { Api, Reply, Request } from '../api.ts';
import { locateNames, makeChange, makeOperations } from '../changes.ts';
import type { AppliedChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { isKnown, requirementOf, setTag } from '../etag.ts';
import type { Requirement } from '../etag.ts';
import { HttpProblem, invalid, problemOf } from '../http-problem.ts';
import type { FieldError } from '../http-problem.ts';
import * as schemas from '../schemas.ts';
import { checkedBy, checker } from '../validation.ts';
import {
  changeMark,
  requireTemplate,
  serversOf,
  templateSummary,
  templateView,
  withoutReadOnly,
} from '../views.ts';
import type { ChangeMark, TemplateView } from '../views.ts';

const tags = ['templates'];

/** The part of a new template's body that the route itself uses. */
const newTemplate = Type.Object({
  name: Type.String({ title: 'a name' }),
  preset: Type.Optional(Type.String({ title: 'the name of a preset' })),
  clone: Type.Optional(Type.String({ title: 'the name of a template' })),
  assignTo: Type.Optional(schemas.names),
});

const createQuery = Type.Object({}, { additionalProperties: false });
const toBody = Type.Object({ to: schemas.nameSchema }, { additionalProperties: false });

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
        querystring: Type.Object(
          {
            changed: Type.Optional(
              Type.Boolean({
                description: 'Also the time and the author of the last change: reads the history.',
              }),
            ),
          },
          { additionalProperties: false },
        ),
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
        response: { 200: schemas.template, ...schemas.notModified, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const snapshot = await controlPlane.snapshot();
      const { name } = request.params;
      const template = requireTemplate(snapshot, name);
      const view = templateView(snapshot, template, observer?.ruleHits());
      setTag(reply, view.revision);
      if (isKnown(request, view.revision)) return reply.code(304).send(null);
      return { ...view, ...(await lastChange(store.history, name)) };
    },
  );
}

async function lastChange(
  history: TemplateHistory,
  name: string,
): Promise<{ changed?: ChangeMark }> {
  const [newest] = await history.list(name);
  return newest === undefined ? {} : { changed: changeMark(newest) };
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
      const result = await putThing(context, request, 'template', name, (requirement) =>
        requirement.mustNotExist
          ? { kind: 'create-template', name, body }
          : {
              ...{ kind: 'replace-template', name, body, upsert: !requirement.mustExist },
              ...(requirement.ifRevision !== undefined && { ifRevision: requirement.ifRevision }),
            },
      );
      if (isCreated(result, 'template', name)) reply.code(201);
      return changedView(context, reply, result, name);
    },
  );

  app.delete(
    '/templates/:name',
    {
      schema: {
        tags,
        summary: 'Destroy a template',
        description: 'Refused as in-use while a server has it, unless `force`. Its history stays.',
        params: schemas.nameParams,
        querystring: Type.Object(
          {
            force: Type.Optional(
              Type.Boolean({ description: 'Remove it from its servers first.' }),
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
      const { changed, applied } = await makeChange(context, request, ({ revisions }) => [
        {
          ...{ kind: 'destroy-template', name, force },
          ...revisionOf(requirementOf(request, revisions.templates.get(name))),
        },
      ]);
      return { changed, applied };
    },
  );

  for (const verb of ['clone', 'rename'] as const) {
    app.post(
      `/templates/:name/${verb}`,
      {
        schema: {
          tags,
          summary:
            verb === 'clone'
              ? 'Copy a template: the copy is no server’s'
              : 'Rename a template: its servers and its history stay with it',
          params: schemas.nameParams,
          body: toBody,
          response: { 201: schemas.changedTemplate, ...schemas.problems },
        },
      },
      async (request, reply) => {
        const { name } = request.params;
        const { to } = request.body;
        const result = await makeChange(context, request, ({ revisions }) =>
          verb === 'clone'
            ? [{ kind: 'clone-template', name, to }]
            : [
                {
                  ...{ kind: 'rename-template', name, to },
                  ...revisionOf(requirementOf(request, revisions.templates.get(name))),
                },
              ],
        );
        reply.code(201).header('location', `/v1/templates/${encodeURIComponent(to)}`);
        return changedView(context, reply, result, to);
      },
    );
  }
}

export function revisionOf({ ifRevision, mustExist }: Requirement): { ifRevision?: string } {
  // The resource must exist for this change anyway: `*` requires no more than that.
  return ifRevision === undefined || !mustExist ? {} : { ifRevision };
}

/** PUT of a template or server, with the meaning that HTTP gives to its preconditions. */
export async function putThing(
  context: ApiContext,
  request: Request,
  what: 'template' | 'server',
  name: string,
  operation: (requirement: Requirement) => Operation,
  locate?: Parameters<typeof problemOf>[1],
): Promise<AppliedChange> {
  try {
    return await makeChange(
      context,
      request,
      ({ revisions }) => {
        const known = what === 'template' ? revisions.templates : revisions.servers;
        return [operation(requirementOf(request, known.get(name)))];
      },
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

export function isCreated(
  { changed }: AppliedChange,
  kind: 'template' | 'server',
  name: string,
): boolean {
  return changed.some(
    (each) => each.kind === kind && each.name === name && each.before === undefined,
  );
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
