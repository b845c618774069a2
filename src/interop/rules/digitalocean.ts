/**
 * Firewalls of DigitalOcean, as API v2 gives them (`GET /v2/firewalls`, `GET /v2/firewalls/ID`, `doctl … -o json`).
 *
 * Rules only allow and both directions drop by default, as here. Sources and destinations are unions of addresses, tags,
 * machines, load balancers and Kubernetes clusters; only IPv4 addresses and blocks can be expressed.
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

interface Peered {
  readonly protocol: 'icmp' | 'tcp' | 'udp';
  readonly ports?: (number | string)[];
  readonly peers: string[];
}

export function importDigitalOcean(document: unknown, options: ImportOptions): ImportResult {
  const remarks = new Remarks();
  const names = new NameGiver();
  const found = findFirewalls(document, 'DigitalOcean');
  const templates = found.map(({ firewall, path }): ImportedTemplate => {
    const own = typeof firewall['name'] === 'string' ? firewall['name'] : '';
    for (const key of ['droplet_ids', 'tags']) {
      if (!isEmpty(firewall[key])) {
        remarks.note(
          join(path, key),
          'assignments are not imported: assign the template to servers',
        );
      }
    }
    return {
      name: names.give(wantedName(options, own, found.length)),
      description: `Imported from the DigitalOcean firewall ${JSON.stringify(own)}`,
      inbound: rulesOf(firewall, 'inbound_rules', 'sources', path, remarks).map(
        ({ peers, ...traffic }): InboundRuleBody => ({ ...traffic, sources: peers }),
      ),
      outbound: rulesOf(firewall, 'outbound_rules', 'destinations', path, remarks).map(
        ({ peers, ...traffic }): OutboundRuleBody => ({ ...traffic, destinations: peers }),
      ),
    };
  });
  return { format: 'digitalocean', templates, remarks: remarks.all };
}

function rulesOf(
  firewall: JsonObject,
  key: 'inbound_rules' | 'outbound_rules',
  peersKey: 'sources' | 'destinations',
  path: string,
  remarks: Remarks,
): Peered[] {
  const list = listOf(firewall, key, path, remarks) ?? [];
  return list.flatMap((rule, index) => {
    const place = `${join(path, key)}[${index}]`;
    if (isObject(rule)) return ruleOf(rule, peersKey, place, remarks) ?? [];
    remarks.lost(place, 'expected a rule');
    return [];
  });
}

function ruleOf(
  rule: JsonObject,
  peersKey: 'sources' | 'destinations',
  place: string,
  remarks: Remarks,
): Peered | undefined {
  const unknown = unknownKeys(rule, ['protocol', 'ports', peersKey]);
  if (unknown.length > 0) {
    remarks.lost(place, `what ${unknown.join(', ')} means is not known`);
    return undefined;
  }
  const { protocol } = rule;
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'icmp') {
    const found = JSON.stringify(protocol ?? null);
    remarks.lost(join(place, 'protocol'), `${found}: only ICMP, TCP and UDP can be expressed`);
    return undefined;
  }
  // Of ICMP the API says "0", "all" or nothing.
  const given = protocol === 'icmp' ? (rule['ports'] ?? 'all') : rule['ports'];
  const words = protocol === 'icmp' ? ['0', 'all', ''] : ['0', 'all'];
  const ports = portsOf(given, words, join(place, 'ports'), remarks);
  if (ports === undefined) return undefined;
  if (protocol === 'icmp' && ports !== 'all') {
    remarks.lost(join(place, 'ports'), 'ICMP has no ports');
    return undefined;
  }
  const peers = peersOf(rule[peersKey], join(place, peersKey), remarks);
  if (peers.length === 0) {
    remarks.lost(place, `none of its ${peersKey} can be expressed: the rule is left out`);
    return undefined;
  }
  return { protocol, ...(ports !== 'all' && { ports }), peers };
}

function peersOf(value: unknown, path: string, remarks: Remarks): string[] {
  if (!isObject(value)) return [];
  for (const key of unknownKeys(value, ['addresses'])) {
    remarks.lost(
      join(path, key),
      'only addresses and blocks can be expressed: this part is left out',
    );
  }
  const list = listOf(value, 'addresses', path, remarks) ?? [];
  return addressesOf(list, join(path, 'addresses'), remarks);
}
