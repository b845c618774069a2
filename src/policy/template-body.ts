/**
 * A template as it is written: the keys and values of a template file, which JSON (API, presets, history, import) has
 * too. What may stand in it is validate.ts's business; here are its types, and the way back from a validated template.
 */
import type { PortRange, Rule, RuleProtocol, Template } from './types.ts';

interface RuleBody {
  readonly protocol: RuleProtocol;
  /** Ports as numbers, ranges as text. */
  readonly ports?: readonly (number | string)[];
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
  readonly inbound: readonly InboundRuleBody[];
  readonly outbound: readonly OutboundRuleBody[];
}

function toPort({ from, to }: PortRange): number | string {
  return from === to ? from : `${from}-${to}`;
}

function withoutPeers({ protocol, ports, comment }: Rule): RuleBody {
  return {
    protocol,
    ...(ports !== undefined && { ports: ports.map(toPort) }),
    ...(comment !== undefined && { comment }),
  };
}

export function toInboundBody(rule: Rule): InboundRuleBody {
  const { comment, ...traffic } = withoutPeers(rule);
  const sources = rule.peers?.map(({ text }) => text);
  return {
    ...traffic,
    ...(sources !== undefined && { sources }),
    ...(comment !== undefined && { comment }),
  };
}

export function toOutboundBody(rule: Rule): OutboundRuleBody {
  const { comment, ...traffic } = withoutPeers(rule);
  const destinations = rule.peers?.map(({ text }) => text);
  return {
    ...traffic,
    ...(destinations !== undefined && { destinations }),
    ...(comment !== undefined && { comment }),
  };
}

/** The written form of a validated template; validating it again gives the same rules. */
export function toTemplateBody(template: Template): TemplateBody {
  return {
    ...(template.description !== undefined && { description: template.description }),
    inbound: template.inbound.map(toInboundBody),
    outbound: template.outbound.map(toOutboundBody),
  };
}
