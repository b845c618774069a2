/**
 * A template as it is written: the keys and values of a template file, which JSON (API, presets, history, import) has
 * too. What may stand in it is validate.ts's business; here are its types, and the way back from a validated template.
 */
import type { PortRange, Rule, RuleProtocol, Template } from './types.ts';

interface RuleBody {
  readonly protocol: RuleProtocol;
  /** Ports as numbers, ranges as text. */
  readonly ports?: readonly (number | string)[];
  readonly except?: readonly string[];
  readonly enabled?: boolean;
  readonly expires?: string;
  readonly comment?: string;
}

export interface InboundRuleBody extends RuleBody {
  readonly sources?: readonly string[];
}

export interface OutboundRuleBody extends RuleBody {
  readonly destinations?: readonly string[];
}

export interface TemplateBody {
  readonly description?: string;
  /** Selectors. */
  readonly appliesTo?: readonly string[];
  readonly inbound: readonly InboundRuleBody[];
  readonly outbound: readonly OutboundRuleBody[];
}

function toPort({ from, to }: PortRange): number | string {
  return from === to ? from : `${from}-${to}`;
}

/** The keys of a rule in the order in which people write them. @param key of its peers */
function toRuleBody(rule: Rule, key: 'sources' | 'destinations'): RuleBody {
  const { protocol, ports, peers, except, enabled, expires, comment } = rule;
  return {
    protocol,
    ...(ports !== undefined && { ports: ports.map(toPort) }),
    ...(peers !== undefined && { [key]: peers.map(({ text }) => text) }),
    ...(except !== undefined && { except: except.map(({ text }) => text) }),
    ...(enabled !== undefined && { enabled }),
    ...(expires !== undefined && { expires }),
    ...(comment !== undefined && { comment }),
  };
}

export function toInboundBody(rule: Rule): InboundRuleBody {
  return toRuleBody(rule, 'sources');
}

export function toOutboundBody(rule: Rule): OutboundRuleBody {
  return toRuleBody(rule, 'destinations');
}

/** The written form of a validated template; validating it again gives the same rules. */
export function toTemplateBody(template: Template): TemplateBody {
  return {
    ...(template.description !== undefined && { description: template.description }),
    ...(template.appliesTo !== undefined && {
      appliesTo: template.appliesTo.map(({ text }) => text),
    }),
    inbound: template.inbound.map(toInboundBody),
    outbound: template.outbound.map(toOutboundBody),
  };
}
