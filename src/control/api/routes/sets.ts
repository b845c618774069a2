/** Named sets of addresses: list, show, create, replace, change single addresses, import, destroy. */
import { Type } from 'typebox';
import { setBody } from '../../../policy/bodies.ts';
import { importAddressLists } from '../../../interop/rules/address-lists.ts';
import type { ImportedSet } from '../../../interop/rules/address-lists.ts';
import type { Operation, Snapshot } from '../../store/store.ts';
import type { Api, Reply } from '../api.ts';
import { makeChange, makeOperations } from '../changes.ts';
import type { AppliedChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { isKnown, requirementOf, setTag } from '../etag.ts';
import { invalid } from '../http-problem.ts';
import * as schemas from '../schemas.ts';
import * as sets from '../set-schemas.ts';
import { lastChange, requireSet, setSummary, setView } from '../set-views.ts';
import type { SetView } from '../set-views.ts';
import { checkedBy, checker } from '../validation.ts';
import { withoutReadOnly } from '../views.ts';
import {
  copyRoute,
  destroyRoute,
  isCreated,
  putThing,
  renameRoute,
  revisionOf,
} from './resources.ts';
import { historyRoutes } from './history.ts';

const tags = ['sets'];

/** A list of a million lines, as long as the store takes it. */
const maxImportBytes = 64 << 20;

const named = Type.Object({ name: Type.String({ title: 'a name' }) });

const resource = { kind: 'set', tags, changedView, changed: sets.changedSet } as const;

export function setRoutes(app: Api, context: ApiContext): void {
  readingRoutes(app, context);
  writingRoutes(app, context);
  patchRoute(app, context);
  void app.register((importing: Api, _options, done) => {
    importRoute(importing, context);
    done();
  });
  destroyRoute(app, context, resource, {
    summary: 'Destroy a set, and its list',
    description:
      'Refused as in-use while a rule or a set names it, unless `force`. Its history stays.',
  });
  copyRoute(app, context, resource, 'Copy a set, with its list');
  renameRoute(app, context, resource, 'Rename a set: its list and its history go with it');
  historyRoutes(app, context, resource);
}

function readingRoutes(app: Api, context: ApiContext): void {
  const { controlPlane, store } = context;
  app.get(
    '/sets',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'List sets',
        querystring: schemas.changedQuery,
        response: { 200: sets.setList, ...schemas.problems },
      },
    },
    async (request) => {
      const snapshot = await controlPlane.snapshot();
      const list = snapshot.sets.map((each) => setSummary(snapshot, each));
      if (request.query.changed !== true) return { sets: list };
      const marks = await Promise.all(list.map(({ name }) => lastChange(store.setHistory, name)));
      return { sets: list.map((each, index) => ({ ...each, ...marks[index] })) };
    },
  );

  app.get(
    '/sets/:name',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Show a set, and who names it',
        params: schemas.nameParams,
        response: { 200: sets.addressSet, ...schemas.notModified, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const snapshot = await controlPlane.snapshot();
      const { name } = request.params;
      const view = setView(snapshot, requireSet(snapshot, name));
      setTag(reply, view.revision);
      if (isKnown(request, view.revision)) return reply.code(304).send(null);
      return { ...view, ...(await lastChange(store.setHistory, name)) };
    },
  );

  app.get(
    '/sets/:name/list',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The list of a set, as it is written; empty without one',
        params: schemas.nameParams,
        produces: ['text/plain'],
        response: { 200: Type.String(), ...schemas.problems },
      },
    },
    async (request, reply) => {
      const snapshot = await controlPlane.snapshot();
      const { file } = requireSet(snapshot, request.params.name);
      const text = file === undefined ? '' : await store.listText(snapshot, file);
      return reply.type('text/plain; charset=utf-8').serializer(String).send(text);
    },
  );
}

