/**
 * Packets for the fuzzer: conversations that are right, so that states are reached in which being wrong is interesting.
 *
 * Few addresses and ports, on purpose: packets meet the flows of other packets, tables and shares fill up.
 */
import {
  icmpMessage,
  icmpQuery,
  ipv4Packet,
  sackOption,
  synOptions,
  tcpPacket,
  tcpSegment,
  udpPacket,
  udpDatagram,
} from '../../src/testing/packets.ts';

export const servers: readonly string[] = ['10.0.0.2', '10.0.0.3'];
export const clients: readonly string[] = ['198.51.100.2', '198.51.100.3'];
const router = '203.0.113.9';
const serverPorts = [80, 443, 53, 22];

export type Random = () => number;

/** An integer from 0 to below `limit`. */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

export function choose<T>(random: Random, from: readonly T[]): T {
  return from[below(random, from.length)]!;
}

/** The two ends of a conversation: `a` opens it. */
interface Ends {
  readonly a: string;
  readonly b: string;
  readonly aPort: number;
  readonly bPort: number;
}

function someEnds(random: Random): Ends {
  const server = choose(random, servers);
  const peer = random() < 0.15 ? servers[server === servers[0] ? 1 : 0]! : choose(random, clients);
  const outwards = random() < 0.3;
  return {
    a: outwards ? server : peer,
    b: outwards ? peer : server,
    aPort: 4000 + below(random, random() < 0.1 ? 2000 : 6),
    bPort: choose(random, serverPorts),
  };
}

interface Conversation {
  /** The next packets, in the order in which they go over the wire. */
  next(random: Random): Uint8Array[];
}

const payload = (length: number): Uint8Array => new Uint8Array(length).fill(0x5a);

/** A TCP connection that mostly does what TCP does. */
class TcpConversation implements Conversation {
  readonly #ends: Ends;
  /** Next sequence number of each side. */
  readonly #sequence: [number, number];
  #phase = 0;
  #last: Uint8Array[] = [];
  /** Which sides have sent FIN. */
  readonly #finished: [boolean, boolean] = [false, false];
  #restarts = 0;

  readonly #lasting: boolean;

  /** @param lasting it does not end by itself, and has ports of its own */
  constructor(random: Random, lasting = false) {
    const ends = someEnds(random);
    this.#ends = lasting ? { ...ends, aPort: 10_000 + below(random, 50_000) } : ends;
    this.#lasting = lasting;
    this.#sequence = [this.#initial(random), this.#initial(random)];
  }

