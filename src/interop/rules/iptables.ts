/**
 * Accept rules of `iptables-save` as templates.
 *
 * iptables asks rules in order, templates only allow. So the chains are walked as a packet would be that opens a flow, and
 * every ACCEPT is taken whose box (iptables-condition.ts) nothing before it takes a part of: no DROP, no REJECT, no RETURN,
 * no target that is not known. INPUT becomes inbound rules and OUTPUT outbound rules of one template. A policy of ACCEPT
 * counts as an ACCEPT of everything at the end.
 *
 * A FORWARD rule from S to D says two things: servers in S may open flows to D, and servers in D are open for S. Each is a
 * rule of the template for its servers: one for all servers where S or D is any address, else one for the addresses, which
 * has to be assigned to the servers that have them. With all of them assigned the same passes. Servers are not invented.
 */
import { formatAddressNumber } from '../../policy/addresses.ts';
import { formatPortRange } from '../../policy/rule-notation.ts';
import type { RuleDirection } from '../../policy/rule-notation.ts';
import type { InboundRuleBody, OutboundRuleBody } from '../../policy/template-body.ts';
import type { RuleProtocol } from '../../policy/types.ts';
import { NameGiver, Remarks } from './import-result.ts';
import type { ImportedTemplate, ImportOptions, ImportResult, Remark } from './import-result.ts';
import type { Condition } from './iptables-condition.ts';
import { parseIptables } from './iptables-parse.ts';
import { ChainWalk } from './iptables-walk.ts';
import type { Accepted } from './iptables-walk.ts';
import type { Range } from './ranges.ts';

interface TemplateInMaking {
  readonly name: string;
  readonly description: string;
  readonly inbound: InboundRuleBody[];
  readonly outbound: OutboundRuleBody[];
}

export function importIptables(text: string, options: ImportOptions): ImportResult {
  const remarks = new Remarks();
  const { filter, others } = parseIptables(text, options.onProgress);
  for (const [table, line] of others) {
    remarks.note(
      `line ${line}`,
      `the table ${table} is not imported: only filter decides what passes`,
    );
  }
  const walk = (name: string): Accepted[] => {
    const chain = filter.get(name);
    if (chain === undefined) return [];
    return new ChainWalk(filter, remarks).run(chain).filter(({ condition, place }) => {
      if (!hasPortZero(condition)) return true;
      remarks.lost(place, 'port 0 cannot be expressed, only 1 to 65535: the rule is left out');
      return false;
    });
  };
  const hasRules = (name: string): boolean => (filter.get(name)?.rules.length ?? 0) > 0;
  const names = new NameGiver();
  const base = options.name ?? options.fallbackName;
  const templates: TemplateInMaking[] = [];
  if (hasRules('INPUT') || hasRules('OUTPUT')) {
    const host = newTemplate(names.give(base), 'Imported from iptables: INPUT and OUTPUT');
    for (const accepted of walk('INPUT')) addHostRule(host, 'inbound', accepted, remarks);
    for (const accepted of walk('OUTPUT')) addHostRule(host, 'outbound', accepted, remarks);
    templates.push(host);
  }
  if (hasRules('FORWARD')) {
    templates.push(...forwardTemplates(walk('FORWARD'), base, names, remarks));
  } else if (filter.get('FORWARD')?.policy === 'ACCEPT') {
    const { line } = filter.get('FORWARD')!;
    remarks.note(`line ${line}`, 'FORWARD has no rules and accepts everything: it is not imported');
  }
  return { format: 'iptables', templates, remarks: byLine(remarks.all) };
}

/** In the order of the file: a rule may be reported when it is met, or when it has to be written. */
function byLine(remarks: readonly Remark[]): Remark[] {
  const lineOf = ({ place }: Remark): number => Number(place.replace('line ', ''));
  return [...remarks].sort((a, b) => lineOf(a) - lineOf(b));
}

function newTemplate(name: string, description: string): TemplateInMaking & ImportedTemplate {
  return { name, description, inbound: [], outbound: [] };
}

function addHostRule(
  template: TemplateInMaking,
  direction: RuleDirection,
  { condition, place, comment }: Accepted,
  remarks: Remarks,
): void {
  const [own, peers, option] =
    direction === 'inbound'
      ? [condition.destinations, condition.sources, '-d']
      : [condition.sources, condition.destinations, '-s'];
  if (own !== undefined) {
    remarks.lost(place, `${option}: a template is for all addresses of its servers`);
    return;
  }
  addRule(template, direction, condition, peers, comment);
}

function forwardTemplates(
  accepted: readonly Accepted[],
  base: string,
  names: NameGiver,
  remarks: Remarks,
): TemplateInMaking[] {
  const byServers = new Map<string, TemplateInMaking>();
  const templateFor = (servers: readonly Range[] | undefined, place: string): TemplateInMaking => {
    const key = servers?.map(formatAddresses).join(', ') ?? '';
    let template = byServers.get(key);
    if (template === undefined) {
      const suffix = key === '' ? 'forward' : `forward-${key}`;
      const name = names.give(`${base}-${suffix}`);
      const who =
        key === '' ? 'every server' : `the servers with addresses in ${key}, and no others`;
      template = newTemplate(name, `Imported from iptables: FORWARD, for ${who}`);
      byServers.set(key, template);
      remarks.note(place, `servers are not invented: assign the template ${name} to ${who}`);
    }
    return template;
  };
  for (const { condition, place, comment } of accepted) {
    const { sources, destinations } = condition;
    const from = templateFor(sources, place);
    addRule(from, 'outbound', condition, destinations, comment);
    const to = templateFor(destinations, place);
    addRule(to, 'inbound', condition, sources, comment);
  }
  return [...byServers.values()];
}

function addRule(
  template: TemplateInMaking,
  direction: RuleDirection,
  condition: Condition,
  peers: readonly Range[] | undefined,
  comment: string | undefined,
): void {
  const traffic = trafficOf(condition);
  const list = peers?.map(formatAddresses);
  const tail = comment === undefined ? {} : { comment };
  if (direction === 'inbound') {
    template.inbound.push({ ...traffic, ...(list && { sources: list }), ...tail });
  } else {
    template.outbound.push({ ...traffic, ...(list && { destinations: list }), ...tail });
  }
}

/** Rules have no port 0; a range that begins with it would have to be cut. */
function hasPortZero({ ports }: Condition): boolean {
  return ports?.some(({ from, to }) => from === 0 && to < 65_535) === true;
}

function trafficOf({ protocol, ports }: Condition): {
  protocol: RuleProtocol;
  ports?: (number | string)[];
} {
  if (ports === undefined || ports.some(({ from }) => from === 0)) return { protocol };
  return {
    protocol,
    ports: ports.map((range) => (range.from === range.to ? range.from : formatPortRange(range))),
  };
}

/** As templates write it: an address, a block where it is one, else a range. */
function formatAddresses({ from, to }: Range): string {
  const first = formatAddressNumber(from);
  const size = to - from + 1;
  const bits = Math.log2(size);
  if (size === 1) return first;
  if (Number.isInteger(bits) && from % size === 0) return `${first}/${32 - bits}`;
  return `${first}-${formatAddressNumber(to)}`;
}
