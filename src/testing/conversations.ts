/**
 * Conversations, packet by packet: each end knows what it has sent, so sequence numbers, acknowledgments and checksums are right
 * without a word about them. `reply` is the same conversation from the other end.
 *
 *     const web = tcp('198.51.100.2:40000', '10.0.0.2:443');
 *     fw.send(web.handshake());
 *     fw.send(web.data('GET / HTTP/1.1\r\n\r\n'));
 *     fw.send(web.reply.data(1000));
 *
 * An end goes on whatever the firewall does with its packets. A packet is its bytes, from the IPv4 header on.
 */
import { icmpMessage, icmpQuery, ipv4Packet, synOptions, tcpPacket, udpPacket } from './packets.ts';

/** So many zero bytes, a text in UTF-8, or the bytes. */
export type Payload = number | string | Uint8Array;

function payloadBytes(payload: Payload): Uint8Array {
  if (typeof payload === 'number') return new Uint8Array(payload);
  return typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
}

interface End {
  readonly address: string;
  readonly port: number;
}

/** @throws TypeError unless it is an IPv4 address in dotted form */
function addressOf(text: string): string {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1);
  if (parts?.every((part) => Number(part) <= 255) === true) return text;
  throw new TypeError(`expected an IPv4 address like 10.0.0.2, found ${JSON.stringify(text)}`);
}

/** @throws TypeError unless it is an address and a port */
function endOf(text: string): End {
  const [address = '', port = '', ...more] = text.split(':');
  if (more.length === 0 && /^\d{1,5}$/.test(port) && Number(port) <= 0xffff) {
    return { address: addressOf(address), port: Number(port) };
  }
  throw new TypeError(
    `expected an address and a port like 10.0.0.2:443, found ${JSON.stringify(text)}`,
  );
}

export interface TcpOptions {
  /** First sequence number of the end that opens. Default: 1000. */
  readonly seq?: number;
  /** First sequence number of the other end. Default: 5000. */
  readonly replySeq?: number;
  /** The window in every segment, as it is on the wire. Default: 65,535. */
  readonly window?: number;
  /** The window scale that both SYNs offer; absent: none. */
  readonly windowScale?: number;
}

/** A segment as it is wanted; what is left out continues the conversation. */
export interface Segment {
  /** As letters: S A F R P U E C. */
  readonly flags: string;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  /** Whole words of options. */
  readonly options?: Uint8Array;
  readonly payload?: Payload;
}

/** One end of a TCP connection; each method builds the next segment that this end sends. */
export class TcpEnd {
  /** The other end of the same connection. */
  readonly reply: TcpEnd;
  readonly #own: End;
  readonly #window: number;
  readonly #windowScale: number | undefined;
  readonly #first: number;
  #next: number;

  /** See {@link tcp}. @internal */
  constructor(own: End, other: End | TcpEnd, options: TcpOptions) {
    this.#own = own;
    this.#window = options.window ?? 65_535;
    this.#windowScale = options.windowScale;
    this.#first = (options.seq ?? 1000) >>> 0;
    this.#next = this.#first;
    this.reply =
      other instanceof TcpEnd
        ? other
        : new TcpEnd(other, this, { ...options, seq: options.replySeq ?? 5000 });
  }

  /** Sequence number of the next byte that this end sends. */
  get next(): number {
    return this.#next;
  }

