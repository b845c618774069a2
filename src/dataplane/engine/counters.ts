/**
 * What one packet thread has counted, as an array of doubles in shared memory: exact up to 2^53, written by one thread,
 * read by the control plane at any time.
 */
import { evictionClassCount } from '../flow/flow-lists.ts';
import { Protocol } from '../wire/headers.ts';

/** Label values of direction, protocol and verdict, in the order of their indices. */
export const directionNames: readonly string[] = ['none', 'inbound', 'outbound', 'internal'];
export const protocolNames: readonly string[] = ['other', 'icmp', 'tcp', 'udp'];
export const verdictNames: readonly string[] = ['drop', 'pass'];

/** Label values of evictions: expired flows, then the eviction classes. */
export const evictionNames: readonly string[] = ['expired', 'unanswered', 'closing', 'established'];

/** With what a dropped packet or the end of a cut connection is answered, and the label values. */
export const AnswerKind = { rst: 0, icmp: 1 } as const;
export const answerNames: readonly string[] = ['rst', 'icmp'];

/** What became of an answer. */
export const AnswerOutcome = {
  sent: 0,
  /** The gateway answers no more at the moment. */
  gatewayLimit: 1,
  /** This source gets no more at the moment. */
  sourceLimit: 2,
  /** No host may answer such a packet. */
  unanswerable: 3,
  /** The batch was full. */
  noRoom: 4,
} as const;
export const answerOutcomeNames: readonly string[] = [
  'sent',
  'gateway-limit',
  'source-limit',
  'unanswerable',
  'no-room',
];

/** Where each group starts. */
export const Counter = {
  /** Packets by direction, protocol and verdict: {@link trafficIndex}. */
  packets: 0,
  /** Bytes of IPv4, likewise. */
  bytes: 32,
  /** Packets by drop reason; room for 64. */
  drops: 64,
  /** Evictions under pressure: expired, then by eviction class. */
  evictions: 128,
  flowsOpened: 136,
  /** Flows that a new policy ended. */
  flowsCut: 137,
  batches: 138,
  /** Packets that the device did not take back. */
  writeFailures: 139,
  /** Super-packets that the kernel refused. */
  gsoRefused: 140,
  /** Flows that began only because a server observes. */
  wouldDrop: 141,
  /** Packets, and their bytes of IPv4, that the kernel has carried past the device; they are in the groups above, too. */
  carriedPackets: 142,
  carriedBytes: 143,
  /** Answers by kind and outcome: {@link answerIndex}. */
  answers: 144,
} as const;

export const counterCount = 160;

/** Traffic counters in a group: every direction, protocol and verdict. */
export const trafficCounterCount = 32;

export const evictionCounterCount: number = 1 + evictionClassCount;

/** Index of a traffic counter, from {@link Counter.packets} or {@link Counter.bytes}. */
export function trafficIndex(direction: number, protocol: number, verdict: number): number {
  const p =
    protocol === Protocol.tcp
      ? 2
      : protocol === Protocol.udp
        ? 3
        : protocol === Protocol.icmp
          ? 1
          : 0;
  return (direction << 3) | (p << 1) | verdict;
}

/** @param kind AnswerKind, @param outcome AnswerOutcome */
export function answerIndex(kind: number, outcome: number): number {
  return Counter.answers + ((kind << 3) | outcome);
}

export function createCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(counterCount * 8);
}
