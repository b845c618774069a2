/** A TCP connection as its two ends would have it: builds valid segments, and knows the numbers that are near an edge. */
import type { Changes, End, Step } from './conversation.ts';
import { otherEnd, stepOf } from './conversation.ts';
import type { Random } from './random.ts';

export interface TalkOptions {
  readonly mss?: boolean;
  readonly scale?: number;
  readonly sack?: boolean;
  readonly timestamps?: boolean;
}

interface Side {
  isn: number;
  /** Next sequence number to send. */
  next: number;
  /** Highest acknowledged by the other end. */
  acked: number;
  window: number;
  options: TalkOptions;
}

export function wrap(value: number): number {
  return ((value % 2 ** 32) + 2 ** 32) % 2 ** 32;
}

/** Option bytes of a SYN, padded to four. */
export function synOptions({ mss, scale, sack, timestamps }: TalkOptions): number[] {
  const bytes: number[] = [];
  if (mss) bytes.push(2, 4, 0x05, 0xb4);
  if (sack) bytes.push(4, 2);
  if (timestamps) bytes.push(8, 10, 0, 0, 0, 1, 0, 0, 0, 0);
  if (scale !== undefined) bytes.push(3, 3, scale);
  while (bytes.length % 4 !== 0) bytes.push(1);
  return bytes;
}

export function word(value: number): number[] {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
}

/** NOP NOP SACK with these blocks. */
export function sackBlocks(...edges: number[]): number[] {
  return [1, 1, 5, 2 + edges.length * 4, ...edges.flatMap(word)];
}

const timestampOption = [1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1];

function chooseIsn(random: Random): number {
  return random.weighted([
    [4, () => random.word()],
    [4, () => wrap(-random.int(1, 3000))],
    [2, () => wrap(-random.int(1, 200_000))],
    [1, () => 0],
    [1, () => wrap(2 ** 31 - random.int(1, 3000))],
  ] as const)();
}

function chooseOptions(random: Random): TalkOptions {
  const scaled = random.chance(0.6);
  return {
    mss: random.chance(0.8),
    sack: random.chance(0.6),
    timestamps: random.chance(0.3),
    ...(scaled && { scale: random.pick([0, 1, 2, 7, 8, 14, 15, 255]) }),
  };
}

export class TcpTalk {
  readonly steps: Step[] = [];
  readonly sides: Record<End, Side>;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
    const side = (): Side => {
      const isn = chooseIsn(random);
      const window = random.pick([8192, 65_535, 1024, 1, 0, random.int(1, 65_535)]);
      return { isn, next: isn, acked: isn, window, options: chooseOptions(random) };
    };
    this.sides = { opener: side(), responder: side() };
  }

  /** A segment that the end would send now; it advances what the end has sent. */
  send(from: End, flags: string, given: Changes = {}): Step {
    const own = this.sides[from];
    const peer = this.sides[otherEnd(from)];
    const syn = flags.includes('S');
    const acks = flags.includes('A');
    const ack = acks ? peer.next : 0;
    const options = syn
      ? synOptions(own.options)
      : own.options.timestamps && peer.options.timestamps
        ? timestampOption
        : [];
    const step = stepOf(from, 'tcp', {
      flags,
      seq: own.next,
      ack,
      win: own.window,
      options,
      ...given,
    });
    const { seq, length } = step.base;
    own.next = wrap(seq + length + (syn ? 1 : 0) + (flags.includes('F') ? 1 : 0));
    if (acks && given.ack === undefined) peer.acked = peer.next;
    this.steps.push(step);
    return step;
  }

  /** Sends something again, as it was. */
  repeat(step: Step): void {
    this.steps.push(step);
  }

  /** Adds a segment that belongs to nothing: the ends do not advance. */
  stray(from: End, flags: string, given: Changes = {}): Step {
    const own = this.sides[from];
    const peer = this.sides[otherEnd(from)];
    const step = stepOf(from, 'tcp', {
      flags,
      seq: own.next,
      ack: flags.includes('A') ? peer.next : 0,
      win: own.window,
      ...given,
    });
    this.steps.push(step);
    return step;
  }

  /** Both ends start again with new numbers, as for a new connection of the same ports. */
  restart(): void {
    for (const end of ['opener', 'responder'] as const) {
      const side = this.sides[end];
      side.isn = this.#random.chance(0.5)
        ? wrap(side.next + this.#random.int(1, 100_000))
        : chooseIsn(this.#random);
      side.next = side.isn;
      side.acked = side.isn;
      side.options = chooseOptions(this.#random);
    }
  }

  scaleOf(end: End): number {
    const own = this.sides[end].options.scale;
    const peer = this.sides[otherEnd(end)].options.scale;
    return own === undefined || peer === undefined ? 0 : Math.min(own, 14);
  }

  /** A number on or beside an edge of the window check, as seen by a sender. */
  nearEdge(from: End, of: 'seq' | 'ack'): number {
    const random = this.#random;
    const mine = this.sides[of === 'seq' ? from : otherEnd(from)];
    const theirs = this.sides[of === 'seq' ? otherEnd(from) : from];
    const windowOf = (end: End): number => this.sides[end].window << this.scaleOf(end);
    const window = windowOf(of === 'seq' ? otherEnd(from) : from);
    const anchor = random.pick([
      mine.next,
      mine.next,
      mine.acked,
      mine.isn,
      wrap(mine.isn + 1),
      theirs.next,
    ]);
    const distance = random.weighted([
      [4, 0],
      [6, window],
      [4, -window],
      [3, 66_000],
      [3, -66_000],
      [1, 65_535],
      [1, 2 ** 31],
      [2, random.int(-100_000, 100_000)],
      [1, random.word()],
    ] as const);
    return wrap(anchor + distance + random.pick([-2, -1, 0, 0, 0, 1, 1, 2]));
  }
}
