/**
 * What firewalls of DigitalOcean and Hetzner Cloud have in common: rules for one direction, of which each names a protocol,
 * ports and the addresses of the other end. An allow has to be understood whole, part by part of its union of addresses. A
 * deny, or what may be one, counts for everything that it may mean.
 */
import { parsePeer, parsePorts } from '../../policy/addresses.ts';
import type { InboundRuleBody, OutboundRuleBody } from '../../policy/template-body.ts';
import { allAddresses, allOf, boxProtocols, keyOf } from './box.ts';
import type { Box, BoxProtocol } from './box.ts';
import type { Remarks } from './import-result.ts';
import { addressesOf, isEmpty, join, parseAddresses, portsOf } from './json-fields.ts';
import { mergeRanges } from './range-lists.ts';
import type { Range } from './range-lists.ts';
import { settle } from './reading.ts';
import type { Reading, Settled } from './reading.ts';
import { inboundBody, outboundBody, trafficOf } from './rule-bodies.ts';

export type Direction = 'inbound' | 'outbound';

/** A rule of either service, before its values are looked at. */
export interface CloudRule {
  readonly direction: Direction;
  /** Of the rule. */
  readonly place: string;
  readonly protocol: unknown;
  readonly ports: unknown;
  /** Name of the field with the ports, and words that mean all of them. */
  readonly portsKey: string;
  readonly allWords: (protocol: BoxProtocol) => readonly string[];
  readonly peers: readonly unknown[];
  /** Name of the field with the addresses, and path of their list. */
  readonly peersKey: string;
  readonly peersPath: string;
  /** Groups of servers beside them, as templates write them. Default: none. */
  readonly groups?: readonly string[];
  /** Whether there are other ends than those in `peers`. */
  readonly hasOtherPeers: boolean;
  readonly comment: string;
}

export interface CloudReading extends Reading {
  readonly direction: Direction;
  readonly comment: string;
  /** Of an allow: as it is written. */
  readonly body?: { readonly protocol: BoxProtocol; readonly ports?: readonly (number | string)[] };
  readonly peers: readonly string[];
  /** Which addresses they mean is not known here. */
  readonly groups: readonly string[];
}

/** Undefined after reporting why nothing of it can be expressed. */
export function readAllow(rule: CloudRule, remarks: Remarks): CloudReading | undefined {
  const { place, protocol, ports: given, direction, comment } = rule;
  if (!isBoxProtocol(protocol)) {
    const found = JSON.stringify(protocol ?? null);
    remarks.lost(join(place, 'protocol'), `${found}: only ICMP, TCP and UDP can be expressed`);
    return undefined;
  }
  const portsPath = join(place, rule.portsKey);
  const ports =
    protocol === 'icmp' && isEmpty(given)
      ? 'all'
      : portsOf(given, rule.allWords(protocol), portsPath, remarks);
  if (ports === undefined) return undefined;
  if (protocol === 'icmp' && ports !== 'all') {
    remarks.lost(portsPath, 'ICMP has no ports');
    return undefined;
  }
  const peers = addressesOf(rule.peers, rule.peersPath, remarks);
  const { groups = [] } = rule;
  if (peers.length + groups.length === 0) {
    remarks.lost(place, `none of its ${rule.peersKey} can be expressed: the rule is left out`);
    return undefined;
  }
  const ranges = peers.map((peer) => valueOf(parsePeer(peer)));
  const portRanges =
    ports === 'all' ? allOf(protocol) : ports.map((each) => valueOf(parsePorts(each)));
  const box = boxOf(direction, protocol, portRanges, mergeRanges(ranges));
  const pieces = peers.length === 0 ? [] : [{ box, when: [] }];
  const body = { protocol, ...(ports !== 'all' && { ports }) };
  return { action: 'allow', name: 'allow', place, pieces, direction, comment, body, peers, groups };
}

/** @param isDeny false: what it does is not known */
export function readDeny(rule: CloudRule, isDeny: boolean, remarks: Remarks): CloudReading {
  const { place, protocol, ports: given, direction, comment } = rule;
  const parsed = rule.peers.map(parseAddresses);
  const peers = parsed.flatMap((each) =>
    each === 'IPv6' || 'message' in each ? [] : [each.value],
  );
  const doubtfulPeers = [
    ...(rule.hasOtherPeers || rule.peers.length === 0 ? [rule.peersKey] : []),
    ...parsed.flatMap((each) => (each !== 'IPv6' && 'message' in each ? [each.message] : [])),
  ];
  const doubts = new Set(doubtfulPeers);
  if (!isBoxProtocol(protocol)) doubts.add(`protocol ${JSON.stringify(protocol ?? null)}`);
  const boxes = (isBoxProtocol(protocol) ? [protocol] : boxProtocols).flatMap((each) => {
    const words = [...rule.allWords(each), '0-65535'];
    const text = typeof given === 'number' ? String(given) : given;
    const isAll = typeof text === 'string' && words.includes(text.trim().toLowerCase());
    const port = each === 'icmp' || isAll ? undefined : parsePorts(text);
    const isUnderstood = port === undefined ? isAll || isEmpty(given) : !('message' in port);
    if (!isUnderstood) doubts.add(`${rule.portsKey} ${JSON.stringify(given ?? null)}`);
    const ports = port === undefined || 'message' in port ? allOf(each) : [port.value];
    const ranges = doubtfulPeers.length > 0 ? allAddresses : mergeRanges(peers);
    return ranges.length === 0 ? [] : [boxOf(direction, each, ports, ranges)];
  });
  if (doubts.size > 0) {
    const what = `${[...doubts].join(', ')}: what this denies is not known`;
    remarks.lost(place, `${what}, so nothing is allowed that it may deny`);
  }
  const action = isDeny && doubts.size === 0 ? 'deny' : 'unknown';
  const pieces = boxes.map((box) => ({ box, when: [] }));
  return { action, name: 'deny', place, pieces, direction, comment, peers: [], groups: [] };
}

