/**
 * The ends of a question about traffic, as people name them: a server by its name, an address, a block, a range, `any`, or a
 * group as in a rule (`label:role=web`, `set:office`), and behind a colon the ports.
 */
import { formatAddressNumber, parseAddress, parsePorts } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import { isGroup, parsePeer } from './peers.ts';
import { didYouMean } from './problem.ts';
import { allAddresses, rangesOf } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import type { Resolver } from './resolve.ts';
import type { PolicySource, PortRange } from './types.ts';

export interface EndText {
  readonly whom: string;
  readonly ports?: PortRange;
}

/** `db-1:5432`, `10.0.0.0/8`, `label:role=web:8000-8100`: what stands before the last colon, if ports follow it. */
export function splitEnd(text: string): Parsed<EndText> {
  const match = /^(.+):\s*(\d[\d\s-]*)$/s.exec(text);
  if (match === null) return { value: { whom: text.trim() } };
  const ports = parsePorts(match[2]!);
  return 'message' in ports ? ports : { value: { whom: match[1]!.trim(), ports: ports.value } };
}

/** Addresses that an end of a question means. */
export function addressesOf(
  whom: string,
  source: PolicySource,
  resolver: Resolver,
): Parsed<Ranges> {
  const server = source.servers.find(({ name }) => name === whom);
  const text = server === undefined ? whom : `server:${whom}`;
  const peer = parsePeer(text);
  if ('message' in peer) {
    return /[:/]|^[\d.\s-]+$/.test(whom) ? peer : { message: noServer(whom, source) };
  }
  if (!isGroup(peer.value)) return { value: rangesOf([peer.value]) };
  const missing = missingName(peer.value.text, source);
  if (missing !== undefined) return { message: missing };
  return {
    value: resolver.rangesOf({ protocol: 'all', peers: [peer.value] }) ?? allAddresses,
  };
}

/** The one address that an end of a packet means: written out, or of a server that has no other. */
export function addressOf(whom: string, source: Pick<PolicySource, 'servers'>): Parsed<number> {
  const address = parseAddress(whom);
  if ('value' in address || /^[\d.:/]+$/.test(whom)) return address;
  const server = source.servers.find(({ name }) => name === whom);
  if (server === undefined) return { message: noServer(whom, source) };
  const [first, ...others] = server.addresses;
  if (others.length === 0) return { value: first! };
  const all = server.addresses.map(formatAddressNumber).join(', ');
  return { message: `server ${whom} has several addresses, say which one: ${all}` };
}

function noServer(name: string, { servers }: Pick<PolicySource, 'servers'>): string {
  const names = servers.map((each) => each.name);
  return `expected an address or a server: there is no server "${name}"${didYouMean(name, names)}`;
}

/** A group by name that does not exist means nobody, which would look like an answer. */
function missingName(text: string, source: PolicySource): string | undefined {
  const [kind, name] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)];
  const things = {
    server: source.servers,
    template: source.templates,
    set: source.sets ?? [],
  } as const;
  if (!Object.hasOwn(things, kind)) return undefined;
  const names = things[kind as keyof typeof things].map((each) => each.name);
  if (names.includes(name)) return undefined;
  return `there is no ${kind} "${name}"${didYouMean(name, names)}`;
}
