/**
 * UDP and ICMP query tracking: only which sides have sent, and when (nf_conntrack_proto_udp.c,
 * nf_conntrack_proto_icmp.c).
 */
import { FlowList } from './flow-lists.ts';
import { Cold, FlowState, Hot, StateBits, coldWords, hotShift } from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import type { FlowTable } from './flow-table.ts';

/** Answered UDP that goes on for longer than this is a stream. */
const streamAfterMs = 2000;

/** A datagram of a UDP flow; every one keeps the flow alive. A stream stays one: its age wraps around after 25 days. */
export function trackUdp(
  table: FlowTable,
  flow: FlowIndex,
  direction: number,
  nowMs: number,
): void {
  const hot = table.hot;
  const at = (flow << hotShift) + Hot.state;
  // Tested first, because the flow's age is in another cache line.
  if ((hot[at]! & StateBits.assured) !== 0) {
    table.refresh(flow, FlowState.udpStream, FlowList.udpStream, nowMs);
    return;
  }
  const answered = (hot[at]! & StateBits.seenReply) !== 0;
  if (!answered && direction === 0) {
    table.refresh(flow, FlowState.udpUnanswered, FlowList.udpUnanswered, nowMs);
    return;
  }
  hot[at]! |= StateBits.seenReply;
  const ageMs = (nowMs - table.cold[flow * coldWords + Cold.created]!) | 0;
  if (answered && ageMs > streamAfterMs) {
    hot[at]! |= StateBits.assured;
    table.refresh(flow, FlowState.udpStream, FlowList.udpStream, nowMs);
    return;
  }
  table.refresh(flow, FlowState.udpAnswered, FlowList.udpAnswered, nowMs);
}

/** A query or its reply; the sequence number does not matter. */
export function trackIcmp(
  table: FlowTable,
  flow: FlowIndex,
  direction: number,
  nowMs: number,
): void {
  const hot = table.hot;
  const at = (flow << hotShift) + Hot.state;
  if (direction === 1) hot[at]! |= StateBits.seenReply;
  if ((hot[at]! & StateBits.seenReply) === 0) {
    table.refresh(flow, FlowState.icmpUnanswered, FlowList.icmpUnanswered, nowMs);
  } else {
    table.refresh(flow, FlowState.icmpAnswered, FlowList.icmpAnswered, nowMs);
  }
}