/** A thing of which not even that is known whether it is a rule: it may deny everything. */
export function unreadable(direction: Direction, place: string): CloudReading {
  const boxes = boxProtocols.map((each) => boxOf(direction, each, allOf(each), allAddresses));
  const pieces = boxes.map((box) => ({ box, when: [] }));
  const none = { comment: '', peers: [], groups: [] };
  return { action: 'unknown', name: 'deny', place, pieces, direction, ...none };
}

function isBoxProtocol(value: unknown): value is BoxProtocol {
  return value === 'icmp' || value === 'tcp' || value === 'udp';
}

function valueOf<T extends Range>(parsed: { value: T } | { message: string }): T {
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed.value;
}

function boxOf(
  direction: Direction,
  protocol: BoxProtocol,
  ports: readonly Range[],
  peers: readonly Range[],
): Box {
  const inbound = direction === 'inbound';
  return {
    protocol,
    ports: mergeRanges(ports),
    sources: inbound ? peers : allAddresses,
    destinations: inbound ? allAddresses : peers,
  };
}

export interface CloudBodies {
  readonly inbound: InboundRuleBody[];
  readonly outbound: OutboundRuleBody[];
  /** Allows of each direction of which something is left. */
  readonly imported: Readonly<Record<Direction, number>>;
}

/**
 * The rules of one template.
 *
 * @param readings of its firewall
 * @param others of firewalls that some of its servers have as well: a deny of theirs counts
 */
export function bodiesOf(
  readings: readonly CloudReading[],
  others: readonly CloudReading[],
  remarks: Remarks,
): CloudBodies {
  const isDeny = ({ action }: CloudReading): boolean => action !== 'allow';
  const denies = [...readings, ...others].filter(isDeny);
  const allows = readings.filter((each) => !isDeny(each));
  const bodies: CloudBodies = {
    inbound: [],
    outbound: [],
    imported: { inbound: 0, outbound: 0 },
  };
  const imported = { inbound: 0, outbound: 0 };
  for (const direction of ['inbound', 'outbound'] as const) {
    const ofIt = [...denies, ...allows].filter((each) => each.direction === direction);
    const denied = ofIt.some(isDeny);
    for (const settled of settle(ofIt, () => undefined)) {
      const { place, groups } = settled.reading;
      if (settled.takenBy !== undefined) remarks.note(place, `${settled.takenBy} takes all of it`);
      if (settled.lost.length > 0) remarks.lost(place, settled.lost.join('; '));
      if (denied && groups.length > 0) {
        remarks.lost(place, `what a deny takes of ${groups.join(', ')} is not known: left out`);
      }
      if (settled.boxes.length === 0 && (denied || groups.length === 0)) continue;
      imported[direction]++;
      const written = { ...settled, groups: denied ? [] : groups };
      if (direction === 'inbound') bodies.inbound.push(...inboundOf(written, remarks));
      else bodies.outbound.push(...outboundOf(written, remarks));
    }
  }
  return { ...bodies, imported };
}

/** With the groups that can be written. */
type WithGroups = Settled<CloudReading> & { readonly groups: readonly string[] };

/** As it was written, where nothing was taken from it. */
function isWhole({ boxes, reading }: WithGroups): boolean {
  if (reading.pieces.length === 0) return true;
  const [box, ...more] = boxes;
  const [first] = reading.pieces;
  if (box === undefined || first === undefined || more.length > 0) return false;
  const sides = ['ports', 'sources', 'destinations'] as const;
  return sides.every((side) => keyOf(box[side]) === keyOf(first.box[side]));
}

const commentOf = ({ comment }: CloudReading): { comment?: string } =>
  comment === '' ? {} : { comment };

function inboundOf(settled: WithGroups, remarks: Remarks): InboundRuleBody[] {
  const { reading, boxes, groups } = settled;
  if (isWhole(settled)) {
    const sources = [...reading.peers, ...groups];
    return [{ ...reading.body!, sources, ...commentOf(reading) }];
  }
  return trafficOf(boxes, reading.place, remarks).map((each) => inboundBody(each, reading.comment));
}

function outboundOf(settled: WithGroups, remarks: Remarks): OutboundRuleBody[] {
  const { reading, boxes, groups } = settled;
  if (isWhole(settled)) {
    const destinations = [...reading.peers, ...groups];
    return [{ ...reading.body!, destinations, ...commentOf(reading) }];
  }
  return trafficOf(boxes, reading.place, remarks).map((each) =>
    outboundBody(each, reading.comment),
  );
}
