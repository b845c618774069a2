/**
 * The differences between Linux and us that are meant, each with its reason. What differs and is not in here is a bug, of
 * either.
 *
 * A predicate looks at the outcome of one conversation, and is as narrow as the reason is. Every entry has an example that
 * shows it on both sides (explained-examples.ts); test/oracle/differences.md has this table for people, and a unit test says that they agree.
 */
import type { Outcome } from './compare.ts';
import type { End, Fields } from './conversation.ts';
import { otherEnd, sent } from './conversation.ts';
import {
  answerOfBefore,
  beganAgainWithoutOptions,
  differing,
  includes,
  isReset,
  passedSegments,
  pickedUpBegunAgain,
  pickedUpUnanswered,
  resetOfBefore,
  synAfterReset,
  synAnew,
} from './explained-connections.ts';

export interface Explanation {
  readonly id: string;
  readonly stricter: 'tunwall' | 'Linux' | 'neither';
  /** What each of them does. */
  readonly difference: string;
  readonly why: string;
  /** RFC or source. */
  readonly source: string;
  readonly explains: (outcome: Outcome) => boolean;
}

/** The kernel passes what we drop, for this reason among others. */
function weDrop(outcome: Outcome, reason: string): boolean {
  const { kind, kernel, engine } = outcome.difference!;
  return kind === 'verdict' && kernel === 'pass' && includes(engine, reason);
}

/**
 * Both drop a segment, but we before its state is looked at. To Linux even an invalid one can mean something: a FIN or RST
 * shortens the timeout when the other side sends one too, a SYN can begin a side again, or end a closed connection, and of a
 * side that has not begun yet (what comes behind a reset may not count) any segment is believed.
 */
function droppedUnseen(outcome: Outcome, reason: string): boolean {
  const { conversation, verdicts, difference } = outcome;
  return verdicts.slice(0, difference!.step + 1).some(({ kernel, engine }, at) => {
    const { kind, flags, from } = sent(conversation.steps[at]!);
    if (kind !== 'tcp' || kernel !== 'drop' || !includes(engine, reason)) return false;
    const passed = passedSegments(outcome, at);
    const begun =
      passed.some((earlier) => earlier.from === from && earlier.flags.includes('S')) &&
      !passed.some(isReset);
    return /[SFR]/.test(flags) || !begun;
  });
}

/** Linux kept the tiny fragment, so that the right one overlapped it; we dropped it and forgot it. */
function tinyForgotten({ difference }: Outcome): boolean {
  const { kernel, engine } = difference!;
  return kernel === 'drop' && includes(engine, 'fragment-tiny') && includes(engine, 'pass');
}

const protocols: Readonly<Record<Fields['kind'], number>> = {
  tcp: 6,
  udp: 17,
  query: 1,
  error: 1,
  other: 47,
};

function quoteHeaderLength(quote: Fields): number {
  return (quote.headerWords ?? 5 + (quote.ipOptions?.length ?? 0) / 4) * 4;
}

/** Whether two datagrams have the ports and addresses of one flow; the default is the conversation's. */
function sameEnds(a: Fields, b: Fields): boolean {
  const ends = ({ srcPort, dstPort, src, dst }: Fields, turned: boolean): string =>
    (turned ? [dstPort, srcPort, dst, src] : [srcPort, dstPort, src, dst]).join();
  return ends(a, false) === ends(b, a.from !== b.from);
}

/** Not after `next`, and not further behind than the smallest window that counts. */
function near(value: number, next: number): boolean {
  const behind = (next - value) | 0;
  return behind >= 0 && behind <= 66_000;
}

/**
 * Whether a quoted TCP segment belongs to the connection as it is now beyond doubt: it was let through in order, in a connection
 * that was opened as it should be, SYN and SYN-ACK, and in which no end has begun again or reset. Behind anything else there is
 * no telling: what is out of place passes unbelieved, and even a SYN that is dropped may begin a side again.
 */
