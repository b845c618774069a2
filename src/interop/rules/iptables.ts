/**
 * Accept rules of `iptables-save` as templates.
 *
 * iptables asks rules in order, templates only allow. So the chains are walked as a packet would be that opens a flow
 * (iptables-walk.ts), through every table that may drop it, and what is dropped before is taken from what each ACCEPT
 * allows (reading.ts). INPUT becomes inbound rules and OUTPUT outbound rules of one template. A policy of ACCEPT counts as
 * an ACCEPT of everything at the end.
 *
 * A FORWARD rule from S to D says two things: servers in S may open flows to D, and servers in D are open for S. Each is a
 * rule of the template for its servers: one for all servers where S or D is any address, else one for the addresses, which
 * has to be assigned to the servers that have them. With all of them assigned the same passes. Servers are not invented.
 */
import type { InboundRuleBody, OutboundRuleBody } from '../../policy/template-body.ts';
import { isAnyAddress, openingIcmpTypes } from './box.ts';
import type { Box } from './box.ts';
import { NameGiver, Remarks } from './import-result.ts';
import type { DirectionCount, ImportOptions, ImportResult, Remark } from './import-result.ts';
import type { Hook } from './iptables-match.ts';
import { parseIptables } from './iptables-parse.ts';
import type { IptablesTable, TableName } from './iptables-parse.ts';
import { ChainWalk } from './iptables-walk.ts';
import type { IptablesReading } from './iptables-walk.ts';
import { rangesCover } from './range-lists.ts';
import type { Range } from './range-lists.ts';
import { settle } from './reading.ts';
import type { Settled } from './reading.ts';
import { formatAddresses, inboundBody, outboundBody, trafficOf } from './rule-bodies.ts';

type Tables = ReadonlyMap<TableName, IptablesTable>;

interface TemplateInMaking {
  readonly name: string;
  readonly description: string;
  readonly inbound: InboundRuleBody[];
  readonly outbound: OutboundRuleBody[];
}

/**
 * The chains that a packet goes through, beside those of the table filter. What they drop is dropped wherever it is. The
 * table nat translates sources in POSTROUTING and INPUT, which changes nothing here.
 */
const otherChains: Readonly<Record<Hook, readonly (readonly [TableName, string])[]>> = {
  INPUT: [
    ['raw', 'PREROUTING'],
    ['mangle', 'PREROUTING'],
    ['nat', 'PREROUTING'],
    ['mangle', 'INPUT'],
    ['security', 'INPUT'],
  ],
  FORWARD: [
    ['raw', 'PREROUTING'],
    ['mangle', 'PREROUTING'],
    ['nat', 'PREROUTING'],
    ['mangle', 'FORWARD'],
    ['security', 'FORWARD'],
    ['mangle', 'POSTROUTING'],
  ],
  OUTPUT: [
    ['raw', 'OUTPUT'],
    ['mangle', 'OUTPUT'],
    ['nat', 'OUTPUT'],
    ['security', 'OUTPUT'],
    ['mangle', 'POSTROUTING'],
  ],
};

export function importIptables(text: string, options: ImportOptions): ImportResult {
  const remarks = new Remarks();
  const tables = parseIptables(text, remarks, options.onProgress);
  const filter = tables.get('filter');
  const directions: DirectionCount[] = [];
  const walk = (hook: Hook): Allowed => {
    const found = allowedBy(tables, hook, options.interface, remarks);
    directions.push(found.count);
    return found;
  };
  const hasRules = (name: string): boolean => (filter?.get(name)?.rules.length ?? 0) > 0;
  const names = new NameGiver();
  const base = options.name ?? options.fallbackName;
  const templates: TemplateInMaking[] = [];
  if (hasRules('INPUT') || hasRules('OUTPUT')) {
    const host = newTemplate(names.give(base), 'Imported from iptables: INPUT and OUTPUT');
    const [input, output] = [walk('INPUT'), walk('OUTPUT')];
    if (input.allowed.length > 0) output.reportAnswers();
    if (output.allowed.length > 0) input.reportAnswers();
    for (const { boxes, reading } of input.allowed) {
      const traffic = trafficOf(boxes, reading.place, remarks);
      host.inbound.push(...traffic.map((each) => inboundBody(each, reading.comment)));
    }
    for (const { boxes, reading } of output.allowed) {
      const traffic = trafficOf(boxes, reading.place, remarks);
      host.outbound.push(...traffic.map((each) => outboundBody(each, reading.comment)));
    }
    templates.push(host);
  }
  if (hasRules('FORWARD')) {
    templates.push(...forwardTemplates(walk('FORWARD').allowed, base, names, remarks));
  } else if (filter?.get('FORWARD')?.policy === 'ACCEPT') {
    const { line } = filter.get('FORWARD')!;
    remarks.note(`line ${line}`, 'FORWARD has no rules and accepts everything: it is not imported');
  }
  reportTranslation(tables, remarks);
  return { format: 'iptables', templates, directions, remarks: inOrder(remarks.all) };
}

interface Allowed {
  readonly allowed: Settled<IptablesReading>[];
  readonly count: DirectionCount;
  /** Says so if replies do not pass there. */
  readonly reportAnswers: () => void;
}

