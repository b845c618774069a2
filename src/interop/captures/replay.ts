/**
 * Runs captured packets through a policy: the engine of the packet threads on memory of its own, fed with one packet at a
 * time, so that each is judged at its own time and its verdict is known before the next one.
 *
 * A fragment is judged with the whole of its datagram: those that come before the last one are `held`, and share the
 * verdict of the one that completes it.
 */
import { randomFillSync } from 'node:crypto';
import {
  Counter,
  createCounters,
  directionNames,
  protocolNames,
  trafficIndex,
  verdictNames,
  evictionNames,
} from '../../dataplane/engine/counters.ts';
import { Engine } from '../../dataplane/engine/engine.ts';
import { EventRingReader, EventWord, createEventRing } from '../../dataplane/engine/event-ring.ts';
import { createFlowMemory } from '../../dataplane/flow/flow-memory.ts';
import { createFragmentMemory } from '../../dataplane/flow/fragment-memory.ts';
import { Direction } from '../../dataplane/flow/flow-record.ts';
import { compilePolicy } from '../../policy/compile.ts';
import { enforced } from '../../policy/observe.ts';
import type { CompiledPolicy, RulePlace } from '../../policy/compile.ts';
import { engineOptions } from '../../policy/engine-options.ts';
import type { AddressSet, GatewayConfig, Server, Template } from '../../policy/types.ts';
import { Matcher } from '../../dataplane/match/matcher.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import { formatAddress, formatProtocol } from '../../dataplane/wire/format.ts';
import { Protocol } from '../../dataplane/wire/headers.ts';
import { Packet } from '../../dataplane/wire/packet.ts';
import { parsePacket } from '../../dataplane/wire/parse.ts';
import type { CapturedPacket } from './capture-window.ts';
import { networkOffset, unsupportedLinkType } from './link-layer.ts';
import { ReplayBatch } from './replay-batch.ts';
import { ReplayClock } from './replay-clock.ts';

/** From the lowest bit up. */
const tcpFlagLetters: readonly string[] = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];

/** Drop records wait for no longer than one packet. */
const eventRecords = 16;

/** What packets are run through. */
export interface ReplayConfig {
  readonly gateway: GatewayConfig;
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  readonly sets?: readonly AddressSet[];
}

export interface ReplayOptions {
  /** Takes every checksum for right. */
  readonly ignoreChecksums: boolean;
}

/** One packet and its verdict. */
export interface PacketReport {
  readonly verdict: 'pass' | 'drop' | 'held';
  /** Of a drop. */
  readonly reason?: string | undefined;
  readonly direction: string;
  readonly protocol: string;
  /** Address, with port for TCP and UDP; `-` for what is not IPv4. */
  readonly from: string;
  readonly to: string;
  /** TCP flags, ICMP type and code; empty for others. */
  readonly detail: string;
  /** IPv4 bytes. */
  readonly length: number;
  /** The rules by which it opened a flow, one for each server: `web inbound[0]`. */
  readonly newFlow?: readonly string[] | undefined;
  /** Of a packet that completes a datagram: how many fragments it has. */
  readonly fragments?: number | undefined;
}

/** Packets and bytes that share direction, protocol and verdict. */
export interface TrafficCount {
  readonly direction: string;
  readonly protocol: string;
  readonly verdict: string;
  readonly packets: number;
  readonly bytes: number;
}

/** What a replay has counted. */
export interface ReplayCounts {
  readonly judged: number;
  readonly passed: number;
  readonly dropped: number;
  readonly traffic: readonly TrafficCount[];
  /** Packets by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** Fragments whose datagram is not complete at the end. */
  readonly fragmentsWaiting: number;
  readonly flows: {
    readonly opened: number;
    readonly openAtEnd: number;
    readonly evicted: Readonly<Record<string, number>>;
  };
  /** Packets that the engine never saw. */
  readonly skipped: {
    readonly notIp: number;
    readonly linkType: number;
    readonly tooLong: number;
  };
  /** Packets that were judged by their headers, since the file has no more of them. */
  readonly cutShort: number;
  /** Of these, fragments: a datagram made of them is checked all the same, and found wrong. */
  readonly cutFragments: number;
  readonly withoutLength: number;
  readonly outOfOrder: number;
  /** Of the packets dropped for their checksum: those whose checksum had not been completed. */
  readonly partialChecksums: number;
}

