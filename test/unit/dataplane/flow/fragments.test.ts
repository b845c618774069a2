/** Fragments through the engine: held, judged once, forwarded as they came, or not at all. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counter, trafficIndex } from '../../../../src/dataplane/engine/counters.ts';
import { Direction } from '../../../../src/dataplane/flow/flow-record.ts';
import {
  fragmentBytesHeld,
  fragmentDatagramsHeld,
} from '../../../../src/dataplane/flow/fragment-memory.ts';
import { DropReason } from '../../../../src/dataplane/wire/drop-reason.ts';
import { Protocol } from '../../../../src/dataplane/wire/headers.ts';
import { checkFragmentStore } from '../../../support/fragment-check.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import {
  icmpMessage,
  ipv4Packet,
  tcpSegment,
  udpPacket,
  udpDatagram,
} from '../../../../src/testing/packets.ts';
import { policyOf } from '../../../support/policies.ts';
import { seed } from '../../../support/seed.ts';

const client = '198.51.100.2';
const web = '10.0.0.2';
const policy = policyOf(
  {
    web: {
      inbound: [
        { protocol: 'udp', ports: [53] },
        { protocol: 'icmp' },
        { protocol: 'tcp', ports: [80] },
      ],
      outbound: [],
    },
  },
  [{ name: 'web', addresses: [web], templates: ['web'] }],
);
const fixture = (fragmentBytes?: number): EngineFixture =>
  new EngineFixture({ policy, ...(fragmentBytes === undefined ? {} : { fragmentBytes }) });

interface Piece {
  from: number;
  to: number;
  last?: boolean;
}

/** Cuts an L4 payload; `identification` names the datagram. */
function cut(
  payload: Uint8Array,
  protocol: number,
  pieces: Piece[],
  identification = 99,
): Uint8Array[] {
  return pieces.map(({ from, to, last }) =>
    ipv4Packet({
      src: client,
      dst: web,
      protocol,
      identification,
      payload: payload.slice(from, to),
      fragmentOffset: from,
      moreFragments: !(last ?? to === payload.length),
    }),
  );
}

const filled = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7);
const datagram = (length: number, port = 53): Uint8Array =>
  udpDatagram(client, web, 4000, port, filled(length - 8));
const thirds: Piece[] = [
  { from: 0, to: 1480 },
  { from: 1480, to: 2960 },
  { from: 2960, to: 4000 },
];

describe('a complete datagram', () => {
  it('leaves in the order in which its fragments came, unchanged', () => {
    const [a, b, c] = cut(datagram(4000), 17, thirds);
    for (const order of [
      [a, b, c],
      [c, b, a],
      [b, c, a],
    ] as Uint8Array[][]) {
      const f = fixture();
      expect(f.forward(order[0]!)).toEqual([]);
      expect(f.forward(order[1]!)).toEqual([]);
      expect(fragmentBytesHeld(f.memory.fragments)).toBeGreaterThan(0);
      expect(f.forward(order[2]!)).toEqual(order);
      expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
      expect(f.check().size).toBe(1);
    }
  });

  it('is judged once: ping, and what the policy forbids', () => {
    const ping = icmpMessage(8, 0, 0x00070001, filled(3000));
    const pieces = [
      { from: 0, to: 1480 },
      { from: 1480, to: 3008 },
    ];
    expect(fixture().forward(...cut(ping, 1, pieces))).toHaveLength(2);
    const f = fixture();
    expect(f.forward(...cut(datagram(4000, 54), 17, thirds))).toEqual([]);
    expect(f.counter(Counter.drops + DropReason.noInboundRule)).toBe(3);
    expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
  });

  it('has its checksum verified as a whole', () => {
    const damaged = datagram(4000);
    damaged[2000]! ^= 1;
    const f = fixture();
    expect(f.forward(...cut(damaged, 17, thirds))).toEqual([]);
    expect(f.counter(Counter.drops + DropReason.badChecksum)).toBe(3);
  });

  it('that cannot leave opens no flow, and is no hit of a rule', () => {
    const f = new EngineFixture({ policy, spareBytes: 1000 });
    const hits = (): number => policy.hits.counts.reduce((sum, hit) => sum + hit, 0);
    const before = hits();
    const fragments = cut(datagram(4000), 17, [
      { from: 0, to: 1600 },
      { from: 1600, to: 4000 },
    ]);
    expect(f.forward(...fragments)).toEqual([]);
    expect(f.counter(Counter.drops + DropReason.fragmentMemory)).toBe(2);
    expect(f.counter(Counter.flowsOpened)).toBe(0);
    expect(hits()).toBe(before);
    expect(f.check().size).toBe(0);
    expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
  });

  it('may come in 64 fragments, and in no more', () => {
    const pieces = (count: number): Piece[] =>
      Array.from({ length: count }, (_, i) => ({ from: i * 8, to: i * 8 + 8 }));
    expect(fixture().forward(...cut(datagram(64 * 8), 17, pieces(64)))).toHaveLength(64);
    const f = fixture();
    const tooMany = cut(datagram(70 * 8), 17, pieces(70));
    for (const fragment of tooMany) expect(f.forward(fragment)).toEqual([]);
    // All but the first one, which stands for the datagram until its time is over: what comes of it opens no other one.
    expect(f.counter(Counter.drops + DropReason.fragmentCount)).toBe(69);
    expect(fragmentDatagramsHeld(f.memory.fragments)).toBe(1);
    checkFragmentStore(f.memory.fragments);
    f.nowMs += 29_999;
    f.engine.tick(f.nowMs);
    expect(f.judge(tooMany[69]!)).toBe('fragment-count');
    f.nowMs += 1;
    f.engine.tick(f.nowMs);
    expect(f.counter(Counter.drops + DropReason.fragmentCount)).toBe(71);
    expect(f.counter(Counter.drops + DropReason.fragmentTimeout)).toBe(0);
    expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
  });

  it('of the largest size passes', () => {
    const pieces = [
      { from: 0, to: 32_000 },
      { from: 32_000, to: 65_515 },
    ];
    expect(fixture().forward(...cut(datagram(65_515), 17, pieces))).toHaveLength(2);
  });
});

