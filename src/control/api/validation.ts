/**
 * Requests against their schemas (TypeBox): all that is wrong at once, with the paths and in the words of the files.
 *
 * What comes in the URL is text: it is converted to what the schema wants first. Bodies are taken as they are. Bodies of
 * templates, rules and servers are judged by the policy's validator, whose messages win: their schemas only document them,
 * and a looser one (`checkedBy`) says what the route itself relies on.
 */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { didYouMean } from '../../policy/problem.ts';
import { invalid } from './http-problem.ts';
import type { FieldError } from './http-problem.ts';

const looser = Symbol('checked by');

/** A schema that is told to clients, but checked by another one. */
export function checkedBy<T extends TSchema>(told: TSchema, checked: T): T {
  // A copy: the same documentation may serve several routes.
  return { ...told, [looser]: checked } as unknown as T;
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
    const converted = httpPart === 'body' ? value : Value.Convert(check, value ?? {});
    const errors = errorsOf(converted);
    if (errors.length === 0) return { value: converted };
    return { error: invalid(errors.map((each) => ({ ...each, path: `${named}${each.path}` }))) };
  };
};

/** Compiled when they are needed first: a command line that serves itself uses one or two of them. */
const validators = new WeakMap<TSchema, ReturnType<typeof Compile>>();

function validatorOf(schema: TSchema): ReturnType<typeof Compile> {
  let validator = validators.get(schema);
  if (validator === undefined) {
    validator = Compile(schema);
    validators.set(schema, validator);
  }
  return validator;
}

/** Everything in which a value differs from a schema. */
export function checker(schema: TSchema): (value: unknown) => FieldError[] {
  return (value) => {
    if (value === undefined) return [{ path: '', message: 'expected a body of JSON' }];
    const validator = validatorOf(schema);
    if (validator.Check(value)) return [];
    const errors = validator.Errors(value) as unknown as SchemaError[];
    const told = new Map<string, FieldError>();
    for (const error of errors) {
      for (const each of fieldErrors(error, schema, value)) {
        // A union tells of each of its parts; what is said first is the most precise.
        if (!told.has(each.path)) told.set(each.path, each);
      }
    }
    return [...told.values()];
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
        message: `unknown key "${key}"${didYouMean(key, known)} (known: ${known.join(', ')})`,
      }));
    }
    case 'boolean':
      // Told by additionalProperties, with the known keys.
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

/** A schema's own words for itself are better than its type. */
function typeWords(schema: Record<string, unknown> | undefined, type: unknown): string {
  const told = schema?.['title'];
  return typeof told === 'string' ? told : (typeNames[String(type)] ?? String(type));
}

function ruleWords(error: SchemaError, schema: Record<string, unknown> | undefined): string {
  const told = schema?.['title'];
  if (typeof told === 'string') return told;
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

/** A value as a message shows it: never all of something large. */
function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