function writingRoutes(app: Api, context: ApiContext): void {
  const errorsOf = checker(named);
  app.post(
    '/sets',
    {
      schema: {
        tags,
        summary: 'Create a set',
        body: checkedBy(sets.newSetBody, schemas.anyObject),
        response: { 201: sets.changedSet, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const errors = errorsOf(request.body);
      if (errors.length > 0) throw invalid(errors);
      const body = withoutReadOnly('set', request.body);
      const name = body['name'] as string;
      const result = await makeOperations(context, request, [{ kind: 'create-set', name, body }]);
      reply.code(201).header('location', `/v1/sets/${encodeURIComponent(name)}`);
      return changedView(reply, result, name);
    },
  );

  app.put(
    '/sets/:name',
    {
      schema: {
        tags,
        summary: 'Replace a set, or create it; a list that it names stays as it is',
        description:
          'If-Match: only if it has this revision. If-None-Match: * only if there is none yet. 201 when it was created.',
        params: schemas.nameParams,
        body: checkedBy(sets.setBody, schemas.anyObject),
        response: { 200: sets.changedSet, 201: sets.changedSet, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const body = withoutReadOnly('set', request.body);
      const result = await putThing(context, request, 'set', name, body);
      if (isCreated(result, 'set', name)) reply.code(201);
      return changedView(reply, result, name);
    },
  );
}

function patchRoute(app: Api, context: ApiContext): void {
  app.patch(
    '/sets/:name',
    {
      schema: {
        tags,
        summary: 'Add addresses to a set, or remove them, one by one',
        description:
          'What is added stands in the set’s own `addresses`; what is removed may stand in its list. If-Match: only if it has this revision.',
        params: schemas.nameParams,
        body: sets.setPatch,
        response: { 200: sets.changedSet, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { description, add = [], remove = [] } = request.body;
      const result = await makeChange(context, request, (snapshot): Operation[] => {
        const required = revisionOf(requirementOf(request, snapshot.revisions.sets.get(name)));
        const change = { kind: 'change-addresses', set: name, add, remove } as const;
        const set = snapshot.sets.find((each) => each.name === name);
        if (set === undefined || description === undefined) return [{ ...change, ...required }];
        const body: Record<string, unknown> = { ...setBody(set), description };
        if (description === null) Reflect.deleteProperty(body, 'description');
        return [{ kind: 'replace-set', name, body, ...required }, change];
      });
      return changedView(reply, result, name);
    },
  );
}

function importRoute(app: Api, context: ApiContext): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'text/plain',
    { parseAs: 'string', bodyLimit: maxImportBytes },
    (_request, text, done) => done(null, text),
  );
  app.post(
    '/sets/import',
    {
      bodyLimit: maxImportBytes,
      schema: {
        tags,
        summary: 'Lists of addresses as sets: public block lists, ipset save, ipset list',
        description:
          'The body is text/plain, up to 64 MiB. It becomes the list of the set; of a set that is there already the rest stays. All or nothing.',
        querystring: sets.importQuery,
        consumes: ['text/plain'],
        body: Type.String({ title: 'a text/plain body' }),
        response: { 200: sets.importedSets, ...schemas.problems },
      },
    },
    async (request) => {
      const { name, fallback, format = 'auto' } = request.query;
      const found = importAddressLists(request.body, {
        format: format === 'auto' ? undefined : format,
        name,
        fallback,
      });
      if ('problem' in found) throw invalid([{ path: '', message: found.problem }]);
      const names = found.sets.map((each) => each.name);
      const result = await makeChange(context, request, (snapshot) =>
        found.sets.map((each) => importOperation(snapshot, each)),
      );
      const { snapshot, applied } = result;
      return {
        format: found.format,
        sets: names.map((each) => setView(snapshot, requireSet(snapshot, each))),
        remarks: found.remarks,
        applied,
      };
    },
  );
}

function importOperation(snapshot: Snapshot, { name, list, include }: ImportedSet): Operation {
  const before = snapshot.sets.find((each) => each.name === name);
  const own = before === undefined ? {} : setBody(before);
  const body = { ...own, name, ...(include.length > 0 && { include }) };
  return { kind: 'replace-set', name, body, upsert: true, list };
}

function changedView(
  reply: Reply,
  { snapshot, applied }: AppliedChange,
  name: string,
): SetView & { readonly applied: AppliedChange['applied'] } {
  const view = setView(snapshot, requireSet(snapshot, name));
  setTag(reply, view.revision);
  return { ...view, applied };
}
