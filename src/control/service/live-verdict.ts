/**
 * Finds the live flow that decides on a packet, and the verdict: a separate engine judges the packet, with the policy
 * in force and a copy of that flow. The copy is discarded; the firewall's flow does not change.
 */
import { createCounters, Counter } from '../../dataplane/engine/counters.ts';
import { Engine } from '../../dataplane/engine/engine.ts';
import type { EngineOptions } from '../../dataplane/engine/engine.ts';
import { EventRingReader, EventWord, createEventRing } from '../../dataplane/engine/event-ring.ts';
import { kindOf } from '../../dataplane/engine/look-ahead.ts';
import { createFlowMemory } from '../../dataplane/flow/flow-memory.ts';
import {
  Cold,
  Hot,
  StateBits,
  coldWords,
  hotShift,
  hotWords,
} from '../../dataplane/flow/flow-record.ts';
import { createFragmentMemory } from '../../dataplane/flow/fragment-memory.ts';
import { noIcmpQuery } from '../../dataplane/flow/icmp-query.ts';
import { Matcher } from '../../dataplane/match/matcher.ts';
import { DropReason, dropReasonNames } from '../../dataplane/wire/drop-reason.ts';
import {
  Icmp,
  IcmpType,
  Protocol,
  VnetHeader,
  alignedVnetOffset,
  vnetDataValid,
} from '../../dataplane/wire/headers.ts';
import { Packet } from '../../dataplane/wire/packet.ts';
import { parsePacket } from '../../dataplane/wire/parse.ts';
import { parseQuoted } from '../../dataplane/wire/parse-quoted.ts';
import type { PolicyInForce } from '../../dataplane/worker/data-plane.ts';
import type { FlowCopy, FlowInspector } from '../../dataplane/worker/flow-inspector.ts';

/** A batch of the one packet. */
function batchOf(bytes: Uint8Array, vnetFlags: number) {
  const memory = new Uint8Array((alignedVnetOffset + VnetHeader.length + bytes.length + 4) & ~3);
  memory[alignedVnetOffset + VnetHeader.flags] = vnetFlags;
  memory.set(bytes, alignedVnetOffset + VnetHeader.length);
  return {
    bytes: memory,
    offsets: Uint32Array.of(alignedVnetOffset),
    lengths: Uint32Array.of(VnetHeader.length + bytes.length),
    verdicts: new Uint8Array(1),
    totalSlots: 1,
    spareOffset: memory.length,
    spareLength: 0,
  };
}

type OnePacket = ReturnType<typeof batchOf>;

/**
 * The packet with the flow's tuple: the packet itself, or the one that an ICMP error quotes. Undefined if it can have
 * no flow.
 */
function whatNamesTheFlow({ bytes, lengths }: OnePacket): Packet | undefined {
  const packet = new Packet();
  const parsed: number = parsePacket(
    bytes,
    new Int32Array(bytes.buffer),
    alignedVnetOffset,
    lengths[0]!,
    packet,
  );
  if (parsed !== DropReason.none) return undefined;
  const isError =
    packet.protocol === Protocol.icmp &&
    (packet.icmpType === IcmpType.destinationUnreachable ||
      packet.icmpType === IcmpType.timeExceeded ||
      packet.icmpType === IcmpType.parameterProblem);
  if (!isError) return packet;
  const quoted = new Packet();
  const at = packet.l4Offset + Icmp.quoted;
  return parseQuoted(bytes, at, packet.l4Length - Icmp.quoted, quoted) ? quoted : undefined;
}

/** A packet built for an explain query has no L4 checksum. */
function hasNoChecksum(bytes: Uint8Array): boolean {
  const l4 = (bytes[0]! & 15) << 2;
  const offsets: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6 };
  const offset = offsets[bytes[9] ?? 0];
  return offset !== undefined && bytes[l4 + offset] === 0 && bytes[l4 + offset + 1] === 0;
}

/**
 * @param bytes from the IPv4 header on
 * @returns the flow as it is, and the drop reason, `none` if the packet passes; undefined if no flow decides
 */
export function liveVerdict(
  flows: FlowInspector,
  policy: PolicyInForce,
  options: EngineOptions,
  bytes: Uint8Array,
): { readonly flow: FlowCopy; readonly reason: string } | undefined {
  const batch = batchOf(bytes, hasNoChecksum(bytes) ? vnetDataValid : 0);
  const named = whatNamesTheFlow(batch);
  if (named === undefined) return undefined;
  const kind = kindOf(named);
  if (kind === noIcmpQuery) return undefined;
  const flow = flows.find(kind, named.srcAddr, named.srcPort, named.dstAddr, named.dstPort);
  if (flow === undefined) return undefined;

  const key = [0, 0] as const;
  const memory = { flows: createFlowMemory(1, key), fragments: createFragmentMemory(0, key) };
  const counters = createCounters();
  const events = createEventRing(2);
  const inForce = new Matcher(policy.program.words, undefined, policy.program.root);
  const engine = new Engine(batch, memory, counters, events, inForce, options);
  engine.setPolicy(inForce, policy.mode, policy.drainUntilMs);
  putFlow(engine, flow);
  engine.judge(1, flows.nowMs);
  // A SYN after a closed connection: the rules decide.
  if (new Float64Array(counters)[Counter.flowsOpened] !== 0) return undefined;
  const reader = new EventRingReader(events);
  const reason = reader.read() ? reader.record[EventWord.reason]! : DropReason.none;
  return { flow, reason: dropReasonNames[reason]! };
}

/** Puts a copy of the flow into the engine's empty table. */
function putFlow({ table }: Engine, { hot, cold }: FlowCopy): void {
  const ports = hot[Hot.ports]!;
  const state = hot[Hot.state]!;
  const tuple = [
    hot[Hot.kind]!,
    hot[Hot.originalAddr]!,
    ports >>> 16,
    hot[Hot.replyAddr]!,
    ports & 0xffff,
  ] as const;
  const lastRefresh = hot[Hot.lastRefresh]!;
  table.lookup(...tuple, lastRefresh);
  const flow = table.insert(
    ...tuple,
    state & StateBits.stateMask,
    (state & StateBits.listMask) >> StateBits.listShift,
    (state & StateBits.directionMask) >> StateBits.directionShift,
    hot[Hot.epoch]!,
    cold[Cold.servers]!,
    lastRefresh,
  );
  // All but the links, which belong to the table.
  for (let word = 0; word < hotWords; word++) {
    if (word !== Hot.next) table.hot[(flow << hotShift) + word] = hot[word]!;
  }
  for (let word: number = Cold.created; word < coldWords; word++) {
    table.cold[flow * coldWords + word] = cold[word]!;
  }
}