describe('what kills a datagram', () => {
  it.each<[string, Piece[], keyof typeof DropReason, number]>([
    [
      'a partial overlap',
      [
        { from: 0, to: 1480 },
        { from: 1472, to: 2960 },
      ],
      'fragmentOverlap',
      2,
    ],
    [
      'an overlap from below',
      [
        { from: 1480, to: 2960 },
        { from: 0, to: 1488 },
      ],
      'fragmentOverlap',
      2,
    ],
    [
      'one that contains another',
      [
        { from: 8, to: 16 },
        { from: 0, to: 24 },
      ],
      'fragmentOverlap',
      2,
    ],
    [
      'bytes beyond the end',
      [
        { from: 1480, to: 2000, last: true },
        { from: 2000, to: 2008 },
      ],
      'fragmentOverlap',
      2,
    ],
    [
      'an end before bytes that are there',
      [
        { from: 2000, to: 2008 },
        { from: 1480, to: 1600, last: true },
      ],
      'fragmentOverlap',
      2,
    ],
    [
      'two ends',
      [
        { from: 1480, to: 2000, last: true },
        { from: 2000, to: 2100, last: true },
      ],
      'fragmentOverlap',
      2,
    ],
    [
      'a length that is not a multiple of eight',
      [
        { from: 8, to: 16 },
        { from: 16, to: 30 },
      ],
      'fragment',
      2,
    ],
  ])('%s', (_name, pieces, reason, count) => {
    const f = fixture();
    const fragments = cut(datagram(4000), 17, pieces);
    expect(f.forward(...fragments)).toEqual([]);
    expect(f.counter(Counter.drops + DropReason[reason])).toBe(count);
    expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
  });

  it('TCP at offset 8, and a first fragment shorter than its TCP header', () => {
    const segment = tcpSegment(client, web, {
      srcPort: 1,
      dstPort: 80,
      flags: 'S',
      options: filled(0),
    });
    const f = fixture();
    expect(f.judge(cut(segment, 6, [{ from: 8, to: 16 }])[0]!)).toBe('fragment-tiny');
    expect(f.judge(cut(segment, 6, [{ from: 0, to: 16 }])[0]!)).toBe('fragment-tiny');
  });

  it('an end beyond 65,535', () => {
    const fragment = ipv4Packet({
      src: client,
      dst: web,
      protocol: 1,
      payload: filled(1480),
      fragmentOffset: 65_528,
      moreFragments: false,
    });
    expect(fixture().judge(fragment)).toBe('fragment-oversize');
  });
});

it('a duplicate is dropped alone', () => {
  const f = fixture();
  const [a, b, c] = cut(datagram(4000), 17, thirds) as [Uint8Array, Uint8Array, Uint8Array];
  f.forward(a);
  expect(f.judge(a)).toBe('fragment-overlap');
  expect(f.judge(cut(datagram(4000), 17, [{ from: 8, to: 800 }])[0]!)).toBe('fragment-overlap');
  f.forward(b);
  expect(f.forward(c)).toEqual([a, b, c]);
});

