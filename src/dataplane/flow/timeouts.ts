/**
 * How long a flow may stay silent, by what it is waiting for.
 *
 * Every flow is on exactly one timeout list; a list is ordered by the flows' last refresh, so that expiry only ever
 * looks at list heads. The list is not the TCP state: a retransmitting or unacknowledged flow keeps its state and moves
 * to a shorter list.
 *
 * Defaults are the kernel's (net/netfilter/nf_conntrack_proto_{tcp,udp,icmp}.c, Linux 6.18), but for tcpCloseWait: Linux has 60 s,
 * RFC 5382 (REQ-5) asks for four minutes.
 */

/** Index of a timeout list, and of its row in {@link timeoutLists}. */
export const TimeoutList = {
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
  udp: 11,
  udpStream: 12,
  icmp: 13,
} as const;

export type TimeoutName = keyof typeof TimeoutList;

export const timeoutListCount = 14;

/** Longest timeout that can be configured: list times are wrapping 32-bit milliseconds, compared by difference. */
export const maxTimeoutSeconds: number = 20 * 86_400;

/** Defaults in seconds, by name; the keys of `timeouts:` in gateway.yaml. */
export const defaultTimeoutSeconds: Readonly<Record<TimeoutName, number>> = {
  tcpSynSent: 120,
  tcpSynRecv: 60,
  tcpEstablished: 432_000,
  tcpFinWait: 120,
  tcpCloseWait: 240,
  tcpLastAck: 30,
  tcpTimeWait: 120,
  tcpClose: 10,
  tcpSynSent2: 120,
  tcpRetransmitted: 300,
  tcpUnacknowledged: 300,
  udp: 30,
  udpStream: 120,
  icmp: 30,
};
