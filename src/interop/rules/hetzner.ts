/**
 * Firewalls of Hetzner Cloud, as its API gives them (`GET /v1/firewalls`, `hcloud firewall describe -o json`).
 *
 * Rules only allow. Inbound traffic without a rule drops; outbound traffic drops only if there is an outbound rule, else
 * all of it passes. That silent permission becomes a rule here, because templates have none.
 */
import type { InboundRuleBody, OutboundRuleBody } from '../../policy/template-body.ts';
import { NameGiver, Remarks, wantedName } from './import-result.ts';
import type { ImportedTemplate, ImportOptions, ImportResult } from './import-result.ts';
import {
  addressesOf,
  findFirewalls,
  isEmpty,
  isObject,
  join,
  listOf,
  portsOf,
  unknownKeys,
} from './json-fields.ts';
import type { JsonObject } from './json-fields.ts';

const ruleKeys = [
  'direction',
  'protocol',
  'port',
  'source_ips',
  'destination_ips',
  'description',
] as const;

export function importHetzner(document: unknown, options: ImportOptions): ImportResult {
  const remarks = new Remarks();
  const names = new NameGiver();
  const found = findFirewalls(document, 'Hetzner Cloud');
  const templates = found.map(({ firewall, path }): ImportedTemplate => {
    const own = typeof firewall['name'] === 'string' ? firewall['name'] : '';
    if (!isEmpty(firewall['applied_to'])) {
      const message = 'assignments are not imported: assign the template to servers';
      remarks.note(join(path, 'applied_to'), message);
    }
    return {
      name: names.give(wantedName(options, own, found.length)),
      description: `Imported from the Hetzner Cloud firewall ${JSON.stringify(own)}`,
      ...rulesOf(firewall, path, remarks),
    };
  });
  return { format: 'hetzner', templates, remarks: remarks.all };
}

function rulesOf(
  firewall: JsonObject,
  path: string,
  remarks: Remarks,
): { inbound: InboundRuleBody[]; outbound: OutboundRuleBody[] } {
  const inbound: InboundRuleBody[] = [];
  const outbound: OutboundRuleBody[] = [];
  const rules = listOf(firewall, 'rules', path, remarks);
  const at = join(path, 'rules');
  // A rule that could not be read may have been an outbound one: then outbound is not open.
  let outboundIsOpen = rules !== undefined;
  for (const [index, rule] of (rules ?? []).entries()) {
    const place = `${at}[${index}]`;
    if (!isObject(rule) || (rule['direction'] !== 'in' && rule['direction'] !== 'out')) {
      remarks.lost(place, 'expected a rule with the direction in or out');
      outboundIsOpen = false;
      continue;
    }
    if (rule['direction'] === 'out') outboundIsOpen = false;
    const peersKey = rule['direction'] === 'in' ? 'source_ips' : 'destination_ips';
    const body = ruleOf(rule, peersKey, place, remarks);
    if (body === undefined) continue;
    const { peers, comment, ...traffic } = body;
    const label = comment === '' ? {} : { comment };
    if (peersKey === 'source_ips') inbound.push({ ...traffic, sources: peers, ...label });
    else outbound.push({ ...traffic, destinations: peers, ...label });
  }
  if (outboundIsOpen) {
    const comment = 'There were no outbound rules, which means: all';
    outbound.push({ protocol: 'all', comment });
    remarks.note(
      at,
      'no outbound rule allows everything outbound there: the rule ALL says so here',
    );
  }
  return { inbound, outbound };
}

interface HetznerRule {
  readonly protocol: 'icmp' | 'tcp' | 'udp';
  readonly ports?: (number | string)[];
  readonly peers: string[];
  readonly comment: string;
}

function ruleOf(
  rule: JsonObject,
  peersKey: 'source_ips' | 'destination_ips',
  place: string,
  remarks: Remarks,
): HetznerRule | undefined {
  const other = peersKey === 'source_ips' ? 'destination_ips' : 'source_ips';
  const unknown = unknownKeys(rule, ruleKeys);
  if (!isEmpty(rule[other])) unknown.push(other);
  if (unknown.length > 0) {
    remarks.lost(place, `${unknown.join(', ')} cannot be expressed in a rule of this direction`);
    return undefined;
  }
  const { protocol, port, description } = rule;
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'icmp') {
    const found = JSON.stringify(protocol ?? null);
    remarks.lost(join(place, 'protocol'), `${found}: only ICMP, TCP and UDP can be expressed`);
    return undefined;
  }
  if (protocol === 'icmp' && !isEmpty(port)) {
    remarks.lost(join(place, 'port'), 'ICMP has no ports');
    return undefined;
  }
  const ports = protocol === 'icmp' ? 'all' : portsOf(port, ['any'], join(place, 'port'), remarks);
  if (ports === undefined) return undefined;
  const list = listOf(rule, peersKey, place, remarks) ?? [];
  const peers = addressesOf(list, join(place, peersKey), remarks);
  if (peers.length === 0) {
    remarks.lost(place, `none of its ${peersKey} can be expressed: the rule is left out`);
    return undefined;
  }
  return {
    protocol,
    ...(ports !== 'all' && { ports }),
    peers,
    comment: typeof description === 'string' ? description : '',
  };
}
