/**
 * Reading JSON documents of other firewalls with the path of everything, and the two things that both of them have:
 * addresses and ports.
 */
import ipaddr from 'ipaddr.js';
import { formatAddressNumber, parsePeer, parsePorts } from '../../policy/addresses.ts';
import type { Parsed } from '../../policy/addresses.ts';
import type { AddressRange } from '../../policy/types.ts';
import { ImportError } from './import-result.ts';
import type { Remarks } from './import-result.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value says nothing: absent, null, or an empty list. */
export function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0);
}

export interface FoundFirewall {
  readonly firewall: JsonObject;
  readonly path: string;
}

/** The firewalls of a document: `{ firewalls: [...] }`, `{ firewall: {...} }`, a list of them, or one by itself. */
export function findFirewalls(document: unknown, format: string): FoundFirewall[] {
  const wrapped = isObject(document) ? (document['firewalls'] ?? document['firewall']) : undefined;
  const value = wrapped ?? document;
  const path =
    wrapped === undefined
      ? ''
      : isObject(document) && 'firewalls' in document
        ? 'firewalls'
        : 'firewall';
  const found = Array.isArray(value)
    ? value.map((firewall: unknown, index) => ({ firewall, path: `${path}[${index}]` }))
    : [{ firewall: value, path }];
  return found.map((each) => {
    if (isObject(each.firewall)) return { firewall: each.firewall, path: each.path };
    throw new ImportError(
      `${each.path === '' ? 'the document' : each.path} is not a firewall of ${format}`,
      'expected the JSON of the API: an object with firewalls, firewall, or one firewall',
    );
  });
}

/** `a` and `b` make `a.b`; nothing and `b` make `b`. */
export function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** A list under a key; undefined, and reported, if it is something else. Absent and null are an empty one. */
export function listOf(
  object: JsonObject,
  key: string,
  path: string,
  remarks: Remarks,
): readonly unknown[] | undefined {
  const value = object[key];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value as unknown[];
  remarks.lost(join(path, key), 'expected a list');
  return undefined;
}

/** What a rule does not have a meaning for here may narrow it: the rule cannot be taken without it. */
export function unknownKeys(object: JsonObject, known: readonly string[]): string[] {
  return Object.keys(object).filter((key) => !known.includes(key) && !isEmpty(object[key]));
}

/**
 * Those of a list of addresses and blocks that are IPv4, as templates write them. The others are reported: a list is a
 * union, so leaving some out only narrows. It may end up empty, which does *not* mean any.
 *
 * IPv6 beside IPv4 is worth a note only: the firewall forwards no IPv6, whatever rules say.
 */
export function addressesOf(list: readonly unknown[], path: string, remarks: Remarks): string[] {
  const parsed = list.map(parseAddresses);
  const addresses = parsed.flatMap((each) =>
    each === 'IPv6' || 'message' in each ? [] : [each.value.text],
  );
  for (const [index, each] of parsed.entries()) {
    const place = `${path}[${index}]`;
    if (each === 'IPv6') {
      const text = `${JSON.stringify(list[index])} is IPv6, which the firewall does not forward`;
      remarks[addresses.length > 0 ? 'note' : 'lost'](place, text);
    } else if ('message' in each) remarks.lost(place, each.message);
  }
  return addresses;
}

/** An address or a block. */
export function parseAddresses(item: unknown): Parsed<AddressRange> | 'IPv6' {
  if (typeof item !== 'string') return { message: 'expected an address or a block' };
  const text = normalBlock(item.trim());
  if (text.includes('-') || text === 'any') {
    return { message: `"${item}" is not an address or a block` };
  }
  if (isIpv6(text)) return 'IPv6';
  return parsePeer(text);
}

/** Not IPv4 in the clothes of IPv6, such as ::ffff:10.0.0.1. */
function isIpv6(text: string): boolean {
  const [address = ''] = text.split('/');
  const isValid = ipaddr.IPv6.isValid(text) || ipaddr.IPv6.isValidCIDR(text);
  return isValid && !ipaddr.IPv6.parse(address).isIPv4MappedAddress();
}

/** The block itself where bits are set behind its length (10.0.0.5/8 is 10.0.0.0/8 to others), and no /32. */
export function normalBlock(text: string): string {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text);
  if (match === null || Number(match[2]) > 32) return text;
  const address = parsePeer(match[1]!);
  if ('message' in address) return text;
  if (match[2] === '32') return match[1]!;
  const size = 2 ** (32 - Number(match[2]));
  return `${formatAddressNumber(address.value.from - (address.value.from % size))}/${match[2]!}`;
}

/**
 * A port or a range as text or number, where `words` mean all ports.
 *
 * @returns `all`, ports as templates write them, or undefined after reporting what cannot be expressed
 */
export function portsOf(
  value: unknown,
  words: readonly string[],
  path: string,
  remarks: Remarks,
): 'all' | (number | string)[] | undefined {
  const text = typeof value === 'number' || typeof value === 'string' ? String(value).trim() : '';
  if (words.includes(text.toLowerCase()) || text === '0-65535') return 'all';
  const parsed = parsePorts(text);
  if ('message' in parsed) {
    remarks.lost(path, text === '' ? 'no ports are given' : parsed.message);
    return undefined;
  }
  const { from, to } = parsed.value;
  return [from === to ? from : `${from}-${to}`];
}
