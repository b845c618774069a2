/**
 * What began only because a server observes, by server, for the rules that are suggested for it (policy/suggest.ts).
 *
 * Each server that observes has a record of its own, so that neither drops nor another server take its place. A record begins when
 * its server begins to observe, and stays when that has ended, until it observes again or is no more. Bounded: so many kinds of
 * flows a server, and in all; what goes is counted (kept-kinds.ts).
 */
import type { WouldDropRecord } from '../api/context.ts';
import { EventWord } from '../../dataplane/engine/event-ring.ts';
import { DropReason } from '../../dataplane/wire/drop-reason.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';
import type { SeenFlows } from '../../policy/suggest.ts';
import type { Mutable } from '../../policy/types.ts';
import type { DropNames } from './drop-groups.ts';
import { KeptKinds } from './kept-kinds.ts';

/** Kinds that are kept of one server, and of all. */
export const keptOfServer = 2048;
export const keptInAll = 65_536;

type Kind = Mutable<SeenFlows>;

/** As it is written down for the next process. */
export interface StoredRecord extends WouldDropRecord {
  readonly server: string;
  readonly observing: boolean;
}

interface OwnRecord {
  readonly sinceMs: number;
  observing: boolean;
  /** Records of drops, of whatever kind, that nobody could read in time. */
  lost: number;
  readonly kinds: KeptKinds<Kind>;
}

const protocols: Readonly<Record<number, SeenFlows['protocol'] | undefined>> = {
  [Protocol.icmp]: 'icmp',
  [Protocol.tcp]: 'tcp',
  [Protocol.udp]: 'udp',
};

export class WouldDrops {
  readonly #names: DropNames;
  readonly #records: Map<string, OwnRecord> = new Map<string, OwnRecord>();
  /** Kinds of all records. */
  #size = 0;
  #isChanged = false;

  constructor(names: DropNames) {
    this.#names = names;
  }

  /**
   * A policy is in force.
   *
   * @param servers all, @param observing those that observe
   */
  onPolicy(servers: ReadonlySet<string>, observing: ReadonlySet<string>, nowMs: number): void {
    for (const [server, record] of this.#records) {
      const observes = observing.has(server);
      if (!servers.has(server) || (observes && !record.observing)) this.#remove(server);
      else if (record.observing !== observes) {
        record.observing = observes;
        this.#isChanged = true;
      }
    }
    for (const server of observing) {
      if (this.#records.has(server)) continue;
      this.#begin(server, { sinceMs: nowMs, lost: 0, forgotten: 0, observing: true });
    }
  }

  /** Takes one record of the event ring (engine/event-ring.ts). */
  add(words: Int32Array): void {
    if (words[EventWord.reason] !== DropReason.wouldDrop) return;
    const protocol = protocols[words[EventWord.protocol]!];
    if (protocol === undefined) return;
    const slots = words[EventWord.servers]!;
    const port = protocol === 'icmp' ? 0 : words[EventWord.ports]! & 0xffff;
    const lastMs = this.#names.wallClockOf(words[EventWord.timeMs]!);
    for (const [direction, slot, end] of [
      ['inbound', slots & 0xffff, EventWord.srcAddr],
      ['outbound', slots >>> 16, EventWord.dstAddr],
    ] as const) {
      const server = this.#names.serverName(slot);
      const record = server === undefined ? undefined : this.#records.get(server);
      if (record?.observing !== true) continue;
      this.#count(record, { direction, protocol, peer: words[end]! >>> 0, port, count: 1, lastMs });
    }
  }

  /** So many records of drops were overwritten before they could be read. */
  addMissed(count: number): void {
    if (count === 0) return;
    for (const record of this.#records.values()) if (record.observing) record.lost += count;
    this.#isChanged = true;
  }

  /** Undefined: it has not observed. */
  of(server: string): WouldDropRecord | undefined {
    const record = this.#records.get(server);
    return record && viewOf(record);
  }

  /** All, if there is something new since they were taken last. */
  takeChanged(): readonly StoredRecord[] | undefined {
    if (!this.#isChanged) return undefined;
    this.#isChanged = false;
    return [...this.#records].map(([server, record]) => ({
      ...{ server, observing: record.observing },
      ...viewOf(record),
    }));
  }

  /** What the process before has seen; to be called before all else. */
  restore(stored: readonly StoredRecord[]): void {
    for (const { server, kinds, ...rest } of stored) {
      const record = this.#begin(server, rest);
      for (const kind of kinds) this.#count(record, kind);
    }
    this.#isChanged = false;
  }

  #begin(
    server: string,
    { sinceMs, lost, forgotten, observing }: Omit<StoredRecord, 'server' | 'kinds'>,
  ): OwnRecord {
    const kinds = new KeptKinds<Kind>(keptOfServer, forgotten);
    const record = { sinceMs, observing, lost, kinds };
    this.#records.set(server, record);
    this.#isChanged = true;
    return record;
  }

  #remove(server: string): void {
    this.#size -= this.#records.get(server)?.kinds.size ?? 0;
    this.#records.delete(server);
    this.#isChanged = true;
  }

  #count({ kinds }: OwnRecord, seen: SeenFlows): void {
    this.#isChanged = true;
    const { direction, protocol, peer, port, count, lastMs } = seen;
    const key = `${direction} ${protocol} ${peer} ${port}`;
    const kind = kinds.get(key);
    if (kind === undefined) {
      const before = kinds.size;
      kinds.add(key, { ...seen });
      this.#size += kinds.size - before;
      if (this.#size > keptInAll) this.#forget();
    } else {
      kind.count += count;
      kind.lastMs = Math.max(kind.lastMs, lastMs);
    }
  }

  /** Of the server that has most. */
  #forget(): void {
    const [largest] = [...this.#records.values()].sort((a, b) => b.kinds.size - a.kinds.size);
    const before = largest!.kinds.size;
    largest!.kinds.forgetHalf();
    this.#size += largest!.kinds.size - before;
  }
}

function viewOf({ sinceMs, lost, kinds }: OwnRecord): WouldDropRecord {
  return { sinceMs, lost, forgotten: kinds.forgotten, kinds: [...kinds.values()] };
}
