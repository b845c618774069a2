/** Rule by rule: add, replace, remove, move. Rules are counted from 0 within their direction. */
import { Type } from 'typebox';
import type { Operation } from '../../store/store.ts';
import type { Api, Reply, Request } from '../api.ts';
import { makeChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { requirementOf } from '../etag.ts';
import * as schemas from '../schemas.ts';
import { checkedBy } from '../validation.ts';
import { directions } from '../../../text/rule-text.ts';
import { writtenRule } from '../views.ts';
import { revisionOf } from './resources.ts';
import { changedView } from './templates.ts';

const index = Type.Integer({ minimum: 0, title: 'the index of a rule, from 0' });
const direction = Type.Enum([...directions]);
const listParams = Type.Object({ name: Type.String(), direction });
const ruleParams = Type.Object({ name: Type.String(), direction, index });

const body = checkedBy(schemas.ruleBody, schemas.anyObject);
const response = { 200: schemas.changedTemplate, ...schemas.problems };
const description = 'If-Match: only if the template has this revision. Answers with all of it.';
const list = '/templates/:name/rules/:direction';

type RuleOperation = Extract<Operation, { template: string }>;
/** Without a revision: it is added from the request. */
type Wanted = {
  [K in RuleOperation['kind']]: Omit<Extract<RuleOperation, { kind: K }>, 'ifRevision'>;
};

export function templateRuleRoutes(app: Api, context: ApiContext): void {
  const change = async (
    request: Request,
    reply: Reply,
    operation: Wanted[RuleOperation['kind']],
  ): Promise<ReturnType<typeof changedView>> => {
    const { template } = operation;
    const result = await makeChange(context, request, ({ revisions }) => [
      {
        ...operation,
        ...revisionOf(requirementOf(request, revisions.templates.get(template))),
      },
    ]);
    return changedView(context, reply, result, template);
  };
  const tags = ['templates'];

  app.post(
    list,
    {
      schema: {
        ...{ tags, summary: 'Add a rule', description },
        params: listParams,
        querystring: Type.Object(
          { index: Type.Optional(index) },
          { additionalProperties: false, description: 'Before which rule; else behind the last.' },
        ),
        body,
        response: { 201: schemas.changedTemplate, ...schemas.problems },
      },
    },
    async (request, reply) => {
      const { params, query } = request;
      const view = await change(request, reply, {
        ...{ kind: 'add-rule', template: params.name, direction: params.direction },
        rule: writtenRule(request.body),
        ...query,
      });
      return reply.code(201).send(view);
    },
  );

  app.put(
    `${list}/:index`,
    {
      schema: {
        ...{ tags, summary: 'Replace a rule', description, body, response },
        params: ruleParams,
      },
    },
    (request, reply) => {
      const { params } = request;
      return change(request, reply, {
        ...{ kind: 'replace-rule', template: params.name, direction: params.direction },
        ...{ index: params.index, rule: writtenRule(request.body) },
      });
    },
  );

  app.delete(
    `${list}/:index`,
    {
      schema: { ...{ tags, summary: 'Remove a rule', description, response }, params: ruleParams },
    },
    (request, reply) => {
      const { name, index: at, direction: of } = request.params;
      const operation = { kind: 'remove-rule', template: name, direction: of, index: at } as const;
      return change(request, reply, operation);
    },
  );

  app.post(
    `${list}/:index/move`,
    {
      schema: {
        ...{ tags, summary: 'Move a rule: for the reader, it changes no verdict', description },
        params: ruleParams,
        body: Type.Object({ to: index }, { additionalProperties: false }),
        response,
      },
    },
    (request, reply) => {
      const { params } = request;
      const { to } = request.body;
      return change(request, reply, {
        ...{ kind: 'move-rule', template: params.name, direction: params.direction },
        ...{ index: params.index, to },
      });
    },
  );
}
