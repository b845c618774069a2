/**
 * Answers against the OpenAPI document: the status must be one that it names, and JSON must say exactly what its schema has,
 * no key less and no key more.
 */
import { Compile } from 'typebox/compile';
import type { TSchema } from 'typebox';
import type { Api } from '../../src/control/api/api.ts';

type Node = Record<string, unknown>;

export interface Operation {
  readonly responses: Record<string, { content?: Record<string, { schema: Node }> }>;
  readonly [key: string]: unknown;
}

export interface Document {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, Node> };
  readonly [key: string]: unknown;
}

/** In one form for all instances, whose documents are the same. */
let known: { text: string; document: Document } | undefined;
const documents = new WeakMap<Api, Document>();
const compiled = new Map<string, ReturnType<typeof Compile>>();

export function documentOf(api: Api): Document {
  let document = documents.get(api);
  if (document === undefined) {
    const text = JSON.stringify(api.swagger());
    if (known?.text !== text) {
      known = { text, document: JSON.parse(text) as Document };
      compiled.clear();
    }
    ({ document } = known);
    documents.set(api, document);
  }
  return document;
}

/** The operation that a URL belongs to, with its name: `GET /v1/templates/{name}`. */
export function operationOf(
  document: Document,
  method: string,
  url: string,
): { name: string; operation: Operation } | undefined {
  const segments = url.split('?')[0]!.split('/');
  const matches = Object.keys(document.paths).filter((path) => {
    const own = path.split('/');
    return (
      own.length === segments.length &&
      own.every((each, at) => (each.startsWith('{') ? segments[at] !== '' : each === segments[at]))
    );
  });
  // A word beats a parameter.
  matches.sort((a, b) => a.split('{').length - b.split('{').length);
  for (const path of matches) {
    const operation = document.paths[path]![method.toLowerCase()];
    if (operation !== undefined) return { name: `${method} ${path}`, operation };
  }
  return undefined;
}

/** References replaced, and every object closed. */
function closed(node: unknown, schemas: Record<string, Node>): unknown {
  if (Array.isArray(node)) return node.map((each) => closed(each, schemas));
  if (typeof node !== 'object' || node === null) return node;
  const { $ref, ...rest } = node as Node;
  if (typeof $ref === 'string') return closed(schemas[$ref.split('/').at(-1)!]!, schemas);
  const own = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [
      key,
      key === 'examples' || key === 'enum' ? value : closed(value, schemas),
    ]),
  );
  return 'properties' in own ? { additionalProperties: false, ...own } : own;
}

/** Throws when an answer is not what the document says. */
export function checkAnswer(
  api: Api,
  method: string,
  url: string,
  status: number,
  json: unknown,
): void {
  const document = documentOf(api);
  const found = operationOf(document, method, url);
  if (found === undefined) return;
  const { name, operation } = found;
  const range = `${Math.floor(status / 100)}XX`;
  const key = [String(status), range].find((each) => each in operation.responses);
  if (key === undefined) throw new Error(`${name}: the document knows no ${status}`);
  const schema = Object.values(operation.responses[key]!.content ?? {})[0]?.schema;
  if (json === undefined || schema === undefined) return;
  const place = `${name} ${key}`;
  let validator = compiled.get(place);
  if (validator === undefined) {
    validator = Compile(closed(schema, document.components.schemas) as TSchema);
    compiled.set(place, validator);
  }
  if (!validator.Check(json)) {
    const errors = JSON.stringify(validator.Errors(json));
    throw new Error(`${place}: ${errors} in ${JSON.stringify(json).slice(0, 2000)}`);
  }
}