  #initial(random: Random): number {
    return random() < 0.3 ? 0xffffffff - below(random, 3000) : below(random, 2 ** 32);
  }

  next(random: Random): Uint8Array[] {
    const roll = random();
    if (roll < 0.06 && this.#last.length > 0) return this.#last; // retransmitted
    if (roll < 0.12) return [this.#odd(random)];
    this.#last = this.#natural(random);
    return this.#last;
  }

  #natural(random: Random): Uint8Array[] {
    switch (this.#phase++) {
      case 0: {
        const syn = this.#segment(0, 'S', { options: this.#offer(random) });
        this.#sequence[0]++;
        if (random() > 0.05) return [syn];
        const crossing = this.#segment(1, 'S', { options: this.#offer(random) });
        this.#sequence[1]++;
        return [syn, crossing, this.#segment(0, 'SA', { back: -1 }), this.#segment(1, 'A')];
      }
      case 1: {
        const synAck = this.#segment(1, 'SA', { options: this.#offer(random) });
        this.#sequence[1]++;
        return [synAck];
      }
      case 2:
        return [this.#segment(0, 'A')];
      default:
        return this.#established(random);
    }
  }

  #established(random: Random): Uint8Array[] {
    const side = below(random, 2) as 0 | 1;
    if (this.#finished[0] && this.#finished[1]) {
      if (random() < 0.4) return [this.#segment(side, 'A')];
      if (this.#restarts++ < 3) this.#phase = 0;
      this.#finished[0] = this.#finished[1] = false;
      this.#sequence[0] = (this.#sequence[0] + 100_000) >>> 0;
      return this.#natural(random);
    }
    const roll = this.#lasting ? random() * 0.72 : random();
    if (roll < 0.55) {
      const length = choose(random, [0, 1, 100, 536, 1460]);
      const data = this.#segment(side, random() < 0.5 ? 'PA' : 'A', { length });
      this.#sequence[side] = (this.#sequence[side] + length) >>> 0;
      return random() < 0.5 ? [data, this.#segment((1 - side) as 0 | 1, 'A')] : [data];
    }
    if (roll < 0.65) return [this.#segment(side, 'A', { win: 0 })];
    if (roll < 0.72) {
      const edge = this.#sequence[1 - side]!;
      return [this.#segment(side, 'A', { options: sackOption(edge - 10, edge) })];
    }
    if (roll < 0.94) {
      const fin = this.#segment(side, 'FA');
      if (!this.#finished[side]) this.#sequence[side] = (this.#sequence[side] + 1) >>> 0;
      this.#finished[side] = true;
      return [fin];
    }
    return [this.#segment(side, 'RA')];
  }

  /** What does not belong here. */
  #odd(random: Random): Uint8Array {
    const side = below(random, 2) as 0 | 1;
    const flags = choose(random, ['S', 'SA', 'A', 'R', 'RA', 'FA', 'FAU', 'SU', 'PA', 'SEC']);
    const back = choose(random, [0, 0, 1, -1, 10, -10, 66_000, -66_000, 2 ** 31, 70_000]);
    const win = choose(random, [0, 1, 8192, 65_535]);
    return this.#segment(side, flags, { back, win, length: choose(random, [0, 0, 1, 1460]) });
  }

  #offer(random: Random): Uint8Array {
    return choose(random, [
      new Uint8Array(),
      synOptions(7),
      synOptions(14),
      synOptions(0, false),
      synOptions(undefined),
      synOptions(255),
    ]);
  }

  #segment(
    side: 0 | 1,
    flags: string,
    fields: { length?: number; win?: number; back?: number; options?: Uint8Array } = {},
  ): Uint8Array {
    const { a, b, aPort, bPort } = this.#ends;
    const other = (1 - side) as 0 | 1;
    return tcpPacket(side === 0 ? a : b, side === 0 ? b : a, {
      srcPort: side === 0 ? aPort : bPort,
      dstPort: side === 0 ? bPort : aPort,
      flags,
      seq: this.#sequence[side] + (fields.back ?? 0),
      ack: flags.includes('A') ? this.#sequence[other] : 0,
      win: fields.win ?? 8192,
      options: fields.options ?? new Uint8Array(),
      payload: payload(fields.length ?? 0),
    });
  }
}

class UdpConversation implements Conversation {
  readonly #ends: Ends;
  constructor(random: Random) {
    this.#ends = someEnds(random);
  }

  next(random: Random): Uint8Array[] {
    const { a, b, aPort, bPort } = this.#ends;
    const query = udpPacket(a, b, aPort, bPort, payload(below(random, 64)));
    const answer = udpPacket(b, a, bPort, aPort, payload(below(random, 64)));
    return random() < 0.4 ? [query, answer] : [random() < 0.5 ? query : answer];
  }
}

class PingConversation implements Conversation {
  readonly #ends: Ends;
  readonly #request: number;
  constructor(random: Random) {
    this.#ends = someEnds(random);
    this.#request = choose(random, [8, 8, 13, 15, 17]);
  }

  next(random: Random): Uint8Array[] {
    const { a, b, aPort } = this.#ends;
    const reply = this.#request === 8 ? 0 : this.#request + 1;
    const request = icmpQuery(a, b, this.#request, aPort);
    const answer = icmpQuery(b, a, random() < 0.9 ? reply : below(random, 20), aPort);
    return random() < 0.5 ? [request, answer] : [random() < 0.6 ? request : answer];
  }
}

/** Datagrams in pieces: in order or not, with holes, twice, overlapping. */
class FragmentConversation implements Conversation {
  readonly #ends: Ends;
  #identification: number;
  constructor(random: Random) {
    this.#ends = someEnds(random);
    this.#identification = below(random, 4);
  }

  next(random: Random): Uint8Array[] {
    const { a, b, aPort, bPort } = this.#ends;
    const body = payload(8 * below(random, random() < 0.1 ? 1000 : 60) + below(random, 9));
    const [protocol, whole] = choose(random, [
      [17, udpDatagram(a, b, aPort, bPort, body)],
      [1, icmpMessage(8, 0, aPort << 16, body)],
      [6, tcpSegment(a, b, { srcPort: aPort, dstPort: bPort, flags: 'S', payload: body })],
    ] as [number, Uint8Array][]);
    this.#identification = (this.#identification + below(random, 2)) & 0xffff;
    const pieces: Uint8Array[] = [];
    const step = 8 * (1 + below(random, random() < 0.3 ? 4 : 80));
    for (let from = 0; from < whole.length; from += step) {
      const to = Math.min(whole.length, from + step);
      pieces.push(this.#piece(a, b, protocol, whole.subarray(from, to), from, to < whole.length));
    }
    const sent = pieces.slice(0, 70).filter(() => random() > 0.03);
    if (random() < 0.3) sent.reverse();
    if (random() < 0.2) sent.push(choose(random, pieces));
    if (random() < 0.1) sent.push(this.#piece(a, b, protocol, payload(16), 8, random() < 0.5));
    if (random() < 0.05) sent.push(this.#piece(a, b, protocol, payload(1480), 65_528, false));
    return sent;
  }

  #piece(
    src: string,
    dst: string,
    protocol: number,
    bytes: Uint8Array,
    fragmentOffset: number,
    moreFragments: boolean,
  ): Uint8Array {
    return ipv4Packet({
      src,
      dst,
      protocol,
      payload: bytes,
      identification: this.#identification,
      fragmentOffset,
      moreFragments,
    });
  }
}

/** An ICMP error that quotes a packet which went by. */
export function errorAbout(random: Random, packet: Uint8Array): Uint8Array {
  const address = (at: number): string => [...packet.subarray(at, at + 4)].join('.');
  const [type, code] = choose(random, [
    [3, 4],
    [3, 3],
    [11, 0],
    [12, 0],
    [5, 1],
    [4, 0],
  ]);
  const quote = packet.slice(0, choose(random, [28, 28, 48, 20, 12, packet.length]));
  // Version and length, fragment offset, protocol: what decides where the quoted L4 header is looked for.
  if (random() < 0.15) quote[choose(random, [0, 6, 7, 9])] = choose(random, [0x46, 0x4f, 1, 6, 17]);
  const src = random() < 0.7 ? router : address(16);
  const dst = random() < 0.9 ? address(12) : choose(random, servers);
  return ipv4Packet({ src, dst, protocol: 1, payload: icmpMessage(type, code, 1400, quote) });
}

/** Connections that stay open, more of them than a small table holds. */
export function crowd(random: Random, size: number): Conversation[] {
  return Array.from({ length: size }, () => new TcpConversation(random, true));
}

export function newConversation(random: Random): Conversation {
  const roll = random();
  if (roll < 0.5) return new TcpConversation(random);
  if (roll < 0.7) return new UdpConversation(random);
  return roll < 0.82 ? new PingConversation(random) : new FragmentConversation(random);
}
