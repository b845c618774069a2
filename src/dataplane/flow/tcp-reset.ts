/**
 * What an RST means for its flow: RFC 5961 section 3 and RFC 9293 section 3.10.7.3, as seen from the middle. An end discards an
 * RST that is not exact; the flow must not be closed by what its ends ignore.
 *
 * The rules are those of Linux (net/netfilter/nf_conntrack_proto_tcp.c), with one exception: an RST of an older
 * connection of the same ports does not harm the one that is being opened.
 */
import type { Packet } from '../wire/packet.ts';
import { isBefore } from '../wire/sequence.ts';
import {
  Cold,
  FlowState,
  Hot,
  StateBits,
  TcpBits,
  coldWords,
  hotShift,
  lastClass,
  lastDirection,
  lastEnd,
} from './flow-record.ts';
import type { FlowIndex } from './flow-record.ts';
import { SegmentClass } from './tcp-state.ts';
import { acknowledges } from './tcp-window.ts';

export const Reset = {
  /** Older than what was acknowledged: to be dropped. */
  invalid: 0,
  /** It closes if it is in the window. */
  inWindow: 1,
  /** In the window but not exact: the flow stays as it is, for the end host's challenge ACK. */
  keepsState: 2,
  /** It answers a segment that was passed without tracking: it closes, whatever the window check says. */
  closes: 3,
  /** The receiver will discard it: it passes, and changes nothing. */
  ignored: 4,
} as const;

/** Whether a segment in `direction` follows a SYN of the other side; `tcp` is {@link Hot.tcp}. */
export function followsSyn(tcp: number, direction: number): boolean {
  return lastClass(tcp) === SegmentClass.syn && lastDirection(tcp) !== direction;
}

/**
 * @param hot, cold the records of the flow table
 * @param direction of the RST: 0 original, 1 reply
 * @returns one of {@link Reset}
 */
export function judgeReset(
  hot: Int32Array,
  cold: Int32Array,
  flow: FlowIndex,
  direction: number,
  packet: Packet,
  oldState: number,
): number {
  const record = flow << hotShift;
  const coldRecord = flow * coldWords;
  const tcp = hot[record + Hot.tcp]!;
  const last = lastClass(tcp);
  // Nearly over anyway, and the ports may be in use again: the remembered state may be out of date.
  const dying = oldState >= FlowState.finWait && oldState <= FlowState.close;
  if (dying) return Reset.closes;
  if (oldState === FlowState.synSent) {
    // In SYN-SENT an RST counts only if it acknowledges the SYN; others belong to an older connection. Linux removes
    // the flow, so that the answer to the SYN finds none.
    if (direction === 1 && !acknowledges(packet, hot[record + Hot.end]!)) return Reset.ignored;
    // The client resets the connection that the server's challenge ACK belongs to: an older one of the same ports.
    const answersChallenge =
      last === SegmentClass.ack &&
      lastDirection(tcp) === 1 &&
      packet.sequence === cold[coldRecord + Cold.lastAck];
    if (answersChallenge) return Reset.closes;
  }
  const other = direction ^ 1;
  const maxAckSet = (tcp & (TcpBits.maxAckSet << other)) !== 0;
  const word = hot[record + Hot.state]!;
  let result: number = Reset.inWindow;
  if (maxAckSet && last !== SegmentClass.syn) {
    const maxAck = cold[coldRecord + Cold.maxAck + other]!;
    const established = oldState === FlowState.established && (word & StateBits.assured) !== 0;
    // Sequence 0 outside ESTABLISHED most likely answers a SYN that was passed.
    if (packet.sequence === 0 && !established) return Reset.inWindow;
    if (isBefore(packet.sequence, maxAck)) return Reset.invalid;
    if (!established || packet.sequence === maxAck) return Reset.inWindow;
    const endsTrain =
      last === SegmentClass.ack &&
      lastDirection(tcp) === direction &&
      packet.sequence === lastEnd(cold, coldRecord);
    if (endsTrain) return Reset.inWindow;
    result = Reset.keepsState;
  }
  const answersIgnored =
    ((word & StateBits.seenReply) !== 0 && followsSyn(tcp, direction)) ||
    ((word & StateBits.assured) === 0 && last === SegmentClass.ack);
  if (answersIgnored && packet.acknowledgment === lastEnd(cold, coldRecord)) return Reset.closes;
  return result;
}

/**
 * Whether an RST leaves the last ignored SYN of the other side unanswered: it does not acknowledge that SYN, so the
 * SYN's sender discards it.
 */
export function isOfConnectionBefore(
  hot: Int32Array,
  cold: Int32Array,
  flow: FlowIndex,
  direction: number,
  packet: Packet,
): boolean {
  return (
    followsSyn(hot[(flow << hotShift) + Hot.tcp]!, direction) &&
    !acknowledges(packet, lastEnd(cold, flow * coldWords))
  );
}
