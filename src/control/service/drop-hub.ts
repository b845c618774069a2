/**
 * Recent drops, and subscriptions to new ones, for `tunwall drops` and the panel.
 *
 * It receives the records that the control plane takes from the event ring, and keeps them in binary form; only records
 * in a query's result are converted to text. How many of each kind there were is counted beside it (drop-groups.ts).
 */
import type { Drop, DropGroups, DropGroupsQuery, DropQuery, Drops } from '../api/context.ts';
import { directionNames } from '../../dataplane/engine/counters.ts';
import { EventWord } from '../../dataplane/engine/event-ring.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { formatAddress, formatProtocol, formatTcpFlags } from '../../dataplane/wire/format.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';
import { DropCounter } from './drop-groups.ts';
import type { DropNames } from './drop-groups.ts';

/** Records that are kept. */
export const keptDrops = 1000;

/** With these reasons the TCP flags and ICMP type were not parsed: the record has those of an earlier packet. */
const headersUnread: ReadonlySet<number> = new Set([
  DropReason.ipv6,
  DropReason.protocol,
  DropReason.truncated,
  DropReason.badIpHeader,
  DropReason.badIpChecksum,
  DropReason.sourceRoute,
  DropReason.land,
  DropReason.martianSource,
  DropReason.martianDestination,
  DropReason.fragment,
  DropReason.badTcpHeader,
  DropReason.badIcmp,
  DropReason.fragmentOverlap,
  DropReason.fragmentTiny,
  DropReason.fragmentOversize,
  DropReason.fragmentMemory,
  DropReason.fragmentCount,
]);

interface Subscriber {
  readonly query: DropQuery;
  readonly listener: (drop: Drop) => void;
}

export class DropHub implements Drops {
  readonly #options: DropNames;
  /** Copies of event records, the drop of id n at n % keptDrops. */
  readonly #records: Int32Array[] = [];
  readonly #times: Float64Array = new Float64Array(keptDrops);
  readonly #subscribers: Set<Subscriber> = new Set();
  readonly #counter: DropCounter;
  /** Id of the next drop. */
  #next = 1;

  constructor(options: DropNames) {
    this.#options = options;
    this.#counter = new DropCounter(options);
  }

  /** Takes one record of the event ring (engine/event-ring.ts). */
  add(words: Int32Array): void {
    const id = this.#next++;
    this.#counter.add(words);
    const place = id % keptDrops;
    const kept = this.#records[place];
    if (kept === undefined) this.#records[place] = words.slice();
    else kept.set(words);
    this.#times[place] = this.#options.wallClockOf(words[EventWord.timeMs]!);
    if (this.#subscribers.size === 0) return;
    let view: Drop | undefined;
    for (const { query, listener } of this.#subscribers) {
      if (this.#matches(query, words)) listener((view ??= this.#view(id)));
    }
  }

  /** The last ones that match, at most `limit`, oldest first. */
  recent(query: DropQuery, limit: number): Drop[] {
    const found: Drop[] = [];
    const oldest = Math.max(1, this.#next - keptDrops);
    for (let id = this.#next - 1; id >= oldest && found.length < limit; id--) {
      if (this.#matches(query, this.#records[id % keptDrops]!)) found.push(this.#view(id));
    }
    return found.reverse();
  }

  /** Calls `listener` for every later one that matches; returns a function that unsubscribes. */
  subscribe(query: DropQuery, listener: (drop: Drop) => void): () => void {
    const subscriber = { query, listener };
    this.#subscribers.add(subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }

  groups(query: DropGroupsQuery): DropGroups {
    return this.#counter.groups(query);
  }

  #matches({ server, reason }: DropQuery, words: Int32Array): boolean {
    if (reason !== undefined && dropReasonNames[words[EventWord.reason]!] !== reason) return false;
    if (server === undefined) return true;
    const [source, destination] = this.#servers(words);
    return source === server || destination === server;
  }

  #servers(words: Int32Array): [string | undefined, string | undefined] {
    const slots = words[EventWord.servers]!;
    const { serverName } = this.#options;
    return [serverName(slots >>> 16), serverName(slots & 0xffff)];
  }

  #view(id: number): Drop {
    const words = this.#records[id % keptDrops]!;
    const protocol = words[EventWord.protocol]!;
    const ports = words[EventWord.ports]!;
    const detail = words[EventWord.detail]!;
    const hasDetail = !headersUnread.has(words[EventWord.reason]!);
    const [sourceServer, destinationServer] = this.#servers(words);
    // A packet that failed before its L4 header was parsed has no ports: both are 0.
    const hasPorts = (protocol === Protocol.tcp || protocol === Protocol.udp) && ports !== 0;
    return {
      id,
      at: new Date(this.#times[id % keptDrops]!).toISOString(),
      reason: dropReasonNames[words[EventWord.reason]!] ?? 'unknown',
      direction: directionNames[words[EventWord.direction]!] ?? 'none',
      protocol: formatProtocol(protocol),
      source: formatAddress(words[EventWord.srcAddr]!),
      destination: formatAddress(words[EventWord.dstAddr]!),
      ...(hasPorts && { sourcePort: ports >>> 16, destinationPort: ports & 0xffff }),
      ...(hasDetail && protocol === Protocol.tcp && { tcpFlags: formatTcpFlags(detail) }),
      ...(hasDetail &&
        protocol === Protocol.icmp && { icmpType: detail >> 8, icmpCode: detail & 0xff }),
      ...(sourceServer !== undefined && { sourceServer }),
      ...(destinationServer !== undefined && { destinationServer }),
      bytes: words[EventWord.length]!,
      epoch: words[EventWord.epoch]!,
    };
  }
}
