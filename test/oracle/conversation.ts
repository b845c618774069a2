/**
 * What the oracle is asked: conversations, as data.
 *
 * A conversation is a list of steps; a step is one datagram that one of the two ends, or a router on its side, sends. Its
 * fields say what it would be if nothing were wrong (`base`), and apart from that what is wrong with it (`changes`): the
 * shrinker takes changes back one by one, and what it prints names them. Nothing in here knows addresses: those are given
 * out when a conversation is played (packets.ts), so that it can be played again without meeting its own traces.
 */

/** The sender: the end that opens the conversation, or the other one. */
export type End = 'opener' | 'responder';

/** Where the opener is: outside (a client of the server) or inside (the protected server itself). */
export type Place = 'outside' | 'inside';

/** A piece of a datagram's IP payload, in bytes. Pieces are sent in the order of their list. */
export interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly more: boolean;
}

export interface Fields {
  readonly from: End;
  readonly kind: 'tcp' | 'udp' | 'query' | 'error' | 'other';
  /** Payload bytes behind the L4 header. */
  readonly length: number;

  /** TCP: letters as in src/testing/packets.ts, absolute numbers, the raw window, options padded to four bytes. */
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly win: number;
  readonly options: readonly number[];

  /** ICMP; of an error, `rest` are the four bytes behind the checksum. */
  readonly type: number;
  readonly code: number;
  readonly id: number;
  readonly rest: number;
  /** An error's quoted datagram, how many bytes of it, and whether a router sends the error. */
  readonly quote?: Fields;
  readonly keep: number;
  readonly router: boolean;

  /** What can be wrong. Absent: right. */
  readonly checksum?: 'wrong' | 'none';
  readonly dataOffset?: number;
  readonly udpLength?: number;
  readonly srcPort?: number;
  readonly dstPort?: number;
  readonly src?: string;
  readonly dst?: string;
  readonly protocol?: number;
  readonly ipChecksum?: 'wrong';
  readonly ipOptions?: readonly number[];
  readonly headerWords?: number;
  readonly version?: number;
  /** Added to the true total length. */
  readonly totalLengthError?: number;
  /** Bytes cut off the end, or behind it. */
  readonly cut?: number;
  readonly trailer?: number;
  readonly pieces?: readonly Piece[];
}

export type Changes = Partial<Fields>;

export interface Step {
  readonly base: Fields;
  readonly changes: Changes;
}

/** What both filters are told before a conversation. */
export interface Settings {
  /** `nf_conntrack_tcp_loose`: pick up connections in mid-stream. */
  readonly loose: boolean;
  /** The kernel's `ipfrag_max_dist`; 0: no limit. */
  readonly fragmentDistance: number;
  /** After each step another process goes on with tunwall's flows. The kernel's filter notices nothing. */
  readonly restarts: boolean;
}

export const usualSettings: Settings = {
  loose: false,
  fragmentDistance: 64,
  restarts: false,
};

export interface Conversation {
  readonly settings: Settings;
  readonly place: Place;
  /** The port that the responder listens on; the rules allow only some. */
  readonly port: number;
  readonly steps: readonly Step[];
}

export const openerPort = 40_000;

/** Where the rules of both filters (policy.ts) let a conversation begin. */
export const allowedPorts: Readonly<Record<Place, { tcp: number; udp: number }>> = {
  outside: { tcp: 443, udp: 53 },
  inside: { tcp: 80, udp: 123 },
};

const plain: Omit<Fields, 'from' | 'kind'> = {
  length: 0,
  flags: '',
  seq: 0,
  ack: 0,
  win: 8192,
  options: [],
  type: 0,
  code: 0,
  id: 0,
  rest: 0,
  keep: 0,
  router: false,
};

export function fieldsOf(from: End, kind: Fields['kind'], given: Changes = {}): Fields {
  return { ...plain, from, kind, ...given };
}

export function stepOf(from: End, kind: Fields['kind'], given: Changes = {}): Step {
  return { base: fieldsOf(from, kind, given), changes: {} };
}

/** The step as it is sent. */
export function sent(step: Step): Fields {
  return { ...step.base, ...step.changes };
}

export function otherEnd(end: End): End {
  return end === 'opener' ? 'responder' : 'opener';
}

/** Which side of the filter a step comes from. */
export function entersFrom(place: Place, from: End): Place {
  return (from === 'opener') === (place === 'outside') ? 'outside' : 'inside';
}
