/** Templates and servers in answers: their bodies, with computed fields. */
import { serverBody, templateBody } from '../../policy/bodies.ts';
import type { ServerBody } from '../../policy/bodies.ts';
import { ruleBody } from '../../policy/template-body.ts';
import type { RuleBody } from '../../policy/template-body.ts';
import type { Rule, Server, Template } from '../../policy/types.ts';
import { directions } from '../../text/rule-text.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { Snapshot, TemplateVersion } from '../store/store.ts';
import type { RuleHits } from './context.ts';
import { HttpProblem } from './http-problem.ts';

export type RuleView = RuleBody & { readonly hits?: number };

/** Servers of each template: computed once per snapshot. */
const knownUsers = new WeakMap<Snapshot, ReadonlyMap<string, readonly string[]>>();

/** Servers by template. */
export function serversByTemplate(snapshot: Snapshot): ReadonlyMap<string, readonly string[]> {
  let users = knownUsers.get(snapshot);
  if (users === undefined) {
    const found = new Map<string, string[]>();
    for (const { name, templates } of snapshot.servers) {
      for (const template of templates) {
        const list = found.get(template);
        if (list === undefined) found.set(template, [name]);
        else list.push(name);
      }
    }
    users = found;
    knownUsers.set(snapshot, users);
  }
  return users;
}

export function ruleView(
  template: string,
  direction: RuleDirection,
  rule: Rule,
  hits: RuleHits | undefined,
): RuleView {
  const count = hits?.of(template, direction, rule);
  return { ...ruleBody(rule, direction), ...(count !== undefined && { hits: count }) };
}

export interface TemplateView {
  readonly name: string;
  readonly description?: string;
  readonly inbound: readonly RuleView[];
  readonly outbound: readonly RuleView[];
  readonly revision: string;
  readonly servers: readonly string[];
}

export function templateView(
  snapshot: Snapshot,
  template: Template,
  hits: RuleHits | undefined,
): TemplateView {
  const { name } = template;
  const rules = (direction: RuleDirection): RuleView[] =>
    template[direction].map((rule) => ruleView(name, direction, rule, hits));
  return {
    ...templateBody(template),
    inbound: rules('inbound'),
    outbound: rules('outbound'),
    revision: snapshot.revisions.templates.get(name)!,
    servers: serversByTemplate(snapshot).get(name) ?? [],
  };
}

export interface TemplateSummary {
  readonly name: string;
  readonly description?: string;
  readonly ruleCount: number;
  readonly servers: readonly string[];
  readonly revision: string;
  readonly hits?: number;
}

export function templateSummary(
  snapshot: Snapshot,
  template: Template,
  hits: RuleHits | undefined,
): TemplateSummary {
  const { name, description, inbound, outbound } = template;
  const sum = (direction: RuleDirection): number =>
    template[direction].reduce((all, rule) => all + (hits!.of(name, direction, rule) ?? 0), 0);
  return {
    name,
    ...(description !== undefined && { description }),
    ruleCount: inbound.length + outbound.length,
    servers: serversByTemplate(snapshot).get(name) ?? [],
    revision: snapshot.revisions.templates.get(name)!,
    ...(hits !== undefined && { hits: sum('inbound') + sum('outbound') }),
  };
}

export type ServerView = ServerBody & { readonly revision: string };

export function serverView(snapshot: Snapshot, server: Server): ServerView {
  return { ...serverBody(server), revision: snapshot.revisions.servers.get(server.name)! };
}

/** @throws HttpProblem `not-found` */
export function requireTemplate(snapshot: Snapshot, name: string): Template {
  const found = snapshot.templates.find((each) => each.name === name);
  if (found === undefined) throw notFound('template', name);
  return found;
}

/** @throws HttpProblem `not-found` */
export function requireServer(snapshot: Snapshot, name: string): Server {
  const found = snapshot.servers.find((each) => each.name === name);
  if (found === undefined) throw notFound('server', name);
  return found;
}

export function notFound(what: string, name: string): HttpProblem {
  return new HttpProblem('not-found', `there is no ${what} ${JSON.stringify(name.slice(0, 100))}`);
}

export interface ChangeMark {
  readonly at: string;
  readonly actor: string;
  readonly via: string;
  readonly action: TemplateVersion['action'];
}

export function changeMark({ at, actor, action }: TemplateVersion): ChangeMark {
  return { at, actor: actor.name, via: actor.via, action };
}

/** Fields that only an answer has. */
const readOnlyKeys = {
  template: ['revision', 'servers', 'changed', 'applied'],
  server: ['revision', 'applied'],
} as const;

/** A body without read-only fields, so that an answer can be sent back. */
export function withoutReadOnly(
  what: keyof typeof readOnlyKeys,
  body: object,
): Record<string, unknown> {
  const rest: Record<string, unknown> = { ...body };
  for (const key of readOnlyKeys[what]) Reflect.deleteProperty(rest, key);
  for (const direction of directions) {
    const rules = rest[direction];
    if (Array.isArray(rules)) rest[direction] = rules.map(withoutHits);
  }
  return rest;
}

export function withoutHits(rule: unknown): unknown {
  if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) return rule;
  const rest: Record<string, unknown> = { ...rule };
  Reflect.deleteProperty(rest, 'hits');
  return rest;
}
