/**
 * Firewalls of Hetzner Cloud, as its API gives them (`GET /v1/firewalls`, `hcloud firewall describe -o json`).
 *
 * Rules only allow. Inbound traffic without a rule drops; outbound traffic drops only if there is an outbound rule, else
 * all of it passes. That silent permission becomes a rule here, because templates have none: where the document has a list
 * of rules, and each of them was read. A list that is not there says nothing.
 */
import { bodiesOf, readAllow, readDeny, unreadable } from './cloud-rules.ts';
import type { CloudReading, CloudRule, Direction } from './cloud-rules.ts';
import { parseSelector } from '../../policy/selector.ts';
import { NameGiver, Remarks, labelsWanted, wantedName } from './import-result.ts';
import type { ImportedTemplate, ImportOptions, ImportResult } from './import-result.ts';
import { findFirewalls, isEmpty, isObject, join, listOf, unknownKeys } from './json-fields.ts';
import type { JsonObject } from './json-fields.ts';

const ruleKeys = [
  'direction',
  'protocol',
  'port',
  'source_ips',
  'destination_ips',
  'description',
] as const;

interface Counts {
  inbound: number;
  outbound: number;
}

export function importHetzner(document: unknown, options: ImportOptions): ImportResult {
  const remarks = new Remarks();
  const names = new NameGiver();
  const allowing: Counts = { inbound: 0, outbound: 0 };
  const imported: Counts = { inbound: 0, outbound: 0 };
  const found = findFirewalls(document, 'Hetzner Cloud');
  const templates = found.map(({ firewall, path }): ImportedTemplate => {
    const own = typeof firewall['name'] === 'string' ? firewall['name'] : '';
    const appliesTo = selectorsOf(firewall, path, remarks);
    const { readings, outboundIsOpen } = readingsOf(firewall, path, allowing, remarks);
    const { inbound, outbound, imported: count } = bodiesOf(readings, [], remarks);
    if (outboundIsOpen) {
      const comment = 'There were no outbound rules, which means: all';
      outbound.push({ protocol: 'all', comment });
      remarks.note(
        join(path, 'rules'),
        'no outbound rule allows everything outbound there: the rule ALL says so here',
      );
    }
    imported.inbound += count.inbound;
    imported.outbound += count.outbound + (outboundIsOpen ? 1 : 0);
    return {
      name: names.give(wantedName(options, own, found.length)),
      description: `Imported from the Hetzner Cloud firewall ${JSON.stringify(own)}`,
      ...(appliesTo.length > 0 && { appliesTo }),
      inbound,
      outbound,
    };
  });
  const directions = [
    { name: 'direction in', allowing: allowing.inbound, imported: imported.inbound },
    { name: 'direction out', allowing: allowing.outbound, imported: imported.outbound },
  ];
  return { format: 'hetzner', templates, directions, remarks: remarks.all };
}

/**
 * Label selectors that the firewall is applied to: `applied_to` in what the API answers, `apply_to` in what it is asked.
 * Servers by themselves are not in the document.
 */
function selectorsOf(firewall: JsonObject, path: string, remarks: Remarks): string[] {
  const named = ['applied_to', 'apply_to'] as const;
  const found = named.flatMap((field) => selectorsIn(firewall[field], join(path, field), remarks));
  return [...new Set(found)];
}

function selectorsIn(list: unknown, at: string, remarks: Remarks): string[] {
  if (isEmpty(list)) return [];
  const selectors = (Array.isArray(list) ? (list as unknown[]) : [list]).map((each, index) => {
    const value = isObject(each) && isObject(each['label_selector']) ? each['label_selector'] : {};
    const { selector } = value;
    if (typeof selector !== 'string') return undefined;
    const parsed = parseSelector(selector);
    if ('value' in parsed) return selector;
    remarks.lost(`${at}[${index}].label_selector.selector`, parsed.message);
    return undefined;
  });
  if (selectors.includes(undefined)) {
    remarks.note(at, 'servers are not imported: assign the template to them');
  }
  const found = selectors.filter((each) => each !== undefined);
  if (found.length > 0) remarks.note(at, `${labelsWanted}: ${found.join('; ')}`);
  return found;
}

function readingsOf(
  firewall: JsonObject,
  path: string,
  allowing: Counts,
  remarks: Remarks,
): { readonly readings: CloudReading[]; readonly outboundIsOpen: boolean } {
  const at = join(path, 'rules');
  if (firewall['rules'] === undefined || firewall['rules'] === null) {
    remarks.lost(at, 'there are no rules: nothing is allowed by what is not there');
    return { readings: [], outboundIsOpen: false };
  }
  const rules = listOf(firewall, 'rules', path, remarks);
  if (rules === undefined) return { readings: [], outboundIsOpen: false };
  const readings: CloudReading[] = [];
  // A rule that could not be read may have been an outbound one: then outbound is not open.
  let outboundIsOpen = true;
  let unread = false;
  for (const [index, rule] of rules.entries()) {
    const place = `${at}[${index}]`;
    if (!isObject(rule) || (rule['direction'] !== 'in' && rule['direction'] !== 'out')) {
      remarks.lost(place, 'expected a rule with the direction in or out');
      outboundIsOpen = false;
      // An allow, whatever its direction, if it has nothing else in it.
      // One may deny everything; more of them say no more.
      if (!unread && (!isObject(rule) || unknownKeys(rule, ruleKeys).length > 0)) {
        unread = true;
        readings.push(unreadable('inbound', place), unreadable('outbound', place));
      }
      continue;
    }
    const direction = rule['direction'] === 'in' ? 'inbound' : 'outbound';
    if (direction === 'outbound') outboundIsOpen = false;
    allowing[direction]++;
    const reading = readingOf(rule, direction, place, remarks);
    if (reading !== undefined) readings.push(reading);
  }
  if (outboundIsOpen) allowing.outbound++;
  return { readings, outboundIsOpen };
}

function readingOf(
  rule: JsonObject,
  direction: Direction,
  place: string,
  remarks: Remarks,
): CloudReading | undefined {
  const [peersKey, other] =
    direction === 'inbound'
      ? (['source_ips', 'destination_ips'] as const)
      : (['destination_ips', 'source_ips'] as const);
  const { protocol, port, description } = rule;
  const list = listOf(rule, peersKey, place, remarks);
  const read: CloudRule = {
    direction,
    place,
    protocol,
    ports: port,
    portsKey: 'port',
    allWords: (of) => (of === 'icmp' ? [] : ['any']),
    peers: list ?? [],
    peersKey,
    peersPath: join(place, peersKey),
    hasOtherPeers: list === undefined,
    comment: typeof description === 'string' ? description : '',
  };
  const unknown = unknownKeys(rule, ruleKeys);
  if (unknown.length > 0) {
    remarks.lost(place, `what ${unknown.join(', ')} means is not known: it may deny`);
    return readDeny(read, false, remarks);
  }
  if (!isEmpty(rule[other])) {
    remarks.lost(place, `${other} cannot be expressed in a rule of this direction`);
    return undefined;
  }
  return readAllow(read, remarks);
}
