/**
 * Addresses and ports as users write them.
 *
 * An address has four decimal parts and nothing else, and not what inet_aton takes as well (octal, hexadecimal, fewer parts), because
 * "010.0.0.1" means different things to different programs. ipaddr.js says what is an IPv6 address.
 */
import ipaddr from 'ipaddr.js';
import type { Ranges } from './ranges.ts';
import type { AddressRange, PortRange } from './types.ts';

const [dot, zero] = [46, 48];

export type Parsed<T> = { readonly value: T } | { readonly message: string };

function toNumber(text: string): number | undefined {
  let [address, part, digits, dots] = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || ++dots > 3) return undefined;
      address = address * 256 + part;
      part = digits = 0;
    } else {
      // A zero in front of digits is one of the other notations.
      if (code < zero || code > zero + 9 || (digits > 0 && part === 0)) return undefined;
      part = part * 10 + code - zero;
      if (part > 255) return undefined;
      digits++;
    }
  }
  return dots === 3 && digits > 0 ? address * 256 + part : undefined;
}

export function formatAddressNumber(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

/** Each an address or a range: `10.0.0.1`, `10.0.0.4-10.0.0.9`. */
export function formatRanges(ranges: Ranges): string[] {
  const items: string[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    const first = formatAddressNumber(ranges[i]!);
    const last = formatAddressNumber(ranges[i + 1]!);
    items.push(first === last ? first : `${first}-${last}`);
  }
  return items;
}

function notAnAddress(text: string): string {
  if (ipaddr.IPv6.isValid(text.split('/')[0]!)) {
    return `"${text}" is an IPv6 address: the firewall is IPv4 only`;
  }
  return `"${text}" is not an IPv4 address in four decimal parts`;
}

/** One address. */
export function parseAddress(text: string): Parsed<number> {
  const value = toNumber(text);
  return value === undefined ? { message: notAnAddress(text) } : { value };
}

/** Whether a text is an IPv4 address within one of the ranges. */
export function isWithin(text: string, ranges: readonly AddressRange[]): boolean {
  const address = toNumber(text);
  return address !== undefined && ranges.some(({ from, to }) => from <= address && address <= to);
}

/** An address that a server can have: unicast, not loopback. */
export function parseServerAddress(text: string): Parsed<number> {
  const parsed = parseAddress(text);
  if ('message' in parsed) {
    return text.includes('/') || text.includes('-')
      ? {
          message: `expected one address, found "${text}": write each address of a server by itself`,
        }
      : parsed;
  }
  const top = parsed.value >>> 24;
  if (top === 0 || top === 127 || top >= 224) {
    return { message: `"${text}" cannot be the address of a server` };
  }
  return parsed;
}

/** `any`, an address, a block `a.b.c.d/n`, or a range `a-b`. */
export function parsePeer(text: string): Parsed<AddressRange> {
  if (text === 'any') return { value: { from: 0, to: 0xffffffff, text } };
  if (text.includes('/')) return parseBlock(text);
  const ends = text.split('-').map((end) => end.trim());
  if (ends.length === 2) {
    const [from, to] = ends.map(toNumber);
    if (from === undefined || to === undefined) {
      return { message: notAnAddress(from === undefined ? ends[0]! : ends[1]!) };
    }
    if (from > to) return { message: `the range "${text}" ends before it begins` };
    return { value: { from, to, text } };
  }
  const address = toNumber(text);
  if (address === undefined) {
    return {
      message: `${notAnAddress(text)}; expected an address, a block (10.0.0.0/8), a range (192.0.2.10-192.0.2.20) or any`,
    };
  }
  return { value: { from: address, to: address, text } };
}

function parseBlock(text: string): Parsed<AddressRange> {
  const [address, bits, ...more] = text.split('/');
  const from = toNumber(address!);
  if (from === undefined) return { message: notAnAddress(text) };
  if (more.length > 0 || !/^\d{1,2}$/.test(bits!) || Number(bits) > 32) {
    return { message: `"${text}" is not a block: the length behind the slash is 0 to 32` };
  }
  const size = 2 ** (32 - Number(bits));
  const network = from - (from % size);
  if (network !== from) {
    return {
      message: `"${text}" has bits set behind its length: write ${formatAddressNumber(network)}/${bits!} for the block, or ${address!} for the address`,
    };
  }
  return { value: { from, to: from + size - 1, text } };
}

/** A port, or a range `a-b`. */
export function parsePorts(value: unknown): Parsed<PortRange> {
  const text = String(value);
  const what = 'expected a port from 1 to 65535 or a range like "8000-8100"';
  const match = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$/.exec(text.trim());
  if ((typeof value !== 'number' && typeof value !== 'string') || match === null) {
    return { message: `${what}, found ${typeof value === 'string' ? `"${text}"` : text}` };
  }
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  if (from < 1 || to < 1 || from > 65_535 || to > 65_535)
    return { message: `${what}, found "${text}"` };
  if (from > to) return { message: `the range "${text}" ends before it begins` };
  if (from < to) return { value: { from, to } };
  let single = singlePorts.get(from);
  if (single === undefined) singlePorts.set(from, (single = { from, to }));
  return { value: single };
}

/** Very many rules are about few ports: each is one object for all of them. */
const singlePorts = new Map<number, PortRange>();

/** An address, a block where it is one, else a range. */
export function formatRange(from: number, to: number): string {
  if (from === to) return formatAddressNumber(from);
  const bits = Math.log2(to - from + 1);
  const isBlock = Number.isInteger(bits) && from % 2 ** bits === 0;
  return isBlock
    ? `${formatAddressNumber(from)}/${32 - bits}`
    : `${formatAddressNumber(from)}-${formatAddressNumber(to)}`;
}
