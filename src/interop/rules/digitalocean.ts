/**
 * Firewalls of DigitalOcean, as API v2 gives them (`GET /v2/firewalls`, `GET /v2/firewalls/ID`, `doctl … -o json`).
 *
 * Both directions drop by default, as here. A rule allows, or since 2026-09 denies (`action`). A deny wins, also over an
 * allow of another firewall that the same server has. Sources and destinations are unions of addresses, tags, machines,
 * load balancers and Kubernetes clusters; only IPv4 addresses, blocks and tags can be expressed. A tag becomes the label
 * `tag-NAME` without a value.
 */
import { parseSelector } from '../../policy/selector.ts';
import { bodiesOf, readAllow, readDeny, unreadable } from './cloud-rules.ts';
import type { CloudReading, CloudRule, Direction } from './cloud-rules.ts';
import { NameGiver, Remarks, labelsWanted, wantedName } from './import-result.ts';
import type { ImportedTemplate, ImportOptions, ImportResult } from './import-result.ts';
import { findFirewalls, isEmpty, isObject, join, listOf, unknownKeys } from './json-fields.ts';
import type { JsonObject } from './json-fields.ts';

const lists = {
  inbound: { key: 'inbound_rules', peersKey: 'sources' },
  outbound: { key: 'outbound_rules', peersKey: 'destinations' },
} as const;

const directions = ['inbound', 'outbound'] as const;

interface ReadFirewall {
  readonly firewall: JsonObject;
  readonly own: string;
  readonly appliesTo: readonly string[];
  readonly readings: readonly CloudReading[];
}

export function importDigitalOcean(document: unknown, options: ImportOptions): ImportResult {
  const remarks = new Remarks();
  const names = new NameGiver();
  const allowing = { inbound: 0, outbound: 0 };
  const imported = { inbound: 0, outbound: 0 };
  const found = findFirewalls(document, 'DigitalOcean').map(({ firewall, path }): ReadFirewall => {
    const own = typeof firewall['name'] === 'string' ? firewall['name'] : '';
    if (!isEmpty(firewall['droplet_ids'])) {
      const message = 'servers are not imported: assign the template to them';
      remarks.note(join(path, 'droplet_ids'), message);
    }
    const appliesTo = selectorsOf(firewall, path, remarks);
    if (directions.every((direction) => isEmpty(firewall[lists[direction].key]))) {
      if (!directions.some((direction) => lists[direction].key in firewall)) {
        remarks.lost(path === '' ? 'the document' : path, 'it has no rules of DigitalOcean');
      }
    }
    const readings = directions.flatMap((direction) => {
      const read = readingsOf(firewall, direction, path, remarks);
      allowing[direction] += read.allowing;
      return read.readings;
    });
    return { firewall, own, appliesTo, readings };
  });
  // Of the others only a deny matters, and hardly any has one.
  const denying = found.filter(({ readings }) => readings.some(({ action }) => action !== 'allow'));
  const templates = found.map((one): ImportedTemplate => {
    const others = denying.filter((other) => other !== one && mayShareServer(one, other));
    const denies = others.flatMap(({ readings }) => readings);
    const { inbound, outbound, imported: count } = bodiesOf(one.readings, denies, remarks);
    for (const direction of directions) imported[direction] += count[direction];
    return {
      name: names.give(wantedName(options, one.own, found.length)),
      description: `Imported from the DigitalOcean firewall ${JSON.stringify(one.own)}`,
      ...(one.appliesTo.length > 0 && { appliesTo: one.appliesTo }),
      inbound,
      outbound,
    };
  });
  return {
    format: 'digitalocean',
    templates,
    directions: directions.map((direction) => ({
      name: lists[direction].key,
      allowing: allowing[direction],
      imported: imported[direction],
    })),
    remarks: remarks.all,
  };
}

