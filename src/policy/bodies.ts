/**
 * Templates and servers as JSON: what the API, `--json` and the store's operations speak, with the keys of the files.
 *
 * The validator of the files checks input, too, so that there is one set of rules and messages. Only the place
 * is reported as a path within the body.
 */
import { validateSet } from './address-set.ts';
import { formatAddressNumber } from './addresses.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { toTemplateBody } from './template-body.ts';
import type { TemplateBody } from './template-body.ts';
import { shortened } from './problem.ts';
import { nodeOf } from './quick-yaml.ts';
import type { AddressSet, Rule, Server, ServerMode, Template } from './types.ts';
import { namePattern, nameWords, validateServers, validateTemplate } from './validate.ts';
import type { Content } from './yaml-fields.ts';

/** As `TemplateBody`, and with its name. */
export interface NamedTemplateBody extends TemplateBody {
  readonly name: string;
}

export interface ServerBody {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly templates: readonly string[];
  readonly region?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Its own setting; a direction without one has that of the gateway. */
  readonly reject?: { readonly inbound?: boolean; readonly outbound?: boolean };
  readonly mode?: ServerMode;
  readonly until?: string;
}

export function templateBody(template: Template): NamedTemplateBody {
  return { name: template.name, ...toTemplateBody(template) };
}

export function serverBody(server: Server): ServerBody {
  return {
    name: server.name,
    addresses: server.addresses.map(formatAddressNumber),
    templates: server.templates,
    ...(server.region !== undefined && { region: server.region }),
    ...(server.labels !== undefined && { labels: server.labels }),
    ...(server.reject !== undefined && { reject: server.reject }),
    ...(server.mode !== undefined && { mode: server.mode }),
    ...(server.until !== undefined && { until: server.until }),
  };
}

/** A set without the content of its list. */
export interface SetBody {
  readonly name: string;
  readonly description?: string;
  readonly addresses: readonly string[];
  readonly except: readonly string[];
  /** `set:NAME` */
  readonly include: readonly string[];
  readonly file?: string;
}

export function setBody(set: AddressSet): SetBody {
  return {
    name: set.name,
    ...(set.description !== undefined && { description: set.description }),
    addresses: set.addresses.map(({ text }) => text),
    except: set.except.map(({ text }) => text),
    include: set.include.map((name) => `set:${name}`),
    ...(set.file !== undefined && { file: set.file }),
  };
}

interface PathProblem {
  readonly path: string;
  readonly message: string;
}

/** A valid body, or all its errors. */
export type Judged<T> = { readonly value: T } | { readonly problems: readonly PathProblem[] };

/** @param body with or without its name; it has to be `name` then */
export function judgeTemplate(name: string, body: unknown): Judged<Template> {
  const [content, problems] = nameApart(name, body);
  return judge(content, problems, '', (nodes) => {
    // Errors of the name were reported.
    const named = namePattern.test(name) ? name : 'x';
    const { value, problems: found } = validateTemplate(named, '', nodes);
    return { value, problems: found };
  });
}

export function judgeRule(direction: RuleDirection, body: unknown): Judged<Rule> {
  const prefix = `${direction}[0]`;
  return judge({ [direction]: [body] }, [], prefix, (nodes) => {
    const { value, problems } = validateTemplate('rule', '', nodes);
    return { value: value?.[direction][0], problems };
  });
}

/** @param body with or without its name; it has to be `name` then */
export function judgeSet(name: string, body: unknown): Judged<AddressSet> {
  const [content, problems] = nameApart(name, body);
  return judge(content, problems, '', (nodes) =>
    validateSet(namePattern.test(name) ? name : 'x', '', nodes),
  );
}

/** @param templates the names that it may refer to */
export function judgeServer(
  name: string,
  body: unknown,
  templates: ReadonlySet<string>,
): Judged<Server> {
  const [content, problems] = nameApart(name, body);
  const whole =
    typeof content === 'object' && content !== null && !Array.isArray(content)
      ? { name: namePattern.test(name) ? name : 'x', ...content }
      : content;
  return judge({ servers: [whole] }, problems, 'servers[0]', (nodes) => {
    const { value, problems: found } = validateServers('', nodes, templates);
    return { value: value?.[0], problems: found };
  });
}

/** The body without its name, and what is wrong with that. */
function nameApart(name: string, body: unknown): [unknown, PathProblem[]] {
  const problems: PathProblem[] = [];
  if (!namePattern.test(name)) {
    problems.push({
      path: 'name',
      message: `expected ${nameWords}, found ${JSON.stringify(shortened(name))}`,
    });
  }
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, 'name')) {
    return [body, problems];
  }
  const { name: own, ...content } = body as Record<string, unknown>;
  if (own !== name && problems.length === 0) {
    const found = shortened(JSON.stringify(own));
    problems.push({ path: 'name', message: `expected "${name}", as it is called, found ${found}` });
  }
  return [content, problems];
}

function judge<T>(
  content: unknown,
  before: readonly PathProblem[],
  prefix: string,
  validate: (content: Content) => {
    readonly value: T | undefined;
    readonly problems: readonly { path: string; message: string; severity: string }[];
  },
): Judged<T> {
  if (content === null || content === undefined) {
    return { problems: [...before, { path: '', message: 'expected a mapping, found nothing' }] };
  }
  let nodes: Content;
  try {
    nodes = nodeOf(content);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { problems: [...before, { path: '', message: error.message }] };
  }
  const { value, problems } = validate(nodes);
  const all = [
    ...before,
    ...problems
      .filter(({ severity }) => severity === 'error')
      .map(({ path, message }) => ({ path: within(prefix, path), message })),
  ];
  if (all.length > 0) return { problems: all };
  return value === undefined
    ? { problems: [{ path: '', message: 'expected something, found nothing' }] }
    : { value };
}

function within(prefix: string, path: string): string {
  const rest = path.startsWith(prefix) ? path.slice(prefix.length) : path;
  return rest.startsWith('.') ? rest.slice(1) : rest;
}