export class Replay {
  readonly #batch: ReplayBatch;
  readonly #engine: Engine;
  readonly #clock: ReplayClock;
  readonly #counters: Float64Array;
  readonly #events: EventRingReader;
  readonly #compiled: CompiledPolicy;
  readonly #policy: Matcher;
  readonly #ignoreChecksums: boolean;
  readonly #packet: Packet = new Packet();
  /** The traffic counters before the packet in hand. */
  readonly #before: Float64Array = new Float64Array(Counter.bytes);
  readonly #skipped = { notIp: 0, linkType: 0, tooLong: 0 };
  #judged = 0;
  #partialChecksums = 0;
  #flowsOpened = 0;

  /** The last packet's verdict: 1 passed, 0 dropped or held. */
  #passed = 0;
  /** {@link DropReason} of the last packet; none if it passed or is held. */
  #reason = 0;
  #direction = 0;
  #openedFlow = false;
  #released = 0;

  constructor(config: ReplayConfig, { ignoreChecksums }: ReplayOptions) {
    const { gateway } = config;
    const key = randomFillSync(new Int32Array(2));
    const hashKey = [key[0]!, key[1]!] as const;
    const memory = {
      flows: createFlowMemory(gateway.flows.capacity, hashKey),
      fragments: createFragmentMemory(gateway.fragments.memory, hashKey),
    };
    const counters = createCounters();
    const events = createEventRing(eventRecords);
    // It tells what the rules do with old packets, also while a server observes.
    this.#compiled = compilePolicy({ ...config, servers: enforced(config.servers) }, 1);
    // Two of them, because a match leaves the rules behind that it found.
    this.#policy = new Matcher(this.#compiled.words);
    this.#batch = new ReplayBatch(memory.fragments.chunks);
    this.#engine = new Engine(
      this.#batch,
      memory,
      counters,
      events,
      new Matcher(this.#compiled.words),
      engineOptions(gateway),
    );
    this.#counters = new Float64Array(counters);
    this.#events = new EventRingReader(events);
    this.#ignoreChecksums = ignoreChecksums;
    this.#clock = new ReplayClock((nowMs) => this.#tick(nowMs));
  }