  /** Opens the connection; again, the same SYN. */
  syn(): Uint8Array {
    this.#next = this.#first;
    return this.segment({ flags: 'S', ack: 0, options: synOptions(this.#windowScale) });
  }

  /** Answers the other end's SYN. */
  synAck(): Uint8Array {
    this.#next = this.#first;
    return this.segment({ flags: 'SA', options: synOptions(this.#windowScale) });
  }

  /** Acknowledges all that the other end has sent. */
  ack(): Uint8Array {
    return this.segment({ flags: 'A' });
  }

  /** SYN, SYN+ACK and ACK: this end opens. */
  handshake(): Uint8Array[] {
    return [this.syn(), this.reply.synAck(), this.ack()];
  }

  /** @param payload default: 100 bytes */
  data(payload: Payload = 100): Uint8Array {
    return this.segment({ flags: 'PA', payload });
  }

  fin(): Uint8Array {
    return this.segment({ flags: 'FA' });
  }

  /** FIN, the other end's FIN, and the last ACK: this end closes first. */
  close(): Uint8Array[] {
    return [this.fin(), this.reply.fin(), this.ack()];
  }

  rst(): Uint8Array {
    return this.segment({ flags: 'RA' });
  }

  /** Any segment. With a sequence number of its own it does not move the conversation on. */
  segment({ flags, seq, ack, window, options, payload = 0 }: Segment): Uint8Array {
    const other = this.reply;
    const data = payloadBytes(payload);
    const bytes = tcpPacket(this.#own.address, other.#own.address, {
      srcPort: this.#own.port,
      dstPort: other.#own.port,
      flags,
      seq: seq ?? this.#next,
      ack: ack ?? (flags.includes('A') ? other.#next : 0),
      win: window ?? this.#window,
      payload: data,
      ...(options !== undefined && { options }),
    });
    const length = data.length + (/[SF]/.test(flags) ? 1 : 0);
    if (seq === undefined) this.#next = (this.#next + length) >>> 0;
    return bytes;
  }
}

/**
 * A TCP connection, as the end that opens it.
 *
 * @param from, @param to `ADDRESS:PORT`
 * @throws TypeError for anything else
 */
export function tcp(from: string, to: string, options: TcpOptions = {}): TcpEnd {
  return new TcpEnd(endOf(from), endOf(to), options);
}

/** One end of a conversation in UDP. */
export class UdpEnd {
  readonly reply: UdpEnd;
  readonly #own: End;

  /** See {@link udp}. @internal */
  constructor(own: End, other: End | UdpEnd) {
    this.#own = own;
    this.reply = other instanceof UdpEnd ? other : new UdpEnd(other, this);
  }

  /** A datagram. @param payload default: 8 bytes */
  data(payload: Payload = 8): Uint8Array {
    const to = this.reply.#own;
    const { address, port } = this.#own;
    return udpPacket(address, to.address, port, to.port, payloadBytes(payload));
  }
}

/** A conversation in UDP, as the end that begins. @param from, @param to `ADDRESS:PORT` */
export function udp(from: string, to: string): UdpEnd {
  return new UdpEnd(endOf(from), endOf(to));
}

/** A ping: echo requests of one end, and the answers of the other. */
export class Ping {
  readonly #from: string;
  readonly #to: string;
  readonly #id: number;
  #sequence = 0;

  /** See {@link ping}. @internal */
  constructor(from: string, to: string, id: number) {
    this.#from = from;
    this.#to = to;
    this.#id = id;
  }

  /** The next request. */
  request(): Uint8Array {
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return icmpQuery(this.#from, this.#to, 8, this.#id, this.#sequence);
  }

  /** The answer to the last request. */
  answer(): Uint8Array {
    return icmpQuery(this.#to, this.#from, 0, this.#id, this.#sequence);
  }
}

/** Echo requests from one address to another. @param id of the echo messages. Default: 1 */
export function ping(from: string, to: string, id = 1): Ping {
  return new Ping(addressOf(from), addressOf(to), id);
}

const icmpErrors = {
  'net-unreachable': [3, 0],
  'host-unreachable': [3, 1],
  'protocol-unreachable': [3, 2],
  'port-unreachable': [3, 3],
  'fragmentation-needed': [3, 4],
  'admin-prohibited': [3, 13],
  'ttl-exceeded': [11, 0],
  'parameter-problem': [12, 0],
} as const;

/** Errors by name (RFC 792, RFC 1812). */
export type IcmpErrorName = keyof typeof icmpErrors;

/** ICMP errors quote a packet's header and so many bytes behind it, at least (RFC 792). */
const quotedBytes = 8;

/**
 * An ICMP error about a packet, to the one who sent that.
 *
 * @param from the router or host that reports it, @param about the packet
 * @param rest the second word of the message: the next hop's MTU of `fragmentation-needed`. Default: 0
 */
export function icmpError(
  from: string,
  about: Uint8Array,
  name: IcmpErrorName = 'port-unreachable',
  rest = 0,
): Uint8Array {
  const [type, code] = icmpErrors[name];
  const quoted = about.slice(0, headerLength(about) + quotedBytes);
  const payload = icmpMessage(type, code, rest, quoted);
  return ipv4Packet({ src: addressOf(from), dst: sourceOf(about), protocol: 1, payload });
}

/**
 * A packet in fragments.
 *
 * @param size bytes of the datagram in each; a multiple of 8. Default: 512
 * @throws TypeError for a size that IPv4 cannot express, or a packet that is a fragment itself
 */
export function fragments(packet: Uint8Array, size = 512): Uint8Array[] {
  if (size <= 0 || size % 8 !== 0) throw new TypeError('fragments have a multiple of 8 bytes');
  const header = headerLength(packet);
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  if ((view.getUint16(6) & 0x3fff) !== 0) throw new TypeError('it is a fragment already');
  const payload = packet.slice(header);
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < payload.length; at += size) {
    const part = ipv4Packet({
      src: sourceOf(packet),
      dst: destinationOf(packet),
      protocol: packet[9]!,
      identification: view.getUint16(4),
      ttl: packet[8]!,
      options: packet.slice(20, header),
      fragmentOffset: at,
      moreFragments: at + size < payload.length,
      payload: payload.slice(at, at + size),
    });
    parts.push(part);
  }
  return parts;
}

function headerLength(packet: Uint8Array): number {
  const length = (packet[0]! & 15) << 2;
  if (packet.length >= 20 && packet[0]! >> 4 === 4 && length >= 20) return length;
  throw new TypeError('expected a packet that begins with its IPv4 header');
}

const sourceOf = (packet: Uint8Array): string => [...packet.slice(12, 16)].join('.');
const destinationOf = (packet: Uint8Array): string => [...packet.slice(16, 20)].join('.');
