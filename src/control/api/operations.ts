/**
 * Operations of the store as JSON, for requests with several at once: each kind has its schema, and errors name the
 * path of the operation (`operations[2].index`). The store validates the templates, rules and servers in them.
 */
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { didYouMean } from '../../policy/problem.ts';
import { StoreError } from '../store/store.ts';
import type { Failure, Operation } from '../store/store.ts';
import { HttpProblem, invalid, problemOf } from './http-problem.ts';
import type { FieldError } from './http-problem.ts';
import * as schemas from './schemas.ts';
import { checker } from './validation.ts';
import { directions } from '../../text/rule-text.ts';
import { writtenRule, withoutReadOnly } from './views.ts';

export type { Operation };

/** A larger change is a mistake: a change is one line of the audit log. */
const maxOperations = 1000;
const maxErrors = 100;

const index = Type.Integer({ minimum: 0, title: 'the index of a rule, from 0' });
const ifRevision = Type.Optional(Type.String({ description: 'Only if it has this revision.' }));
const name = schemas.nameSchema;
const anyBody = schemas.anyObject;
const ruleOf = { template: name, direction: Type.Enum([...directions]), ifRevision };
const addresses = Type.Array(Type.String());
const list = Type.Optional(Type.String({ description: 'The text of its list.' }));
const assignment = { servers: schemas.names, templates: schemas.names };

const fields: Readonly<Record<Operation['kind'], Readonly<Record<string, TSchema>>>> = {
  'create-template': { name, body: anyBody },
  'replace-template': { name, body: anyBody, upsert: Type.Optional(Type.Boolean()), ifRevision },
  'clone-template': { name, to: name },
  'rename-template': { name, to: name, ifRevision },
  'destroy-template': { name, force: Type.Optional(Type.Boolean()), ifRevision },
  'restore-template': { name, version: Type.Integer({ minimum: 1 }), ifRevision },
  'add-rule': { ...ruleOf, rule: anyBody, index: Type.Optional(index) },
  'replace-rule': { ...ruleOf, index, rule: anyBody },
  'remove-rule': { ...ruleOf, index },
  'move-rule': { ...ruleOf, index, to: index },
  'create-server': { name, body: anyBody },
  'replace-server': { name, body: anyBody, upsert: Type.Optional(Type.Boolean()), ifRevision },
  'rename-server': { name, to: name, ifRevision },
  'destroy-server': { name, force: Type.Optional(Type.Boolean()), ifRevision },
  'create-set': { name, body: anyBody, list },
  'replace-set': { name, body: anyBody, list, upsert: Type.Optional(Type.Boolean()), ifRevision },
  'clone-set': { name, to: name },
  'rename-set': { name, to: name, ifRevision },
  'destroy-set': { name, force: Type.Optional(Type.Boolean()), ifRevision },
  'restore-set': { name, version: Type.Integer({ minimum: 1 }), ifRevision },
  'change-addresses': {
    set: name,
    add: Type.Optional(addresses),
    remove: Type.Optional(addresses),
    ifRevision,
  },
  'restore-policy': {
    number: Type.Integer({ minimum: 0, description: 'Of a change, as in `/v1/history`.' }),
    newest: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Only if no change is newer than this one.' }),
    ),
  },
  'replace-policy': {
    files: Type.Record(Type.String(), Type.String(), {
      description: 'Texts by file name. A template, set or list that is not among them goes.',
      examples: [{ 'templates/web.yaml': 'inbound: []\n', 'servers.yaml': 'servers: []\n' }],
    }),
    ifRevision: Type.Optional(
      Type.String({ description: 'Only if the whole policy has this revision.' }),
    ),
  },
  assign: assignment,
  unassign: assignment,
};

const kinds = Object.keys(fields) as Operation['kind'][];

function schemaOf(kind: Operation['kind']): TSchema {
  return Type.Object(
    { kind: Type.Literal(kind), ...fields[kind] },
    { additionalProperties: false, title: kind },
  );
}

/** For the OpenAPI document. */
export const operationSchema = schemas.component(
  'Operation',
  Type.Union(kinds.map(schemaOf), { description: 'Operations see the effect of those before.' }),
);

const checkers = new Map(kinds.map((kind) => [kind, checker(schemaOf(kind))]));

/** @throws HttpProblem `invalid` with all errors */
export function parseOperations(values: readonly unknown[]): Operation[] {
  const errors: FieldError[] = [];
  if (values.length === 0 || values.length > maxOperations) {
    const message = `expected 1 to ${maxOperations} operations, found ${values.length}`;
    throw invalid([{ path: 'operations', message }]);
  }
  for (const [at, value] of values.entries()) {
    // A client mends the first errors first.
    if (errors.length >= maxErrors) break;
    const path = `operations[${at}]`;
    const kind = (value as { kind?: unknown } | null)?.kind;
    const check = checkers.get(kind as Operation['kind']);
    if (check === undefined) {
      const hint = typeof kind === 'string' ? didYouMean(kind, kinds) : '';
      errors.push({ path: `${path}.kind`, message: `expected ${kinds.join(', ')}${hint}` });
      continue;
    }
    for (const each of check(value)) errors.push({ ...each, path: joined(path, each.path) });
  }
  if (errors.length > 0) throw invalid(errors);
  return (values as Operation[]).map(withoutReadOnlyKeys);
}

function withoutReadOnlyKeys(operation: Operation): Operation {
  if ('rule' in operation) return { ...operation, rule: writtenRule(operation.rule) };
  if (!('body' in operation)) return operation;
  const what = operation.kind.replace(/^.*-/, '') as 'template' | 'server' | 'set';
  return { ...operation, body: withoutReadOnly(what, operation.body as object) };
}

/**
 * A refusal, with the paths of a request that has several operations.
 *
 * @param operations `undefined`: there was one, and the body is that operation's
 */
export function operationsProblem(
  error: unknown,
  operations: readonly Operation[] | undefined,
): unknown {
  if (!(error instanceof StoreError)) return error;
  if (operations === undefined) return problemOf(error);
  const failures = error.failures.map((failure): Failure =>
    failure.kind === 'invalid'
      ? {
          ...failure,
          problems: failure.problems.map((each) => ({ ...each, path: pathOf(each, operations) })),
        }
      : failure,
  );
  return problemOf(new StoreError(failures));
}

function pathOf(
  { operation, path }: { readonly operation: number; readonly path: string },
  operations: readonly Operation[],
): string {
  const found = operations[operation];
  const part = found === undefined ? '' : 'rule' in found ? 'rule' : 'body' in found ? 'body' : '';
  return joined(joined(`operations[${operation}]`, part), path);
}

function joined(path: string, rest: string): string {
  if (rest === '' || path === '') return `${path}${rest}`;
  return rest.startsWith('[') ? `${path}${rest}` : `${path}.${rest}`;
}

/** For routes that take one item or many: exactly one of these keys. @throws HttpProblem */
export function requireOne(body: object, keys: readonly string[]): void {
  const given = keys.filter((key) => Object.hasOwn(body, key));
  if (given.length === 1) return;
  throw new HttpProblem('invalid', `expected one of ${keys.join(', ')}`, {
    errors: [{ path: given[1] ?? '', message: `expected exactly one of ${keys.join(', ')}` }],
  });
}
