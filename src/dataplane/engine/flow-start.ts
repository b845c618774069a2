/** Where the flows of each protocol begin, and which way their packets go. */
import { FlowList } from '../flow/flow-lists.ts';
import { Direction, FlowState } from '../flow/flow-record.ts';
import type { Matcher } from '../match/matcher.ts';
import { Protocol } from '../wire/headers.ts';

/** Direction of a packet of a flow whose original direction is `original`. */
export function packetDirection(original: number, direction: number): number {
  if (direction === 0 || original === Direction.internal) return original;
  return original === Direction.inbound ? Direction.outbound : Direction.inbound;
}

/** Direction of a packet by which servers the last match has found. */
export function matchedDirection({ inboundServer, outboundServer }: Matcher): number {
  if (inboundServer < 0) return Direction.outbound;
  return outboundServer < 0 ? Direction.inbound : Direction.internal;
}

/** The state of a flow before its first packet was tracked. */
export function firstState(protocol: number): number {
  if (protocol === Protocol.tcp) return FlowState.none;
  return protocol === Protocol.udp ? FlowState.udpUnanswered : FlowState.icmpUnanswered;
}

/** The timeout list of a flow before its first packet was tracked. */
export function firstList(protocol: number): number {
  if (protocol === Protocol.tcp) return FlowList.tcpSynSent;
  return protocol === Protocol.udp ? FlowList.udpUnanswered : FlowList.icmpUnanswered;
}
