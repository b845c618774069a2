/**
 * How one flow lies in memory: 64 bytes that a packet's lookup and state machine touch (one cache line), and 64 for
 * accounting, list links and TCP's memory of the last segment (another one). A record is named by its index; index 0 is no flow.
 *
 *     hot   16 x 32 bit   key, chain, state, last refresh, epoch, TCP window edges
 *     cold  16 x 32 bit   list links, creation, TCP memory of the last segment, packet and byte counts, servers, rules
 *
 * With its 32-bit hash bucket a flow costs 132 bytes. Times are milliseconds of the engine's clock, wrapping at 2^32:
 * compare them by difference.
 */

/** Index of a flow in the table; 0 means none. */
export type FlowIndex = number & { readonly __flow: unique symbol };

export const noFlow = 0 as FlowIndex;

export const hotWords = 16;
export const hotShift = 4;

/** Words of the hot record. "Original" is the direction of the packet that opened the flow. */
export const Hot = {
  /** Source address of the original direction. */
  originalAddr: 0,
  /** Destination address of the original direction. */
  replyAddr: 1,
  /** Original source port << 16 | original destination port; ICMP: identifier << 16 | identifier. */
  ports: 2,
  /** Protocol; of ICMP queries all that icmpKind puts into the key, the protocol in the lowest byte. */
  kind: 3,
  /** Next flow of the same bucket. */
  next: 4,
  /** See {@link StateBits}. */
  state: 5,
  lastRefresh: 6,
  /** Policy epoch under which the flow was last judged. */
  epoch: 7,
  /** See {@link TcpBits}. */
  tcp: 8,
  /** Highest sequence + length seen, per direction (original, then reply). */
  end: 9,
  /** Highest sequence that the other side's window admits, per direction. */
  maxEnd: 11,
  /** Largest window seen, scaled, per direction; 0 = no segment seen in that direction. */
  maxWindow: 13,
  /** When the flow last moved to the tail of its list: at most once a second, lastRefresh is exact. */
  listed: 15,
} as const;

export const coldWords = 16;

export const Cold = {
  previous: 0,
  next: 1,
  created: 2,
  /** Highest acknowledgment sent, per direction. */
  maxAck: 3,
  lastSequence: 5,
  lastAck: 6,
  /** {@link extentOf} of the last segment: its sequence length, and its window as it stands. */
  lastExtent: 7,
  /** Packets per direction, modulo 2^32. */
  packets: 8,
  /** Low 32 bits of the bytes per direction. */
  bytes: 10,
  /** Bits 32 to 47 of the bytes: original in the low half, reply in the high half. */
  bytesHigh: 12,
  /** Slots of its servers (server-totals.ts): that of the reply address in the low half, of the original one in the high half. */
  servers: 13,
  /** The rules that admitted it when it was judged last: index + 1 in the policy of {@link Hot.epoch}; 0 = none was needed. */
  inboundRule: 14,
  outboundRule: 15,
} as const;

/** Words of {@link Hot} that the segments of a TCP connection change. */
export const hotOfSegments: Int32Array = Int32Array.of(
  Hot.tcp,
  Hot.end,
  Hot.end + 1,
  Hot.maxEnd,
  Hot.maxEnd + 1,
  Hot.maxWindow,
  Hot.maxWindow + 1,
);
/** And those of {@link Cold}. */
export const coldOfSegments: Int32Array = Int32Array.of(
  Cold.maxAck,
  Cold.maxAck + 1,
  Cold.lastSequence,
  Cold.lastAck,
  Cold.lastExtent,
);

/** Fields of {@link Hot.state}. */
export const StateBits = {
  /** State code, bits 0 to 3: {@link FlowState}. */
  stateMask: 0xf,
  /** Flow list, bits 4 to 7. */
  listShift: 4,
  listMask: 0xf0,
  /** A packet of the reply direction was accepted. */
  seenReply: 0x100,
  /** A conversation: see conntrack's ASSURED. */
  assured: 0x200,
  /** {@link Direction} of the original direction, bits 10 and 11. */
  directionShift: 10,
  directionMask: 0xc00,
  /** The record is in the table (a free one is all zero here). */
  inUse: 0x1000,
  /** The policy forbids the flow and spares this conversation (reload: keep or drain), not the next one of the same ports. */
  kept: 0x2000,
  /** What the last ignored SYN, or in SYN_SENT the earlier one, offered (readSynOptions), bits 16 to 21. */
  rememberedSynShift: 16,
  rememberedSynMask: 0x3f0000,
} as const;