function wasInOrder(outcome: Outcome, quote: Fields): boolean {
  const { conversation, verdicts, difference } = outcome;
  const next: Record<End, number | undefined> = { opener: undefined, responder: undefined };
  let found = false;
  let closing = false;
  for (let at = 0; at < difference!.step; at++) {
    const segment = sent(conversation.steps[at]!);
    const { kind, from, flags, seq, ack, length } = segment;
    const { kernel, engine } = verdicts[at]!;
    if (kind !== 'tcp' || !sameEnds(segment, quote)) continue;
    const passed = kernel === 'pass' && engine === 'pass';
    const own = next[from];
    const other = next[otherEnd(from)];
    const quoted = from === quote.from && seq === quote.seq;
    const begins = flags.includes('S');
    const end = (seq + length + (begins ? 1 : 0) + (flags.includes('F') ? 1 : 0)) | 0;
    if (begins) {
      const opens = from === 'opener' ? flags === 'S' : flags === 'SA' && ack === other! >>> 0;
      if (!passed || !opens || closing || (own !== undefined && end !== own)) return false;
      next[from] = end;
    } else {
      if (!passed) continue;
      if (flags.includes('R')) return false;
      closing ||= flags.includes('F');
      if (own === undefined || !near(seq, own)) continue;
      if (flags.includes('A') && other !== undefined && !near(ack, other)) continue;
      // An older one may take back what the filters hold for the end of what was sent.
      if (((end - own) | 0) > 0) next[from] = end;
      else if (end !== own) found = false;
    }
    if (quoted) found = true;
  }
  return found;
}

/** Length of a UDP datagram's IP payload: to the end of its last piece, or to where the IP header says. */
function datagramPayload({ pieces, length, totalLengthError = 0 }: Fields): number {
  if (pieces === undefined) return 8 + length + totalLengthError;
  return Math.max(...pieces.map((piece) => piece.offset + piece.length));
}

function quotesTcp(quote: Fields): boolean {
  return (quote.protocol ?? protocols[quote.kind]) === protocols.tcp;
}

/** Drop reasons for what Linux drops only behind connection tracking, when it routes the packet. */
const routed = ['source-route', 'bad-ip-header', 'martian-source', 'martian-destination'];

