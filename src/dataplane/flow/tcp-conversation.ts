/**
 * Whether a TCP segment is of the conversation that its flow has tracked, or of another one between the same ports.
 *
 * Conntrack need not know: what is too old passes, for the receiver to discard, and a SYN+ACK in a connection passes because it may
 * answer a SYN that was ignored. A flow that the policy forbids and spares (StateBits.kept) has to know. It is spared as that
 * conversation, and nothing of a new one may pass.
 *
 * How far back a conversation reaches is not stored. What a side has acknowledged has passed here and was counted, so the other side
 * began at most that many bytes before; and it has nothing older under way than a window.
 */
import { TcpFlag } from '../wire/headers.ts';
import type { Packet } from '../wire/packet.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  TcpBits,
  coldWords,
  flowBytes,
  hotShift,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import type { FlowTable } from './flow-table.ts';
import { earlierSynEnd, minimumAckWindow, segmentEnd } from './tcp-window.ts';

/** Whether a SYN is the one that opened the flow, once more. */
export function isOpeningSyn(
  table: FlowTable,
  flow: FlowIndex,
  direction: number,
  packet: Packet,
): boolean {
  const record = flow << hotShift;
  const state = table.hot[record + Hot.state]! & StateBits.stateMask;
  const opening = state === FlowState.synSent || state === FlowState.synRecv;
  return opening && direction === 0 && segmentEnd(packet) === table.hot[record + Hot.end];
}

/**
 * Whether a SYN+ACK is of the handshake that opened the flow. It may come again in the connection, if the ACK was lost behind this
 * gateway: its sender has sent nothing since.
 */
export function isOpeningSynAck(
  table: FlowTable,
  flow: FlowIndex,
  direction: number,
  packet: Packet,
): boolean {
  const { hot, cold } = table;
  const record = flow << hotShift;
  const known = hot[record + Hot.maxWindow + direction] !== 0;
  if (known && segmentEnd(packet) !== hot[record + Hot.end + direction]) return false;
  const state = hot[record + Hot.state]! & StateBits.stateMask;
  const ack = packet.acknowledgment;
  if (state === FlowState.synSent && ack === earlierSynEnd(hot, cold, flow)) return true;
  return reachesBackTo(table, flow, direction ^ 1, ack, minimumAckWindow);
}

/** Whether neither number of a segment is older than the conversation. What is too new, the window check tells. */
export function isOfConversation(
  table: FlowTable,
  flow: FlowIndex,
  direction: number,
  packet: Packet,
): boolean {
  const known = table.hot[(flow << hotShift) + Hot.maxWindow + direction] !== 0;
  if (known && !reachesBackTo(table, flow, direction, segmentEnd(packet), 0)) return false;
  if ((packet.tcpFlags & TcpFlag.ack) === 0) return true;
  return reachesBackTo(table, flow, direction ^ 1, packet.acknowledgment, minimumAckWindow);
}

/**
 * Whether the conversation has had this sequence number of `sender`, or will.
 *
 * @param atLeast a number may be that old, however small the window
 */
function reachesBackTo(
  table: FlowTable,
  flow: FlowIndex,
  sender: number,
  sequence: number,
  atLeast: number,
): boolean {
  const { hot, cold } = table;
  const record = flow << hotShift;
  const receiver = sender ^ 1;
  const tcp = hot[record + Hot.tcp]!;
  const acknowledged = (tcp & (TcpBits.maxAckSet << receiver)) !== 0;
  const reached = acknowledged
    ? cold[flow * coldWords + Cold.maxAck + receiver]!
    : hot[record + Hot.end + sender]!;
  const behind = (reached - sequence) | 0;
  if (behind <= 0) return true;
  if (behind > flowBytes(cold, flow * coldWords, sender)) return false;
  // Picked up in mid-stream: the scale of its windows is not known.
  if ((tcp & (TcpBits.liberal << sender)) !== 0) return true;
  return behind <= Math.max(atLeast, hot[record + Hot.maxWindow + receiver]! >>> 0);
}
