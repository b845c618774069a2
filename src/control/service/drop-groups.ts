/**
 * Drops by where from, where to, which port and why: how many, and when the last one was.
 *
 * A kind of drop is its reason, protocol, source, destination and destination port. The number of kinds is bounded (kept-kinds.ts).
 */
import type { DropGroup, DropGroups, DropGroupsQuery } from '../api/context.ts';
import type { DropField } from '../api/live-words.ts';
import { EventWord } from '../../dataplane/engine/event-ring.ts';
import { dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { formatAddress, formatProtocol } from '../../dataplane/wire/format.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';
import { KeptKinds } from './kept-kinds.ts';

/** Kinds that are kept. */
export const keptKinds = 8192;

interface Kind {
  readonly reason: number;
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  /** 0 without ports. */
  readonly port: number;
  /** Slots, of the last one: destination in the low half, source in the high half. */
  servers: number;
  count: number;
  bytes: number;
  /** When the first one and the last one was, in ms since 1970. */
  firstMs: number;
  lastMs: number;
}

/** What the numbers in a record mean. */
export interface DropNames {
  /** The wall-clock time, in ms, at which the packet threads' clock showed `thenMs`. */
  readonly wallClockOf: (thenMs: number) => number;
  /** Name of a server slot. */
  readonly serverName: (slot: number) => string | undefined;
}

export class DropCounter {
  readonly #options: DropNames;
  readonly #kinds: KeptKinds<Kind> = new KeptKinds(keptKinds);

  constructor(options: DropNames) {
    this.#options = options;
  }

  /** Takes one record of the event ring (engine/event-ring.ts). */
  add(words: Int32Array): void {
    const protocol = words[EventWord.protocol]!;
    const port = hasPorts(protocol) ? words[EventWord.ports]! & 0xffff : 0;
    const reason = words[EventWord.reason]!;
    const source = words[EventWord.srcAddr]!;
    const destination = words[EventWord.dstAddr]!;
    const key = `${reason} ${protocol} ${source} ${destination} ${port}`;
    const lastMs = this.#options.wallClockOf(words[EventWord.timeMs]!);
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      const none = { servers: 0, count: 0, bytes: 0 };
      kind = { reason, protocol, source, destination, port, ...none, firstMs: lastMs, lastMs };
      this.#kinds.add(key, kind);
    }
    kind.count++;
    kind.bytes += words[EventWord.length]!;
    kind.lastMs = Math.max(kind.lastMs, lastMs);
    kind.servers = words[EventWord.servers]!;
  }

  /** The most frequent first, or those that came last. */
  groups({ by, server, reason, sort, limit }: DropGroupsQuery): DropGroups {
    const found = new Map<string, Kind>();
    let drops = 0;
    for (const kind of this.#kinds.values()) {
      if (reason !== undefined && dropReasonNames[kind.reason] !== reason) continue;
      if (server !== undefined && !this.#serversOf(kind).includes(server)) continue;
      drops += kind.count;
      const key = by.map((field) => keyParts[field](kind)).join(' ');
      const group = found.get(key);
      if (group === undefined) found.set(key, { ...kind });
      else addTo(group, kind);
    }
    const groups = [...found.values()].sort((one, other) =>
      sort === 'last'
        ? other.lastMs - one.lastMs || other.count - one.count
        : other.count - one.count || other.lastMs - one.lastMs,
    );
    return {
      groups: groups.slice(0, limit).map((kind) => this.#view(kind, by)),
      total: groups.length,
      drops,
      forgotten: this.#kinds.forgotten,
    };
  }

  #serversOf({ servers }: Kind): readonly (string | undefined)[] {
    const { serverName } = this.#options;
    return [serverName(servers >>> 16), serverName(servers & 0xffff)];
  }

  /** Only formed for what is answered. */
  #view(kind: Kind, by: readonly DropField[]): DropGroup {
    const [sourceServer, destinationServer] = this.#serversOf(kind);
    const { count, bytes, firstMs, lastMs } = kind;
    return {
      ...(by.includes('source') && {
        source: formatAddress(kind.source),
        ...(sourceServer !== undefined && { sourceServer }),
      }),
      ...(by.includes('destination') && {
        destination: formatAddress(kind.destination),
        ...(destinationServer !== undefined && { destinationServer }),
      }),
      ...(by.includes('port') && {
        protocol: formatProtocol(kind.protocol),
        ...(hasPorts(kind.protocol) && { destinationPort: kind.port }),
      }),
      ...(by.includes('reason') && { reason: dropReasonNames[kind.reason] ?? 'unknown' }),
      ...{ count, bytes },
      first: new Date(firstMs).toISOString(),
      last: new Date(lastMs).toISOString(),
    };
  }
}

/** What makes two kinds one group. */
const keyParts: Readonly<Record<DropField, (kind: Kind) => string>> = {
  source: ({ source }) => String(source),
  destination: ({ destination }) => String(destination),
  // A port means nothing without its protocol.
  port: ({ protocol, port }) => `${protocol}/${port}`,
  reason: ({ reason }) => String(reason),
};

function hasPorts(protocol: number): boolean {
  return protocol === Protocol.tcp || protocol === Protocol.udp;
}

function addTo(group: Kind, kind: Kind): void {
  group.count += kind.count;
  group.bytes += kind.bytes;
  group.firstMs = Math.min(group.firstMs, kind.firstMs);
  if (kind.lastMs > group.lastMs) group.servers = kind.servers;
  group.lastMs = Math.max(group.lastMs, kind.lastMs);
}