/** What a chain of the table filter lets pass, after all that any table drops. */
function allowedBy(
  tables: Tables,
  hook: Hook,
  inOrOut: string | undefined,
  remarks: Remarks,
): Allowed {
  const chainWalk = (table: TableName, name: string): ChainWalk | undefined => {
    const chains = tables.get(table);
    const chain = chains?.get(name);
    if (chains === undefined || chain?.policy === undefined) return undefined;
    const context = { hook, untracked: table === 'raw', ...(inOrOut && { interface: inOrOut }) };
    const walk = new ChainWalk(chains, table === 'filter', context, remarks);
    walk.run(chain);
    return walk;
  };
  const others = otherChains[hook].flatMap(
    ([table, name]) => chainWalk(table, name)?.readings ?? [],
  );
  const filter = chainWalk('filter', hook);
  const settled = settle([...others, ...(filter?.readings ?? [])], (box) => unsayable(box, hook));
  let allowing = filter?.lostAccepts ?? 0;
  const state = { othersReported: false };
  for (const each of settled) {
    if (each.boxes.length > 0 || (each.lost.length > 0 && isCounted(each, hook))) allowing++;
    report(each, remarks, state);
  }
  const allowed = settled.filter(({ boxes }) => boxes.length > 0);
  const chain = tables.get('filter')?.get(hook);
  return {
    allowed,
    count: { name: hook, allowing, imported: allowed.length },
    reportAnswers: () => chain && filter?.reportAnswers(chain),
  };
}

/** Hosts that forward nothing often have rules for ping in FORWARD. These do not count. */
function isCounted({ reading }: Settled<IptablesReading>, hook: Hook): boolean {
  return hook !== 'FORWARD' || reading.pieces.some(({ box }) => box.protocol !== 'icmp');
}

function report(
  { reading, boxes, lost, takenBy }: Settled<IptablesReading>,
  remarks: Remarks,
  state: { othersReported: boolean },
): void {
  const { place, otherProtocols } = reading;
  // The end of a chain that drops everything is how a policy of ACCEPT is meant.
  if (takenBy !== undefined)
    remarks.note(place, `never reached: ${takenBy} takes all of it before`);
  if (lost.length > 0) remarks.lost(place, lost.join('; '));
  if (boxes.length > 0 && otherProtocols && !state.othersReported) {
    state.othersReported = true;
    remarks.note(place, 'all protocols are ICMP, TCP and UDP here: others are dropped');
  }
}

function unsayable(
  { protocol, ports, sources, destinations }: Box,
  hook: Hook,
): string | undefined {
  if (protocol === 'icmp' && !rangesCover(ports, openingIcmpTypes)) {
    const types = ports.map(({ from }) => from).join(', ');
    return `--icmp-type ${types}: rules have no ICMP types`;
  }
  if (ports.every(({ to }) => to === 0)) return 'port 0 cannot be expressed, only 1 to 65535';
  const [own, option] =
    hook === 'INPUT' ? [destinations, '-d'] : hook === 'OUTPUT' ? [sources, '-s'] : [];
  if (own === undefined || isAnyAddress(own)) return undefined;
  return `${option!}: a template is for all addresses of its servers`;
}

/** In the order of the file, and each once: a rule may be met on the way of several chains. */
function inOrder(remarks: readonly Remark[]): Remark[] {
  const lineOf = ({ place }: Remark): number => Number(place.replace('line ', ''));
  const byText = new Map(
    remarks.map((each) => [`${each.severity} ${each.place} ${each.message}`, each]),
  );
  return [...byText.values()].sort((a, b) => lineOf(a) - lineOf(b));
}

function reportTranslation(tables: Tables, remarks: Remarks): void {
  const rules = [...(tables.get('nat')?.values() ?? [])].flatMap((chain) => chain.rules);
  const line = rules.reduce((least, rule) => Math.min(least, rule.line), Infinity);
  if (line !== Infinity) {
    remarks.note(`line ${line}`, 'addresses that the table nat translates are not translated here');
  }
}

function newTemplate(name: string, description: string): TemplateInMaking {
  return { name, description, inbound: [], outbound: [] };
}

/** A template for more blocks of servers than this cannot be assigned by hand. */
const maxServerRanges = 32;

function forwardTemplates(
  allowed: readonly Settled<IptablesReading>[],
  base: string,
  names: NameGiver,
  remarks: Remarks,
): TemplateInMaking[] {
  const byServers = new Map<string, TemplateInMaking>();
  const templateFor = (servers: readonly Range[], place: string): TemplateInMaking | undefined => {
    const addresses = formatAddresses(servers) ?? [];
    if (addresses.length > maxServerRanges) {
      remarks.lost(place, `a template for servers in ${addresses.length} blocks is not made`);
      return undefined;
    }
    const key = addresses.join(', ');
    let template = byServers.get(key);
    if (template === undefined) {
      const suffix = key === '' ? 'forward' : `forward-${key}`;
      const name = names.give(`${base}-${suffix}`);
      const target =
        key === '' ? 'every server' : `the servers with addresses in ${key}, and no others`;
      template = newTemplate(name, `Imported from iptables: FORWARD, for ${target}`);
      byServers.set(key, template);
      remarks.note(place, `servers are not invented: assign the template ${name} to ${target}`);
    }
    return template;
  };
  for (const { boxes, reading } of allowed) {
    const { place, comment } = reading;
    for (const traffic of trafficOf(boxes, place, remarks)) {
      templateFor(traffic.sources, place)?.outbound.push(outboundBody(traffic, comment));
      templateFor(traffic.destinations, place)?.inbound.push(inboundBody(traffic, comment));
    }
  }
  return [...byServers.values()];
}
