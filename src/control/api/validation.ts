/**
 * Validates requests against their schemas (TypeBox): reports all errors at once, with the same paths and texts as for
 * files.
 *
 * URL parameters are text, and are first converted to the schema's types. Bodies are not converted. Bodies of
 * templates, rules and servers are validated by the policy's validator, for its better messages: their schemas only
 * document them, and a looser one (`checkedBy`) covers what the route itself uses.
 */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { didYouMean, shortened } from '../../policy/problem.ts';
import { firstOf, invalid } from './http-problem.ts';
import type { FieldError } from './http-problem.ts';

const maxPath = 300;

const looser = Symbol('checked by');

/** A schema that documents a body for clients, while another one checks it. */
export function checkedBy<T extends TSchema>(documented: TSchema, checked: T): T {
  // A copy: the same documentation may serve several routes.
  return { ...documented, [looser]: checked } as unknown as T;
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = (schema as TSchema & { [looser]?: TSchema })[looser] ?? schema;
  const errorsOf = checker(check);
  const named = httpPart === 'headers' ? 'header ' : '';
  return (value: unknown) => {
    const converted = httpPart === 'body' ? value : fromText(check, value ?? {});
    const errors = errorsOf(converted);
    if (errors.length === 0) return { value: converted };
    return { error: invalid(errors.map((each) => ({ ...each, path: `${named}${each.path}` }))) };
  };
};

/** Whole numbers in their usual form: not 1e0, 0x1, 01 or +1, which other software may read differently. */
const plainNumber = /^(0|-?[1-9]\d{0,15})$/;

/** Converts the texts of a URL to the types of the schema, where they are valid. */
function fromText(schema: TSchema, texts: object): unknown {
  const properties =
    (schema as { properties?: Record<string, { type?: string }> }).properties ?? {};
  const converted = Value.Convert(schema, { ...texts }) as Record<string, unknown>;
  for (const [key, text] of Object.entries(texts)) {
    const type = Object.hasOwn(properties, key) ? properties[key]?.type : undefined;
    if (type !== 'integer' && type !== 'number') continue;
    if (typeof text === 'string' && !plainNumber.test(text)) converted[key] = text;
  }
  return converted;
}

/** Compiled on first use: an offline command needs only one or two of them. */
const validators = new WeakMap<TSchema, ReturnType<typeof Compile>>();

function validatorOf(schema: TSchema): ReturnType<typeof Compile> {
  let validator = validators.get(schema);
  if (validator === undefined) {
    validator = Compile(schema);
    validators.set(schema, validator);
  }
  return validator;
}

/** Reports every deviation of a value from a schema. */
export function checker(schema: TSchema): (value: unknown) => FieldError[] {
  return (value) => {
    if (value === undefined) return [{ path: '', message: 'expected a body of JSON' }];
    const validator = validatorOf(schema);
    if (validator.Check(value)) return [];
    const errors = validator.Errors(value) as unknown as SchemaError[];
    const found = new Map<string, FieldError>();
    for (const error of errors) {
      for (const each of fieldErrors(error, schema, value)) {
        // A union reports errors of each of its parts; the first one is the most precise.
        const path = shortened(each.path, maxPath);
        if (!found.has(path)) found.set(path, { ...each, path });
      }
    }
    return firstOf([...found.values()], (each) => each);
  };
}

function fieldErrors(error: SchemaError, schema: TSchema, whole: unknown): FieldError[] {
  const { keyword, instancePath } = error;
  const params = error.params as Record<string, unknown>;
  const path = pathOf(instancePath);
  const found = describe(valueAt(whole, instancePath));
  const own = schemaAt(schema, instancePath);
  switch (keyword) {
    case 'required':
      return (params['requiredProperties'] as string[]).map((key) => ({
        path: path === '' ? key : `${path}.${key}`,
        message: 'is missing',
      }));
    case 'additionalProperties': {
      const known = Object.keys((own?.['properties'] as object | undefined) ?? {});
      return (params['additionalProperties'] as string[]).map((key) => ({
        path: path === '' ? key : `${path}.${key}`,
        message: `unknown key "${shortened(key)}"${didYouMean(key, known)} (known: ${known.join(', ')})`,
      }));
    }
    case 'boolean':
      // Reported by additionalProperties, with the known keys.
      return [];
    case 'type':
      return [{ path, message: `expected ${typeWords(own, params['type'])}, found ${found}` }];
    case 'enum': {
      const words = (params['allowedValues'] as unknown[]).map(String);
      const value = valueAt(whole, instancePath);
      const hint = typeof value === 'string' ? didYouMean(value, words) : '';
      return [{ path, message: `expected ${listWords(words)}, found ${found}${hint}` }];
    }
    default:
      return [{ path, message: `expected ${ruleWords(error, own)}, found ${found}` }];
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  null: 'null',
};

/** A schema's title is more precise than its type. */
function typeWords(schema: Record<string, unknown> | undefined, type: unknown): string {
  const title = schema?.['title'];
  return typeof title === 'string' ? title : (typeNames[String(type)] ?? String(type));
}

function ruleWords(error: SchemaError, schema: Record<string, unknown> | undefined): string {
  const title = schema?.['title'];
  if (typeof title === 'string') return title;
  const { limit, comparison } = error.params as { limit?: number; comparison?: string };
  switch (error.keyword) {
    case 'minimum':
    case 'maximum':
      return `a number ${comparison ?? ''} ${limit ?? ''}`;
    case 'minItems':
      return `at least ${limit ?? 1} of them`;
    case 'maxItems':
      return `at most ${limit ?? 1} of them`;
    case 'minLength':
      return `at least ${limit ?? 1} characters`;
    case 'maxLength':
      return `at most ${limit ?? 1} characters`;
    default:
      return `something that ${error.message}`;
  }
}

function listWords(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}

function segments(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** `/inbound/2/ports` as `inbound[2].ports`. */
function pathOf(pointer: string): string {
  return segments(pointer).reduce(
    (path, each) =>
      /^\d+$/.test(each) ? `${path}[${each}]` : path === '' ? each : `${path}.${each}`,
    '',
  );
}

function valueAt(whole: unknown, pointer: string): unknown {
  return segments(pointer).reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string, unknown>)[key]
        : undefined,
    whole,
  );
}

function schemaAt(schema: TSchema, pointer: string): Record<string, unknown> | undefined {
  return segments(pointer).reduce<Record<string, unknown> | undefined>(
    (at, key) => {
      const properties = at?.['properties'] as Record<string, Record<string, unknown>> | undefined;
      if (properties !== undefined)
        return Object.hasOwn(properties, key) ? properties[key] : undefined;
      return at?.['items'] as Record<string, unknown> | undefined;
    },
    schema as Record<string, unknown>,
  );
}

/** A value for a message; large ones are shortened. */
function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