/** Only what names its machines one by one, and no tags, is certainly not on the same server. */
function mayShareServer({ firewall: a }: ReadFirewall, { firewall: b }: ReadFirewall): boolean {
  const machines = (firewall: JsonObject): readonly unknown[] | undefined => {
    const ids = firewall['droplet_ids'];
    return isEmpty(firewall['tags']) && Array.isArray(ids) && ids.length > 0 ? ids : undefined;
  };
  const [ofA, ofB] = [machines(a), machines(b)];
  return ofA === undefined || ofB === undefined || ofA.some((id) => ofB.includes(id));
}

/** Selectors for the tags of a firewall, or of the sources or destinations of a rule. */
function selectorsOf(object: JsonObject, path: string, remarks: Remarks): string[] {
  const at = join(path, 'tags');
  const found = (listOf(object, 'tags', path, remarks) ?? []).flatMap((tag, index) => {
    const selector = typeof tag === 'string' && tag !== '' ? `tag-${tag}` : '';
    const parsed = parseSelector(selector);
    const isKey =
      'value' in parsed && parsed.value.requirements.every(({ key }) => key === selector);
    if (isKey) return [selector];
    remarks.lost(`${at}[${index}]`, 'expected a tag of letters, digits, colons, - and _');
    return [];
  });
  if (found.length > 0) remarks.note(at, `${labelsWanted}: ${found.join('; ')}`);
  return found;
}

function readingsOf(
  firewall: JsonObject,
  direction: Direction,
  path: string,
  remarks: Remarks,
): { readonly readings: CloudReading[]; readonly allowing: number } {
  const { key, peersKey } = lists[direction];
  const list = listOf(firewall, key, path, remarks);
  if (list === undefined)
    return { readings: [unreadable(direction, join(path, key))], allowing: 0 };
  const readings: CloudReading[] = [];
  let unread = false;
  let allowing = 0;
  for (const [index, item] of list.entries()) {
    const place = `${join(path, key)}[${index}]`;
    if (!isObject(item)) {
      remarks.lost(place, 'expected a rule');
      // One may deny everything; more of them say no more.
      if (!unread) readings.push(unreadable(direction, place));
      unread = true;
      continue;
    }
    const rule = ruleOf(item, direction, place, remarks);
    const unknown = unknownKeys(item, ['protocol', 'ports', peersKey, 'action']);
    const { action } = item;
    if (isEmpty(action) || action === 'allow') allowing++;
    else if (action !== 'deny') unknown.push('action');
    if (unknown.length > 0) {
      remarks.lost(place, `what ${unknown.join(', ')} means is not known: it may deny`);
      readings.push(readDeny(rule, false, remarks));
    } else if (action === 'deny') {
      readings.push(readDeny(rule, true, remarks));
    } else {
      const allow = readAllow(rule, remarks);
      if (allow !== undefined) readings.push(allow);
    }
  }
  return { readings, allowing };
}

function ruleOf(
  rule: JsonObject,
  direction: Direction,
  place: string,
  remarks: Remarks,
): CloudRule {
  const { peersKey } = lists[direction];
  const value = rule[peersKey];
  const peers = isObject(value) ? value : {};
  const peersPath = join(place, peersKey);
  const isDeny = !isEmpty(rule['action']) && rule['action'] !== 'allow';
  // Whom a deny means by a tag is not known: it may be anybody.
  const others = unknownKeys(peers, isDeny ? ['addresses'] : ['addresses', 'tags']);
  const groups = isDeny
    ? []
    : selectorsOf(peers, peersPath, remarks).map((selector) => `label:${selector}`);
  if (!isDeny) {
    for (const key of others) {
      const text = 'only addresses, blocks and tags can be expressed: this part is left out';
      remarks.lost(join(peersPath, key), text);
    }
  }
  const list = listOf(peers, 'addresses', peersPath, remarks);
  return {
    direction,
    place,
    protocol: rule['protocol'],
    ports: rule['ports'],
    portsKey: 'ports',
    // Of ICMP the API says "0", "all" or nothing.
    allWords: (protocol) => (protocol === 'icmp' ? ['0', 'all', ''] : ['0', 'all']),
    peers: list ?? [],
    peersKey,
    peersPath: join(peersPath, 'addresses'),
    groups,
    hasOtherPeers: list === undefined || others.length > 0,
    comment: '',
  };
}
