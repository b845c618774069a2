/**
 * Ends that talk to a server through a firewall, and know which conversation each of their packets is of: TCP connections
 * from SYN to FIN or RST, with the last segment again now and then, and UDP in both directions. They go on whatever is
 * dropped, as ends would that work together, so that nothing of what a firewall refuses is left untried.
 */
import type { Random } from '../oracle/random.ts';
import { tcp } from '../../src/testing/conversations.ts';
import type { TcpEnd } from '../../src/testing/conversations.ts';
import { udpPacket } from '../../src/testing/packets.ts';

export interface Ends {
  readonly protocol: 'tcp' | 'udp';
  readonly opener: string;
  readonly openerPort: number;
  readonly responder: string;
  readonly responderPort: number;
}

export interface Sent {
  readonly bytes: Uint8Array;
  readonly fromOpener: boolean;
  /** A SYN that opens a connection; any datagram. */
  readonly opens: boolean;
  readonly words: string;
}

type Phase = 'new' | 'asked' | 'answered' | 'open' | 'closing' | 'closed';

export class Talk {
  readonly ends: Ends;
  phase: Phase = 'new';
  /** Whether nothing that was sent waits for its acknowledgment. */
  acknowledged = false;
  readonly #random: Random;
  readonly #opener: TcpEnd;
  #last: Sent | undefined;
  #repeats = 0;
  /** Who sends what is not a free choice: the rest of a handshake or of a close. */
  readonly #script: (() => Sent)[] = [];

  constructor(ends: Ends, random: Random) {
    this.ends = ends;
    this.#random = random;
    const { opener, openerPort, responder, responderPort } = ends;
    this.#opener = tcp(`${opener}:${openerPort}`, `${responder}:${responderPort}`, {
      seq: random.word(),
      replySeq: random.word(),
    });
  }

  /** The next packet; undefined when the conversation is over. */
  send(): Sent | undefined {
    if (this.ends.protocol === 'udp') return this.#datagram();
    const mayRepeat = this.phase !== 'closed' && this.#last !== undefined && this.#repeats < 2;
    if (mayRepeat && this.#random.chance(0.1)) {
      this.#repeats++;
      return this.#last;
    }
    this.#repeats = 0;
    this.#last = this.#step();
    return this.#last;
  }

  #datagram(): Sent {
    const { opener, openerPort, responder, responderPort } = this.ends;
    const fromOpener = this.phase === 'new' || this.#random.chance(0.5);
    this.phase = 'open';
    const bytes = fromOpener
      ? udpPacket(opener, responder, openerPort, responderPort)
      : udpPacket(responder, opener, responderPort, openerPort);
    return { bytes, fromOpener, opens: true, words: 'datagram' };
  }

  #step(): Sent | undefined {
    const scripted = this.#script.shift();
    if (scripted !== undefined) return scripted();
    switch (this.phase) {
      case 'new':
        this.phase = 'asked';
        return this.#segment(0, 'S');
      case 'asked':
        this.phase = 'answered';
        return this.#segment(1, 'SA');
      case 'answered':
        this.phase = 'open';
        this.acknowledged = true;
        return this.#segment(0, 'A');
      case 'open':
        return this.#random.chance(0.15) ? this.#close() : this.#data();
      default:
        return undefined;
    }
  }

  #data(): Sent {
    const from = this.#random.int(0, 1);
    this.acknowledged = false;
    this.#script.push(() => {
      this.acknowledged = true;
      return this.#segment(from ^ 1, 'A');
    });
    return this.#segment(from, 'PA', this.#random.int(1, 1000));
  }

  #close(): Sent {
    this.acknowledged = false;
    if (this.#random.chance(0.3)) {
      this.phase = 'closed';
      return this.#segment(0, 'RA');
    }
    const first = this.#random.int(0, 1);
    this.phase = 'closing';
    this.#script.push(
      () => this.#segment(first ^ 1, 'A'),
      () => this.#segment(first ^ 1, 'FA'),
      () => {
        this.phase = 'closed';
        return this.#segment(first, 'A');
      },
    );
    return this.#segment(first, 'FA');
  }

  #segment(from: number, flags: string, length = 0): Sent {
    const sender = from === 0 ? this.#opener : this.#opener.reply;
    const { next: seq } = sender;
    const { next: ack } = sender.reply;
    const bytes = sender.segment({ flags, payload: length });
    const words = `${from === 0 ? '>' : '<'} ${flags} seq=${seq} ack=${ack} len=${length}`;
    return { bytes, fromOpener: from === 0, opens: flags === 'S', words };
  }
}
