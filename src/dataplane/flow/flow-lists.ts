/**
 * The timeout lists of flows, and the classes in which flows are evicted.
 *
 * A flow is on exactly one list, ordered by last refresh. The first lists carry the numbers of their timeouts
 * (timeouts.ts); the two behind them hold the flows that share a timeout with another list but not its fate under
 * pressure. Names, timeouts and classes are sibling tables; a test says that their lengths agree.
 */
import { TimeoutList } from './timeouts.ts';

export const FlowList = {
  tcpSynSent: 0,
  tcpSynRecv: 1,
  tcpEstablished: 2,
  tcpFinWait: 3,
  tcpCloseWait: 4,
  tcpLastAck: 5,
  tcpTimeWait: 6,
  tcpClose: 7,
  tcpSynSent2: 8,
  tcpRetransmitted: 9,
  tcpUnacknowledged: 10,
  udpUnanswered: 11,
  udpStream: 12,
  icmpUnanswered: 13,
  /** Answered UDP that is not a stream yet: younger than two seconds. */
  udpAnswered: 14,
  /** An ICMP query that was answered. */
  icmpAnswered: 15,
} as const;

export const flowListCount = 16;

/** Protocol (IANA number) of the flows of each list. */
export const flowListProtocols: readonly number[] = [
  6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 17, 17, 1, 17, 1,
];

/** The list, and by it the timeout, of each state (index: state code), if nothing else says otherwise (TcpTracker). */
export const listOfState: readonly number[] = [
  FlowList.tcpClose, // none: no flow stays in it
  FlowList.tcpSynSent,
  FlowList.tcpSynRecv,
  FlowList.tcpEstablished,
  FlowList.tcpFinWait,
  FlowList.tcpCloseWait,
  FlowList.tcpLastAck,
  FlowList.tcpTimeWait,
  FlowList.tcpClose,
  FlowList.tcpSynSent2,
  FlowList.udpUnanswered,
  FlowList.udpAnswered,
  FlowList.udpStream,
  FlowList.icmpUnanswered,
  FlowList.icmpAnswered,
];

/** Which timeout a list's flows have. */
export const timeoutOfList: readonly number[] = [
  TimeoutList.tcpSynSent,
  TimeoutList.tcpSynRecv,
  TimeoutList.tcpEstablished,
  TimeoutList.tcpFinWait,
  TimeoutList.tcpCloseWait,
  TimeoutList.tcpLastAck,
  TimeoutList.tcpTimeWait,
  TimeoutList.tcpClose,
  TimeoutList.tcpSynSent2,
  TimeoutList.tcpRetransmitted,
  TimeoutList.tcpUnacknowledged,
  TimeoutList.udp,
  TimeoutList.udpStream,
  TimeoutList.icmp,
  TimeoutList.udp,
  TimeoutList.icmp,
];

/**
 * Eviction classes, in order of eviction under pressure. Flows past their timeout go before all of them. Flows of the
 * first class go only when they are older than {@link awaitedMs}, unless there is nothing else; those of the last
 * class only after they were idle for {@link protectedIdleMs}.
 */
export const EvictionClass = {
  /** The handshake or the query was never completed: what a flood consists of. */
  unanswered: 0,
  /** Closing, or answered but too young to be called a conversation. */
  closing: 1,
  /** A conversation. */
  established: 2,
} as const;

export const evictionClassCount = 3;

export const evictionClassOfList: readonly number[] = [
  EvictionClass.unanswered, // tcpSynSent
  EvictionClass.unanswered, // tcpSynRecv
  EvictionClass.established, // tcpEstablished
  EvictionClass.closing, // tcpFinWait
  EvictionClass.closing, // tcpCloseWait
  EvictionClass.closing, // tcpLastAck
  EvictionClass.closing, // tcpTimeWait
  EvictionClass.closing, // tcpClose
  EvictionClass.unanswered, // tcpSynSent2
  EvictionClass.established, // tcpRetransmitted
  EvictionClass.established, // tcpUnacknowledged
  EvictionClass.unanswered, // udp
  EvictionClass.established, // udpStream
  EvictionClass.unanswered, // icmp
  EvictionClass.closing, // udpAnswered
  EvictionClass.closing, // icmpAnswered
];

const listCodes = Array.from({ length: flowListCount }, (_, list) => list);

/** The lists of each class. */
export const listsOfClass: readonly Int32Array[] = Array.from(
  { length: evictionClassCount },
  (_, wanted) => Int32Array.from(listCodes.filter((list) => evictionClassOfList[list] === wanted)),
);

/** An established flow that was active within this time is never evicted. */
export const protectedIdleMs = 60_000;

/**
 * A flow that was opened within this time may be answered at any moment: closing flows are evicted before it. After
 * that an answer is late, and a SYN is retransmitted (RFC 6298 section 2).
 */
export const awaitedMs = 1000;

/** A flow is moved to the tail of its list at most this often. */
export const relistIntervalMs = 1000;

/** Above this part of the capacity, timeouts of flows that are not conversations shrink, to nothing at 120 %. */
const adaptiveStart = 0.6;
const adaptiveEnd = 1.2;

/** Factor for these timeouts; `fill` is the part of the table in use. */
export function adaptiveFactor(fill: number): number {
  return fill <= adaptiveStart ? 1 : (adaptiveEnd - fill) / (adaptiveEnd - adaptiveStart);
}
