/**
 * A template as it is written: the keys and values of a template file, which JSON (API, presets, history, import) has
 * too. What may stand in it is validate.ts's business; here are its types, and the way back from a validated template.
 */
import { peersKey } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import type { PortRange, Rule, RuleProtocol, Template } from './types.ts';

interface AnyRuleBody {
  readonly protocol: RuleProtocol;
  /** Ports as numbers, ranges as text. */
  readonly ports?: readonly (number | string)[];
  readonly except?: readonly string[];
  readonly enabled?: boolean;
  readonly expires?: string;
  readonly log?: boolean;
  readonly comment?: string;
}

export interface InboundRuleBody extends AnyRuleBody {
  readonly sources?: readonly string[];
}

export interface OutboundRuleBody extends AnyRuleBody {
  readonly destinations?: readonly string[];
}

export type RuleBody = InboundRuleBody & OutboundRuleBody;

export interface TemplateBody {
  readonly description?: string;
  /** Selectors. */
  readonly appliesTo?: readonly string[];
  readonly inbound: readonly InboundRuleBody[];
  readonly outbound: readonly OutboundRuleBody[];
}

/** A port as a number, a range as text: `443`, `20-22`. */
export function portBody({ from, to }: PortRange): number | string {
  return from === to ? from : `${from}-${to}`;
}

/** The keys of a rule in the order in which people write them. */
export function ruleBody(rule: Rule, direction: RuleDirection): RuleBody {
  const { protocol, ports, peers, except, enabled, expires, log, comment } = rule;
  return {
    protocol,
    ...(ports !== undefined && { ports: ports.map(portBody) }),
    ...(peers !== undefined && { [peersKey(direction)]: peers.map(({ text }) => text) }),
    ...(except !== undefined && { except: except.map(({ text }) => text) }),
    ...(enabled !== undefined && { enabled }),
    ...(expires !== undefined && { expires }),
    ...(log !== undefined && { log }),
    ...(comment !== undefined && { comment }),
  };
}

/** The written form of a validated template; validating it again gives the same rules. */
export function toTemplateBody(template: Template): TemplateBody {
  return {
    ...(template.description !== undefined && { description: template.description }),
    ...(template.appliesTo !== undefined && {
      appliesTo: template.appliesTo.map(({ text }) => text),
    }),
    inbound: template.inbound.map((rule) => ruleBody(rule, 'inbound')),
    outbound: template.outbound.map((rule) => ruleBody(rule, 'outbound')),
  };
}
