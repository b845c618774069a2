/**
 * The TCP state table of conntrack (net/netfilter/nf_conntrack_proto_tcp.c, Linux 6.18).
 *
 * Rows are what a segment is, columns the state in which it finds the flow. Every cell is written out. IV: the segment is
 * invalid and dropped. IG: it passes and changes nothing, because its answer may bring the tracked state back in
 * step.
 *
 *     NO none   SS SYN_SENT   SR SYN_RECV   ES ESTABLISHED   FW FIN_WAIT   CW CLOSE_WAIT   LA LAST_ACK
 *     TW TIME_WAIT   CL CLOSE   S2 SYN_SENT2 (SYN seen from both sides)
 */
import { TcpFlag } from '../wire/headers.ts';

const [, SS, SR, ES, FW, CW, LA, TW, CL, S2] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const [IV, IG] = [10, 11];

export const tcpInvalid = 10;
export const tcpIgnore = 11;
export const tcpStateCount = 10;

/** What a segment is, by the first of these that applies: RST, SYN (with or without ACK), FIN, ACK. */
export const SegmentClass = { syn: 0, synAck: 1, fin: 2, ack: 3, rst: 4, none: 5 } as const;

const classCount = 6;

// prettier-ignore
const original: readonly (readonly (number | undefined)[])[] = [
  //          NO  SS  SR  ES  FW  CW  LA  TW  CL  S2
  /* syn    */ [SS, SS, IG, IG, IG, IG, IG, SS, SS, S2],
  //  NO opens; SS, S2 retransmitted; SR to LA out of place, the other end answers with a challenge ACK or an RST;
  //  TW, CL reopens with the same ports (RFC 9293 section 3.6.1)
  /* synack */ [IV, IV, SR, IV, IV, IV, IV, IV, IV, SR],
  //  NO, SS a client does not acknowledge what it has not seen; S2 simultaneous open; SR the same, retransmitted;
  //  else the opener does not send SYN+ACK
  /* fin    */ [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
  //  NO, SS, S2 nothing to close yet; SR, ES the close begins; FW, CW the second FIN; LA to CL retransmitted
  /* ack    */ [ES, IV, ES, ES, CW, CW, TW, TW, CL, IV],
  //  NO picked up in mid-stream if that is allowed; SS, S2 nothing to acknowledge yet; SR the handshake is complete;
  //  FW the FIN is acknowledged; LA the last ACK
  /* rst    */ [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
  /* none   */ [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];

// prettier-ignore
const reply: readonly (readonly (number | undefined)[])[] = [
  //          NO  SS  SR  ES  FW  CW  LA  TW  CL  S2
  /* syn    */ [IV, S2, IV, IV, IV, IV, IV, SS, IV, S2],
  //  SS simultaneous open; S2 retransmitted; TW the server reopens as a client; else a server does not send SYN
  /* synack */ [IV, SR, IG, IG, IG, IG, IG, IG, IG, SR],
  //  SS the normal answer; S2 simultaneous open; SR retransmitted; else it may answer a SYN that was ignored
  /* fin    */ [IV, IV, FW, FW, LA, LA, LA, TW, CL, IV],
  /* ack    */ [IV, IG, SR, ES, CW, CW, TW, TW, CL, IG],
  //  SS, S2 challenge ACK of a half-open connection; SR answers a late SYN; else as in the other direction
  /* rst    */ [IV, CL, CL, CL, CL, CL, CL, CL, CL, CL],
  /* none   */ [IV, IV, IV, IV, IV, IV, IV, IV, IV, IV],
];

/** Flat form for the packet path: index by direction, class and state through {@link nextTcpState}. */
const table: Uint8Array = Uint8Array.from([original, reply].flat(2) as number[]);

/** The cell for a segment: a state, {@link tcpInvalid} or {@link tcpIgnore}. */
export function nextTcpState(direction: number, segmentClass: number, state: number): number {
  return table[(direction * classCount + segmentClass) * tcpStateCount + state]!;
}

/** {@link SegmentClass} of a flags byte. */
export function classifySegment(flags: number): number {
  if ((flags & TcpFlag.rst) !== 0) return SegmentClass.rst;
  if ((flags & TcpFlag.syn) !== 0) {
    return (flags & TcpFlag.ack) === 0 ? SegmentClass.syn : SegmentClass.synAck;
  }
  if ((flags & TcpFlag.fin) !== 0) return SegmentClass.fin;
  return (flags & TcpFlag.ack) === 0 ? SegmentClass.none : SegmentClass.ack;
}