export const explanations: readonly Explanation[] = [
  {
    id: 'short-quote',
    stricter: 'tunwall',
    difference:
      'An ICMP error that quotes fewer than eight bytes behind the IP header passes Linux if the ports are among them; here it does not.',
    why: 'Every router quotes at least eight; with fewer there is no sequence number to check.',
    source: 'RFC 792; RFC 1812 section 4.3.2.3',
    explains: (outcome) => {
      const { kind, quote, keep, totalLengthError = 0 } = differing(outcome);
      if (!weDrop(outcome, 'icmp-error') || kind !== 'error' || quote === undefined) return false;
      // The error's own length may say that it is shorter; what lies behind its end is not there.
      return keep + Math.min(0, totalLengthError) < quoteHeaderLength(quote) + 8;
    },
  },
  {
    id: 'quoted-version',
    stricter: 'tunwall',
    difference:
      'An ICMP error whose quoted header does not say IPv4 passes Linux if the addresses and ports fit; here it does not.',
    why: 'Nobody sent such a packet.',
    source: 'RFC 792; RFC 791 section 3.1',
    explains: (outcome) => {
      const { kind, quote } = differing(outcome);
      return weDrop(outcome, 'icmp-error') && kind === 'error' && (quote?.version ?? 4) !== 4;
    },
  },
  {
    id: 'quoted-sequence',
    stricter: 'tunwall',
    difference:
      'An ICMP error that quotes a TCP segment passes Linux if the tuple is that of a connection; here the quoted sequence number must also be one under way.',
    why: 'Whoever guesses the ports could otherwise reset connections or shrink their path MTU.',
    source: 'RFC 5927 section 4.1',
    explains: (outcome) => {
      const { kind, quote } = differing(outcome);
      if (!weDrop(outcome, 'icmp-error') || kind !== 'error' || quote === undefined) return false;
      return quotesTcp(quote) && !(quote.kind === 'tcp' && wasInOrder(outcome, quote));
    },
  },
  {
    id: 'redirect',
    stricter: 'tunwall',
    difference: 'An ICMP redirect that quotes a live flow passes Linux; here redirects never pass.',
    why: 'A redirect is for the next hop on the same link: one that has been routed is forged.',
    source: 'RFC 1122 section 3.2.2.2; RFC 1812 section 5.2.7.2',
    explains: (outcome) => weDrop(outcome, 'icmp-redirect') && differing(outcome).type === 5,
  },
  {
    id: 'source-quench',
    stricter: 'tunwall',
    difference: 'An ICMP source quench that quotes a live flow passes Linux; here it does not.',
    why: 'It is deprecated and must be ignored; what it was good for was slowing down the connections of others.',
    source: 'RFC 6633',
    explains: (outcome) => weDrop(outcome, 'icmp-type') && differing(outcome).type === 4,
  },
  {
    id: 'tiny-fragment',
    stricter: 'tunwall',
    difference:
      'Linux joins fragments however small; here a first fragment holds the whole L4 header, and no TCP fragment begins at byte 8.',
    why: 'No real path has an MTU that small. Fragments leave as they came, so that what lies behind us must not be fooled by them.',
    source: 'RFC 1858; RFC 3128',
    explains: (outcome) =>
      weDrop(outcome, 'fragment-tiny') ||
      droppedUnseen(outcome, 'fragment-tiny') ||
      tinyForgotten(outcome),
  },
  {
    id: 'many-fragments',
    stricter: 'tunwall',
    difference: 'Linux joins any number of fragments; here a datagram has 64 at most.',
    why: 'Memory and time per datagram are bounded; 64 pieces of the smallest legal MTU are 36 KB.',
    source: 'bounded memory and time per datagram',
    explains: (outcome) =>
      weDrop(outcome, 'fragment-count') && (differing(outcome).pieces?.length ?? 0) > 64,
  },
  {
    id: 'odd-fragment',
    stricter: 'neither',
    difference:
      'Linux cuts a fragment that is not the last one to a multiple of eight bytes and goes on; here it is dropped, and the pieces held before it with it.',
    why: 'It can not come from a router. What is left may be a whole datagram for one and not for the other.',
    source: 'RFC 791 section 3.2; net/ipv4/ip_fragment.c',
    explains: (outcome) => {
      const { kind, engine } = outcome.difference!;
      const odd = differing(outcome).pieces?.some((piece) => piece.more && piece.length % 8 !== 0);
      return kind === 'verdict' && odd === true && includes(engine, 'fragment');
    },
  },
  {
    id: 'tcp-options',
    stricter: 'tunwall',
    difference: 'Linux ignores TCP options whose lengths do not fit; here the segment is dropped.',
    why: 'The ends need not read such a header as we do, and window scaling and SACK decide what passes.',
    source: 'RFC 9293 section 3.1',
    explains: (outcome) =>
      weDrop(outcome, 'bad-tcp-options') || droppedUnseen(outcome, 'bad-tcp-options'),
  },
  {
    id: 'syn-without-options',
    stricter: 'neither',
    difference:
      'When an end begins again with a SYN that has no options at all, Linux keeps those of the SYN before; here they are gone.',
    why: 'The other end answers the SYN that it got last.',
    source: 'RFC 7323 section 1.3; nf_conntrack_proto_tcp.c, tcp_options',
    explains: beganAgainWithoutOptions,
  },
  {
    id: 'syn-anew',
    stricter: 'Linux',
    difference:
      'When the opener sends another SYN before the first is answered, and its number is lower, or the first is answered after all, Linux goes on from the higher one; here the last one counts, and the answer to either.',
    why: 'Before the first answer nothing is synchronised. An opener that has forgotten its connection chooses any number, and Linux lets none of that connection through.',
    source: 'RFC 9293 section 3.10.7; nf_conntrack_proto_tcp.c, tcp_in_window',
    explains: synAnew,
  },
  {
    id: 'reset-of-before',
    stricter: 'Linux',
    difference:
      'An RST that comes back while a SYN waits for its answer, and does not acknowledge it, ends the flow in Linux, or makes it forget the SYN; here the SYN may still be answered.',
    why: 'It is of the connection before, whose ports were used again at once. Who sent the SYN discards it; the new connection would get no answer through.',
    source: 'RFC 9293 section 3.10.7.3',
    explains: resetOfBefore,
  },
  {
    id: 'answer-of-before',
    stricter: 'neither',
    difference:
      'A SYN+ACK that acknowledges what the opener has not sent, or what is older than any window, tells Linux the numbers of the responder, although it is not believed; here it begins nothing.',
    why: 'It is of the connection before, whose ports were used again at once. With its numbers the right answer would be out of the window.',
    source: 'RFC 9293 section 3.10.7.3; nf_conntrack_proto_tcp.c, tcp_init_sender',
    explains: answerOfBefore,
  },
  {
    id: 'syn-after-reset',
    stricter: 'neither',
    difference:
      'A SYN of the end that has opened a connection and reset it opens the next one; in Linux only if the RST was the last segment, otherwise the SYN passes, but only a SYN+ACK right behind it makes it count.',
    why: 'A segment that was overtaken by the RST says nothing about the next connection, and what the other end sends meanwhile must not take its SYN away.',
    source: 'RFC 9293 section 3.10.7; nf_conntrack_proto_tcp.c, nf_conntrack_tcp_packet',
    explains: synAfterReset,
  },
  {
    id: 'picked-up-unanswered',
    stricter: 'tunwall',
    difference:
      'A connection that was picked up in mid-stream and has no valid answer is forgotten by Linux after 300 s; here after 120 s, like a SYN.',
    why: 'It is no more a conversation than a SYN is: with the timeout of unacknowledged data a flood of ACKs would be protected from eviction.',
    source: 'nf_conntrack_proto_tcp.c, nf_conntrack_tcp_packet; docs/decisions/0003-pressure.md',
    explains: pickedUpUnanswered,
  },
  {
    id: 'picked-up-begun-again',
    stricter: 'tunwall',
    difference:
      'When the ends of a connection that was picked up in mid-stream begin again, with SYN and SYN+ACK, Linux goes on believing any number of the end that answers; here the window check holds for both.',
    why: 'The handshake was seen: nothing is unknown any more.',
    source: 'RFC 9293 section 3.10.7.4; nf_conntrack_proto_tcp.c, nf_ct_tcp_state_reset',
    explains: pickedUpBegunAgain,
  },
  {
    id: 'land',
    stricter: 'tunwall',
    difference: 'Linux forwards a packet whose source is its destination; here it is dropped.',
    why: 'It is forged, and the answer would go round in the server.',
    source: 'CVE-1999-0016',
    explains: (outcome) => weDrop(outcome, 'land'),
  },
  {
    id: 'martian',
    stricter: 'tunwall',
    difference:
      'Linux forwards 0/8 and 240/4 (without reverse-path filter); here they are dropped.',
    why: 'No host has such an address.',
    source: 'RFC 6890; RFC 1122 section 3.2.1.3',
    explains: (outcome) => {
      const { src, dst } = differing(outcome);
      return [
        ['martian-source', src],
        ['martian-destination', dst],
      ].some(
        ([reason, address]) =>
          weDrop(outcome, reason!) && /^(0|24\d|25[0-4])\./.test(address ?? ''),
      );
    },
  },
  {
    id: 'security-option',
    stricter: 'Linux',
    difference:
      'A packet with a security option (CIPSO) of a domain that Linux has not been told of is dropped by it; here it passes.',
    why: 'What the labels mean is between the ends. In the gateway, the kernel drops such packets before they reach the device.',
    source: 'net/ipv4/ip_options.c and cipso_ipv4.c',
    explains: (outcome) =>
      outcome.difference!.kernel === 'drop' &&
      includes(outcome.difference!.engine, 'pass') &&
      differing(outcome).ipOptions?.includes(134) === true,
  },
  {
    id: 'udp-surplus',
    stricter: 'Linux',
    difference:
      'Where the UDP length is shorter than the IP payload, Linux sums all of the payload and finds the checksum wrong; here the checksum is taken over the UDP length.',
    why: 'That is what the length is for; the surplus is where UDP options live, and the receiver accepts it.',
    source: 'RFC 768; RFC 9868',
    explains: (outcome) => {
      const fields = differing(outcome);
      const { length, udpLength = 8 + length } = fields;
      if (fields.kind !== 'udp' || udpLength >= datagramPayload(fields)) return false;
      const { kind, kernel, engine } = outcome.difference!;
      // Where pieces make two datagrams, one of them may be in order.
      return kind === 'content' || (kernel === 'drop' && includes(engine, 'pass'));
    },
  },
  {
    id: 'tracked-before-dropped',
    stricter: 'neither',
    difference:
      'Linux tracks a packet before it looks at IP options and at where it may be routed; it drops the packet, but its connection has moved on. Here what is dropped has not been seen.',
    why: 'The other end never got it. In the gateway, the kernel drops such packets before they reach the device.',
    source: 'net/ipv4/ip_input.c: the prerouting hook comes before ip_rcv_options',
    explains: ({ verdicts, difference }) =>
      verdicts
        .slice(0, difference!.step + 1)
        .some(({ kernel, engine }) => kernel === 'drop' && routed.includes(engine)),
  },
];

/** The first entry that explains an outcome's difference. */
export function explain(outcome: Outcome): Explanation | undefined {
  return explanations.find((entry) => entry.explains(outcome));
}