/** Fields of {@link Hot.tcp}. Bits named for a direction stand at `bit << direction`, 0 = original, 1 = reply. */
export const TcpBits = {
  /** Window scale per direction: bits 0 to 3 and 4 to 7. */
  scaleMask: 0xf,
  scaleShift: 4,
  sackPermitted: 0x100,
  windowScale: 0x400,
  unacknowledged: 0x1000,
  maxAckSet: 0x4000,
  closeInit: 0x10000,
  liberal: 0x40000,
  /** Segment class of the last segment, bits 20 to 22. */
  lastClassShift: 20,
  lastClassMask: 0x700000,
  lastDirectionShift: 23,
  lastDirectionMask: 0x800000,
  /** Identical ACK segments in a row, bits 24 and 25, saturating at 3. */
  retransmitsShift: 24,
  retransmitsMask: 0x3000000,
  /** A SYN passed in LAST_ACK: its challenge ACK must not close (RFC 5961 section 4). */
  expectChallengeAck: 0x4000000,
  simultaneousOpen: 0x8000000,
  /** The opener sent another SYN before; Cold.maxAck of its direction is where that one ends. Until the first answer. */
  earlierSyn: 0x10000000,
} as const;

/** Zeroes a record. TypedArray.fill is a call out of compiled code, which costs more than the record does. */
export function clear(records: Int32Array, record: number, words: number): void {
  for (let at = record; at < record + words; at++) records[at] = 0;
}

/** Segment class of the last segment, out of {@link Hot.tcp}. */
export function lastClass(tcp: number): number {
  return (tcp & TcpBits.lastClassMask) >> TcpBits.lastClassShift;
}

/** Direction of the last segment, out of {@link Hot.tcp}. */
export function lastDirection(tcp: number): number {
  return (tcp & TcpBits.lastDirectionMask) >>> TcpBits.lastDirectionShift;
}

/** Sequence length (below 2^16, as that of an IPv4 packet) and window of a segment, in one word. */
export function extentOf(length: number, window: number): number {
  return (length << 16) | window;
}

/** Sequence number behind the last segment. */
export function lastEnd(cold: Int32Array, coldRecord: number): number {
  return (cold[coldRecord + Cold.lastSequence]! + (cold[coldRecord + Cold.lastExtent]! >>> 16)) | 0;
}

/** Window of the last segment, not scaled. */
export function lastWindow(cold: Int32Array, coldRecord: number): number {
  return cold[coldRecord + Cold.lastExtent]! & 0xffff;
}

/** Packets of a direction, modulo 2^32. */
export function flowPackets(cold: Int32Array, coldRecord: number, direction: number): number {
  return cold[coldRecord + Cold.packets + direction]! >>> 0;
}

/** Bytes of a direction, modulo 2^48. */
export function flowBytes(cold: Int32Array, coldRecord: number, direction: number): number {
  const high = (cold[coldRecord + Cold.bytesHigh]! >>> (direction << 4)) & 0xffff;
  return high * 0x100000000 + (cold[coldRecord + Cold.bytes + direction]! >>> 0);
}

/** State codes; the first ten are conntrack's TCP states in its order. */
export const FlowState = {
  none: 0,
  synSent: 1,
  synRecv: 2,
  established: 3,
  finWait: 4,
  closeWait: 5,
  lastAck: 6,
  timeWait: 7,
  close: 8,
  synSent2: 9,
  udpUnanswered: 10,
  udpAnswered: 11,
  udpStream: 12,
  icmpUnanswered: 13,
  icmpAnswered: 14,
} as const;

export const flowStateCount = 15;

/** Names of the codes: the `state` label of tunwall_flows. */
export const flowStateNames: readonly string[] = [
  'none',
  'syn_sent',
  'syn_recv',
  'established',
  'fin_wait',
  'close_wait',
  'last_ack',
  'time_wait',
  'close',
  'syn_sent2',
  'unanswered',
  'answered',
  'stream',
  'unanswered',
  'answered',
];

/** Protocol (IANA number) of each state code; 0 for none. */
export const flowStateProtocols: readonly number[] = [
  0, 6, 6, 6, 6, 6, 6, 6, 6, 6, 17, 17, 17, 1, 1,
];

/** Where a packet goes, seen from the protected servers. */
export const Direction = { none: 0, inbound: 1, outbound: 2, internal: 3 } as const;