  /**
   * Judges a packet.
   *
   * @returns where its IP header lies in its memory; -1 if it was none for the engine and is counted as skipped
   */
  judge(captured: Readonly<CapturedPacket>): number {
    this.#clock.advance(captured);
    const at = networkOffset(captured);
    if (at < 0) {
      if (at === unsupportedLinkType) this.#skipped.linkType++;
      else this.#skipped.notIp++;
      return -1;
    }
    if (!this.#batch.load(captured, at, this.#ignoreChecksums)) {
      this.#skipped.tooLong++;
      return -1;
    }
    this.#judged++;
    const slots = this.#engine.judge(1, this.#clock.nowMs);
    this.#released = slots - 1;
    this.#passed = this.#batch.verdicts[0] === 1 || slots > 1 ? 1 : 0;
    this.#reason = DropReason.none;
    this.#direction = Direction.none;
    if (this.#passed === 1) this.#direction = this.#findDirection();
    else if (this.#events.read()) this.#takeDrop();
    const opened = this.#counters[Counter.flowsOpened]!;
    this.#openedFlow = this.#passed === 1 && opened !== this.#flowsOpened;
    this.#flowsOpened = opened;
    return at;
  }

  /** Tells of the packet that was judged last. */
  report(): PacketReport {
    const packet = this.#parse();
    const { protocol } = packet;
    const hasPorts = protocol === Protocol.tcp || protocol === Protocol.udp;
    const isIpv4 = packet.srcAddr !== 0 || packet.dstAddr !== 0;
    // A fragment's ports are those of its datagram, which are not looked at here.
    const isFragment = packet.fragmentOffset !== 0 || packet.moreFragments !== 0;
    const end = (address: number, port: number): string => {
      if (!isIpv4) return '-';
      const host = formatAddress(address);
      return hasPorts && !isFragment ? `${host}:${port}` : host;
    };
    const dropped = this.#reason !== DropReason.none;
    return {
      verdict: dropped ? 'drop' : this.#passed === 1 ? 'pass' : 'held',
      reason: dropped ? dropReasonNames[this.#reason] : undefined,
      direction: directionNames[this.#direction]!,
      protocol: isIpv4 ? formatProtocol(protocol) : this.#reason === DropReason.ipv6 ? 'ipv6' : '-',
      from: end(packet.srcAddr, packet.srcPort),
      to: end(packet.dstAddr, packet.dstPort),
      detail: isFragment || !isIpv4 ? '' : detailOf(packet),
      length: packet.totalLength,
      newFlow: this.#openedFlow && !isFragment ? this.#rulesOf(packet) : undefined,
      fragments: this.#released > 0 ? this.#released : undefined,
    };
  }

  counts(): ReplayCounts {
    const counters = this.#counters;
    const traffic = trafficOf(counters);
    const sum = (verdict: string): number =>
      traffic.reduce((total, row) => total + (row.verdict === verdict ? row.packets : 0), 0);
    const named = (names: readonly string[], from: number): Record<string, number> =>
      Object.fromEntries(
        names
          .map((name, index) => [name, counters[from + index]!] as const)
          .filter(([, count]) => count > 0),
      );
    const passed = sum('pass');
    const dropped = sum('drop');
    return {
      judged: this.#judged,
      passed,
      dropped,
      traffic,
      drops: named(dropReasonNames, Counter.drops),
      fragmentsWaiting: this.#judged - passed - dropped,
      flows: {
        opened: counters[Counter.flowsOpened]!,
        openAtEnd: this.#engine.table.used,
        evicted: named(evictionNames, Counter.evictions),
      },
      skipped: { ...this.#skipped },
      cutShort: this.#batch.cutShort,
      cutFragments: this.#batch.cutFragments,
      withoutLength: this.#batch.withoutLength,
      outOfOrder: this.#clock.outOfOrder,
      partialChecksums: this.#partialChecksums,
    };
  }

  /** Housekeeping does a part at a time; here is all the time for it. */
  #tick(nowMs: number): void {
    const { table } = this.#engine;
    let before: number;
    do {
      before = table.used;
      this.#engine.tick(nowMs);
    } while (table.used < before);
  }

  /** The engine tells no direction of what passes, but counts it under one. */
  #findDirection(): number {
    const { protocol } = this.#batch;
    let found: number = Direction.none;
    for (let direction = 0; direction < directionNames.length; direction++) {
      const index = trafficIndex(direction, protocol, 1);
      const count = this.#counters[Counter.packets + index]!;
      if (count !== this.#before[index]) found = direction;
      this.#before[index] = count;
    }
    return found;
  }

  #takeDrop(): void {
    const { record } = this.#events;
    this.#reason = record[EventWord.reason]!;
    this.#direction = record[EventWord.direction]!;
    if (this.#reason !== DropReason.badChecksum) return;
    if (this.#batch.isChecksumPartial(this.#parse())) this.#partialChecksums++;
  }

  #parse(): Packet {
    const { bytes, words, vnetOffset, lengths } = this.#batch;
    // Fields behind what is wrong with a packet keep their value: let it be none.
    const packet = this.#packet;
    packet.fragmentOffset = 0;
    packet.moreFragments = 0;
    packet.tcpFlags = 0;
    packet.icmpType = 0;
    packet.icmpCode = 0;
    parsePacket(bytes, words, vnetOffset, lengths[0]!, packet);
    return packet;
  }

  #rulesOf({ protocol, srcAddr, dstAddr, dstPort }: Packet): string[] {
    const policy = this.#policy;
    policy.match(protocol, srcAddr, dstAddr, dstPort);
    return [policy.outboundRule, policy.inboundRule].flatMap((rule) => {
      const place = this.#compiled.rules[rule];
      return place === undefined ? [] : [formatPlace(place)];
    });
  }
}

function formatPlace({ template, direction, position }: RulePlace): string {
  return `${template} ${direction}[${position}]`;
}

function detailOf(packet: Packet): string {
  if (packet.protocol === Protocol.icmp) return `${packet.icmpType}/${packet.icmpCode}`;
  if (packet.protocol !== Protocol.tcp) return '';
  return tcpFlagLetters.filter((_, bit) => (packet.tcpFlags & (1 << bit)) !== 0).join('');
}

function trafficOf(counters: Float64Array): TrafficCount[] {
  const rows: TrafficCount[] = [];
  directionNames.forEach((direction, d) => {
    protocolNames.forEach((protocol, p) => {
      verdictNames.forEach((verdict, v) => {
        const index = (d << 3) | (p << 1) | v;
        const packets = counters[Counter.packets + index]!;
        const bytes = counters[Counter.bytes + index]!;
        if (packets > 0) rows.push({ direction, protocol, verdict, packets, bytes });
      });
    });
  });
  return rows;
}
