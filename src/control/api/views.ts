/** Templates and servers in answers: their bodies, with computed fields. */
import { serverBody, templateBody } from '../../policy/bodies.ts';
import type { ServerBody } from '../../policy/bodies.ts';
import { isObserving } from '../../policy/observe.ts';
import { rejectOf } from '../../policy/reject.ts';
import type { RejectDirections } from '../../policy/reject.ts';
import { hasExpired } from '../../policy/resolve.ts';
import type { Resolver } from '../../policy/resolve.ts';
import { ruleBody } from '../../policy/template-body.ts';
import type { RuleBody } from '../../policy/template-body.ts';
import type { Rule, Server, Template } from '../../policy/types.ts';
import { directions } from '../../text/rule-text.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { Snapshot, Version } from '../store/store.ts';
import { assignedIn } from './assigned.ts';
import type { AppliedServer, AppliedTemplate } from './assigned.ts';
import type { ApiContext, Observer, RuleHit, RuleHits } from './context.ts';
import { openToWorld } from './exposures.ts';
import { HttpProblem, noFirewall } from './http-problem.ts';
import { resolvedPeers } from './resolved.ts';
import type { ResolvedPeer } from './resolved.ts';

export type RuleView = RuleBody & {
  readonly hits?: number;
  readonly hitsSince?: string;
  readonly lastHit?: string;
  readonly expired?: boolean;
  /** Absent unless it was asked for. */
  readonly resolved?: readonly ResolvedPeer[];
};

export function ruleView(
  template: string,
  direction: RuleDirection,
  rule: Rule,
  hits: RuleHits | undefined,
  resolver?: Resolver,
): RuleView {
  const known = hits?.of(template, direction, rule);
  return {
    ...ruleBody(rule, direction),
    ...(hasExpired(rule, Date.now()) && { expired: true }),
    ...(known && hitsView(known)),
    ...(resolver !== undefined && { resolved: resolvedPeers(resolver, rule) }),
  };
}

function hitsView({ hits, sinceMs, lastHitMs }: RuleHit): Pick<RuleView, 'hits'> {
  const times = {
    hitsSince: new Date(sinceMs).toISOString(),
    ...(lastHitMs !== undefined && { lastHit: new Date(lastHitMs).toISOString() }),
  };
  return { hits, ...times };
}

export interface TemplateView {
  readonly name: string;
  readonly description?: string;
  readonly inbound: readonly RuleView[];
  readonly outbound: readonly RuleView[];
  readonly revision: string;
  /** Those that name it. */
  readonly servers: readonly string[];
  /** Those that it applies to. */
  readonly appliedServers: readonly AppliedServer[];
  /** Sentences of what is open to the world. */
  readonly exposure: readonly string[];
}

export function templateView(
  snapshot: Snapshot,
  template: Template,
  hits: RuleHits | undefined,
  resolver?: Resolver,
): TemplateView {
  const { name } = template;
  const rules = (direction: RuleDirection): RuleView[] =>
    template[direction].map((rule) => ruleView(name, direction, rule, hits, resolver));
  return {
    ...templateBody(template),
    inbound: rules('inbound'),
    outbound: rules('outbound'),
    revision: snapshot.revisions.templates.get(name)!,
    ...serversOf(snapshot, name),
    exposure: openToWorld(snapshot, [name]),
  };
}

/** Servers that have a template: those that name it, and those that it applies to. */
export function serversOf(
  snapshot: Snapshot,
  template: string,
): Pick<TemplateView, 'servers' | 'appliedServers'> {
  const { servers, appliedServers } = assignedIn(snapshot);
  return {
    servers: servers.get(template) ?? [],
    appliedServers: appliedServers.get(template) ?? [],
  };
}

export interface TemplateSummary {
  readonly name: string;
  readonly description?: string;
  readonly ruleCount: number;
  readonly servers: readonly string[];
  readonly appliedServers: readonly AppliedServer[];
  readonly exposure: readonly string[];
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
    template[direction].reduce(
      (all, rule) => all + (hits!.of(name, direction, rule)?.hits ?? 0),
      0,
    );
  return {
    name,
    ...(description !== undefined && { description }),
    ruleCount: inbound.length + outbound.length,
    ...serversOf(snapshot, name),
    exposure: openToWorld(snapshot, [name]),
    revision: snapshot.revisions.templates.get(name)!,
    ...(hits !== undefined && { hits: sum('inbound') + sum('outbound') }),
  };
}

export type ServerView = ServerBody & {
  /** Templates that apply to its labels, beside those that it names. */
  readonly appliedTemplates: readonly AppliedTemplate[];
  /** By its own setting and that of the gateway. */
  readonly effectiveReject: RejectDirections;
  /** Whether it observes now. */
  readonly observing: boolean;
  readonly exposure: readonly string[];
  readonly revision: string;
};

export function serverView(snapshot: Snapshot, server: Server): ServerView {
  const { name, templates } = server;
  const appliedTemplates = assignedIn(snapshot).appliedTemplates.get(name) ?? [];
  const applied = appliedTemplates.map(({ template }) => template);
  const observing = isObserving(server, Date.now());
  return {
    ...serverBody(server),
    appliedTemplates,
    exposure: [
      ...(observing ? [`all that no rule allows: observed until ${server.until!}`] : []),
      ...openToWorld(snapshot, [...templates, ...applied]),
    ],
    effectiveReject: rejectOf(server, snapshot.gateway.reject),
    observing,
    revision: snapshot.revisions.servers.get(name)!,
  };
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

/** A server that a query names must exist: a typo must not give an empty answer. @throws HttpProblem */
export async function checkServer(
  { controlPlane }: ApiContext,
  name: string | undefined,
): Promise<void> {
  if (name !== undefined) requireServer(await controlPlane.snapshot(), name);
}

/** @throws HttpProblem `no-firewall` */
export function requireObserver({ observer }: ApiContext, what: string): Observer {
  if (observer === undefined) throw noFirewall(what);
  return observer;
}

export function notFound(what: string, name: string): HttpProblem {
  return new HttpProblem('not-found', `there is no ${what} ${JSON.stringify(name.slice(0, 100))}`);
}

export interface ChangeMark {
  readonly at: string;
  readonly actor: string;
  readonly via: string;
  readonly action: Version['action'];
}

export function changeMark({ at, actor, action }: Version): ChangeMark {
  return { at, actor: actor.name, via: actor.via, action };
}

/** Fields that only an answer has. */
const readOnlyKeys = {
  template: ['revision', 'servers', 'appliedServers', 'exposure', 'changed', 'applied'],
  server: ['revision', 'appliedTemplates', 'effectiveReject', 'observing', 'exposure', 'applied'],
  set: ['revision', 'listEntries', 'addressCount', 'rangeCount', 'usedBy', 'changed', 'applied'],
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
    if (Array.isArray(rules)) rest[direction] = rules.map(writtenRule);
  }
  return rest;
}

/** What answers say of a rule beside what is written. */
const readOnlyRuleKeys = ['hits', 'hitsSince', 'lastHit', 'expired', 'resolved'] as const;

/** The same for a rule. */
export function writtenRule(rule: unknown): unknown {
  if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) return rule;
  const rest: Record<string, unknown> = { ...rule };
  for (const key of readOnlyRuleKeys) Reflect.deleteProperty(rest, key);
  return rest;
}
