/**
 * Why a packet was not forwarded: a closed list.
 *
 * The codes travel through the data plane as small integers; the names are the same words in metrics, logs, the command
 * line, the API and the panel. A new reason is appended to both tables; a test says that they agree.
 */

export const DropReason = {
  /** Not a drop: the packet passes. */
  none: 0,
  ipv6: 1,
  protocol: 2,
  truncated: 3,
  badIpHeader: 4,
  badIpChecksum: 5,
  sourceRoute: 6,
  land: 7,
  martianSource: 8,
  martianDestination: 9,
  fragment: 10,
  badTcpHeader: 11,
  badTcpFlags: 12,
  badTcpOptions: 13,
  badUdpLength: 14,
  badIcmp: 15,
  badChecksum: 16,
  icmpType: 17,
  icmpError: 18,
  icmpRedirect: 19,
  noServer: 20,
  noInboundRule: 21,
  noOutboundRule: 22,
  invalidState: 23,
  outOfWindow: 24,
  policyCut: 25,
  tableFull: 26,
  serverShare: 27,
  writeFailed: 28,
  fragmentOverlap: 29,
  fragmentTiny: 30,
  fragmentOversize: 31,
  fragmentTimeout: 32,
  fragmentMemory: 33,
  fragmentCount: 34,
  flowKilled: 35,
  /** Not a drop: it opened a flow that no rule allows, because its server observes. */
  wouldDrop: 36,
} as const;

export type DropReasonCode = (typeof DropReason)[keyof typeof DropReason];

const names = [
  'none',
  'ipv6',
  'protocol',
  'truncated',
  'bad-ip-header',
  'bad-ip-checksum',
  'source-route',
  'land',
  'martian-source',
  'martian-destination',
  'fragment',
  'bad-tcp-header',
  'bad-tcp-flags',
  'bad-tcp-options',
  'bad-udp-length',
  'bad-icmp',
  'bad-checksum',
  'icmp-type',
  'icmp-error',
  'icmp-redirect',
  'no-server',
  'no-inbound-rule',
  'no-outbound-rule',
  'invalid-state',
  'out-of-window',
  'policy-cut',
  'table-full',
  'server-share',
  'write-failed',
  'fragment-overlap',
  'fragment-tiny',
  'fragment-oversize',
  'fragment-timeout',
  'fragment-memory',
  'fragment-count',
  'flow-killed',
  'would-drop',
] as const;

/** Why a packet was dropped, in the words of metrics and logs; `none` if it was not. */
export type DropReasonName = (typeof names)[number];

/** Label of each code, as printed everywhere. */
export const dropReasonNames: readonly string[] = names;