it('an incomplete datagram is given up after 30 s', () => {
  const f = fixture();
  const [a, b, c] = cut(datagram(4000), 17, thirds) as [Uint8Array, Uint8Array, Uint8Array];
  f.forward(a, b, udpPacket(client, web, 4000, 53));
  f.nowMs += 30_000;
  f.engine.tick(f.nowMs);
  expect(f.counter(Counter.drops + DropReason.fragmentTimeout)).toBe(2);
  // Their direction is not known: it is not that of the packet that was judged last.
  const undirected = trafficIndex(Direction.none, Protocol.udp, 0);
  expect(f.counter(Counter.packets + undirected)).toBe(2);
  expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
  expect(f.forward(c)).toEqual([]);
});

describe('an identification that is used again', () => {
  const halves = [
    { from: 0, to: 1400 },
    { from: 1400, to: 2600 },
  ];
  /** Halves of a datagram filled with one letter; without a checksum nothing behind us would notice a splice. */
  const halvesOf = (letter: string, identification = 99): Uint8Array[] => {
    const payload = udpDatagram(
      client,
      web,
      4000,
      53,
      new Uint8Array(2592).fill(letter.charCodeAt(0)),
    );
    payload.fill(0, 6, 8);
    return cut(payload, 17, halves, identification);
  };

  it('other bytes for the same place: the sender has moved on, and the new datagram passes', () => {
    const f = fixture();
    const [old] = halvesOf('A');
    const next = halvesOf('B');
    expect(f.forward(old!)).toEqual([]);
    expect(f.forward(...next)).toEqual(next);
    expect(f.counter(Counter.drops + DropReason.fragmentTimeout)).toBe(1);
    expect(fragmentBytesHeld(f.memory.fragments)).toBe(0);
  });

  it('the same bytes again are a duplicate, and change nothing', () => {
    const f = fixture();
    const [first, second] = halvesOf('A');
    expect(f.judge(first!)).toBe('held');
    expect(f.judge(first!)).toBe('fragment-overlap');
    expect(f.forward(second!)).toEqual([first, second]);
  });

  it.each([
    [31, true],
    [32, false],
  ])('after %i other datagrams in two pieces a half one is still joined: %s', (others, joined) => {
    const f = fixture();
    const [first] = halvesOf('A');
    const [, second] = halvesOf('B');
    expect(f.judge(first!)).toBe('held');
    for (let id = 1; id <= others; id++) {
      expect(f.forward(...halvesOf('x', 1000 + id))).toHaveLength(2);
    }
    expect(f.forward(second!)).toHaveLength(joined ? 2 : 0);
    checkFragmentStore(f.memory.fragments);
  });
});

it('a flood of fragments stays within its memory and costs the oldest', () => {
  const memory = 128 * 1024;
  const f = fixture(memory);
  for (let id = 0; id < 2000; id++) {
    f.forward(cut(datagram(4000), 17, [thirds[0]!], id)[0]!);
    expect(fragmentBytesHeld(f.memory.fragments)).toBeLessThanOrEqual(memory);
  }
  expect(f.counter(Counter.drops + DropReason.fragmentMemory)).toBe(2000 - 64);
  const fresh = cut(datagram(4000), 17, thirds, 5000);
  expect(f.forward(...fresh)).toEqual(fresh);
});

it('fragments of one datagram may arrive on different queues', () => {
  const first = fixture();
  const second = new EngineFixture({ policy }, first);
  const [a, b, c] = cut(datagram(4000), 17, thirds) as [Uint8Array, Uint8Array, Uint8Array];
  expect(first.forward(a)).toEqual([]);
  expect(second.forward(b)).toEqual([]);
  expect(first.forward(c)).toEqual([a, b, c]);
});

it('any cut in any order passes exactly when every byte came once', () => {
  const units = 30;
  const whole = datagram(units * 8 + 3);
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: units }), { maxLength: 8 }),
      fc.nat(),
      fc.option(fc.nat(7), { nil: undefined }),
      (cuts, shuffle, missing) => {
        const edges = [0, ...cuts.sort((x, y) => x - y).map((at) => at * 8), whole.length];
        const pieces = edges.slice(1).map((to, i) => ({ from: edges[i]!, to }));
        const order = pieces
          .map((piece, i) => ({ piece, key: Math.imul(shuffle + i, 0x9e3779b1) }))
          .sort((x, y) => x.key - y.key)
          .map(({ piece }) => piece);
        const sent = order.filter((_, i) => i !== missing || order.length === 1);
        const fragments = cut(whole, 17, sent);
        const tooFew = sent.length < pieces.length;
        expect(fixture().forward(...fragments)).toEqual(tooFew ? [] : fragments);
      },
    ),
    { seed, numRuns: 400 },
  );
});
