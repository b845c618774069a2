/** What goes wrong on the way, or is done on purpose: changes to steps, and to their order. */
import type { Changes, Fields, Step } from './conversation.ts';
import { otherEnd, sent } from './conversation.ts';
import { neighbour, sibling } from './packets.ts';
import { choosePiecesOf } from './pieces.ts';
import type { Random } from './random.ts';
import { sackBlocks, wrap, word } from './tcp-talk.ts';

type Mutation = (fields: Fields, random: Random) => Changes;

const strangeAddresses = [
  '10.0.0.2',
  '0.0.0.0',
  '0.1.2.3',
  '127.0.0.1',
  '127.3.2.1',
  '224.0.0.5',
  '239.1.2.3',
  '240.0.0.1',
  '255.255.255.255',
  sibling,
  neighbour,
];

function padded(bytes: number[]): number[] {
  const result = bytes.slice(0, 40);
  while (result.length % 4 !== 0) result.push(0);
  return result;
}

function wildBytes(random: Random, most: number): number[] {
  return Array.from({ length: random.int(1, most) }, () =>
    random.weighted([
      [3, () => random.int(0, 10)],
      [1, () => random.int(0, 255)],
    ] as const)(),
  );
}

function nearby(value: number, random: Random): number {
  return wrap(
    value +
      random.pick([-1, 1, 100, -100, 65_536, -65_536, 66_000, -66_001, 2 ** 31, random.word()]),
  );
}

/** TCP option lists, well formed and not. */
function tcpOptions(fields: Fields, random: Random): number[] {
  return padded(
    random.weighted([
      [3, () => wildBytes(random, 40)],
      [1, () => [3, 3, random.int(0, 255)]],
      [1, () => [3, 4, 7, 0]],
      [1, () => [3, 2]],
      [1, () => [4, 3, 0]],
      [1, () => [3, 3, 7, 3, 3, 2]],
      [1, () => [1, 1, 1, 3, 0, 3, 7]],
      [1, () => [1, 1, 1, 3]],
      [1, () => [0, 3, 3, 7]],
      [1, () => [2, 4, 5, 180, 8, 200, 0, 0]],
      [1, () => [5, 2, 1, 1]],
      [1, () => [5, 6, 1, 1, 1, 1, 1, 1]],
      [
        1,
        () =>
          sackBlocks(
            nearby(fields.ack, random),
            nearby(fields.ack, random),
            fields.ack,
            nearby(fields.ack, random),
          ),
      ],
      [
        1,
        () => [
          5,
          10,
          ...word(fields.ack),
          ...word(nearby(fields.ack, random)),
          5,
          10,
          ...word(fields.ack),
          ...word(nearby(fields.ack, random)),
        ],
      ],
    ] as const)(),
  );
}

const tcpMutations: readonly (readonly [number, Mutation])[] = [
  [
    3,
    (_, random) => ({
      flags: 'FSRPAUEC'
        .split('')
        .filter(() => random.chance(0.35))
        .join(''),
    }),
  ],
  [3, (fields, random) => ({ seq: nearby(fields.seq, random) })],
  [3, (fields, random) => ({ ack: nearby(fields.ack, random) })],
  [2, (_, random) => ({ win: random.pick([0, 1, 65_535, random.int(0, 65_535)]) })],
  [3, (fields, random) => ({ options: tcpOptions(fields, random) })],
  [1, (_, random) => ({ dataOffset: random.int(0, 15) })],
  [1, (_, random) => ({ length: random.pick([0, 1, 1000, 1460, 9000]) })],
  [1, () => ({ seq: 0 })],
  [1, () => ({ ack: 0 })],
];

const udpMutations: readonly (readonly [number, Mutation])[] = [
  [
    3,
    (fields, random) => ({
      udpLength: random.pick([0, 7, 8, 9, 7 + fields.length, 9 + fields.length, 65_535]),
    }),
  ],
  [1, () => ({ checksum: 'none' })],
];

const queryMutations: readonly (readonly [number, Mutation])[] = [
  [2, (_, random) => ({ type: random.int(0, 255) })],
  [2, (_, random) => ({ type: random.int(0, 20) })],
  [1, (_, random) => ({ code: random.int(0, 255) })],
  [1, (_, random) => ({ id: random.int(0, 65_535) })],
];

const errorMutations: readonly (readonly [number, Mutation])[] = [
  [3, (fields) => ({ keep: fields.keep })],
  [3, (_, random) => ({ keep: random.int(0, 60) })],
  [2, (_, random) => ({ type: random.int(0, 20) })],
  [1, (_, random) => ({ code: random.int(0, 255) })],
  [4, (fields, random) => ({ quote: otherQuote(fields.quote!, random) })],
  [2, (_, random) => ({ dst: random.pick(strangeAddresses) })],
  [1, (fields) => ({ from: otherEnd(fields.from) })],
];

function otherQuote(quote: Fields, random: Random): Fields {
  const change = random.weighted<Changes>([
    [2, { srcPort: random.int(1, 65_535) }],
    [2, { dstPort: random.int(1, 65_535) }],
    [1, { src: random.pick(strangeAddresses) }],
    [1, { dst: random.pick(strangeAddresses) }],
    [3, { seq: nearby(quote.seq, random) }],
    [1, { kind: random.pick(['tcp', 'udp', 'query', 'other'] as const) }],
    [1, { from: otherEnd(quote.from) }],
    [1, { headerWords: random.pick([0, 4, 6, 15]) }],
    [1, { version: random.pick([0, 6]) }],
    [1, { ipOptions: [1, 1, 1, 0] }],
    [1, { pieces: [{ offset: random.pick([8, 64]), length: 24, more: false }] }],
    [1, { pieces: [{ offset: 0, length: 24, more: true }] }],
    [1, { type: random.int(0, 20) }],
    [1, { checksum: 'wrong' }],
    [1, { protocol: random.pick([1, 6, 17, 47]) }],
  ]);
  return { ...quote, ...change };
}

const ipOptionLists: readonly (readonly number[])[] = [
  [1, 1, 1, 0],
  [0, 0, 0, 0],
  [7, 7, 4, 0, 0, 0, 0, 0],
  [68, 8, 5, 0, 0, 0, 0, 0],
  [148, 4, 0, 0],
  [131, 7, 4, 10, 0, 0, 9, 0],
  [137, 7, 4, 10, 0, 0, 9, 0],
  [130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [7, 1, 4, 0],
  [7, 60, 4, 0],
  [7, 2, 0, 0],
  [7, 3, 3, 0],
  [68, 4, 5, 0],
  [68, 8, 4, 0, 0, 0, 0, 0],
  [1, 1, 1, 7],
  [99, 4, 1, 2],
  [99, 0, 1, 2],
];

const ipMutations: readonly (readonly [number, Mutation])[] = [
  [3, () => ({ checksum: 'wrong' })],
  [1, () => ({ ipChecksum: 'wrong' })],
  [3, (_, random) => ({ ipOptions: random.pick(ipOptionLists) })],
  [1, (_, random) => ({ ipOptions: padded(wildBytes(random, 40)) })],
  [1, (_, random) => ({ headerWords: random.int(0, 15) })],
  [1, (_, random) => ({ version: random.int(0, 15) })],
  [
    2,
    (_, random) => ({ totalLengthError: random.pick([-1, -8, -20, -21, 1, 100, 40_000, -40_000]) }),
  ],
  [1, (_, random) => ({ cut: random.int(1, 60) })],
  [1, (_, random) => ({ trailer: random.int(1, 40) })],
  [1, (_, random) => ({ protocol: random.pick([0, 1, 2, 4, 6, 17, 47, 50, 132, 255]) })],
  [2, (_, random) => ({ src: random.pick(strangeAddresses) })],
  [2, (_, random) => ({ dst: random.pick(strangeAddresses) })],
  [2, (_, random) => ({ srcPort: random.pick([0, 1, 40_001, 65_535]) })],
  [2, (_, random) => ({ dstPort: random.pick([0, 53, 80, 123, 443, 40_001]) })],
  [1, (fields) => ({ from: otherEnd(fields.from) })],
];

function mutationsOf(kind: Fields['kind']): readonly (readonly [number, Mutation])[] {
  switch (kind) {
    case 'tcp':
      return tcpMutations;
    case 'udp':
      return udpMutations;
    case 'query':
      return queryMutations;
    default:
      return errorMutations;
  }
}

function mutateStep(step: Step, random: Random): Step {
  const fields = sent(step);
  const specific = mutationsOf(fields.kind);
  const mutation = random.weighted([
    [10, () => random.weighted(specific)(fields, random)],
    [5, () => random.weighted(ipMutations)(fields, random)],
    [4, () => ({ pieces: choosePiecesOf(fields, random) })],
  ] as const)();
  return { base: step.base, changes: { ...step.changes, ...mutation } };
}

/** Changes some steps, and some of the order. */
export function mutate(steps: readonly Step[], random: Random): Step[] {
  const result = [...steps];
  for (let times = random.int(1, 3); times > 0; times--) {
    const at = random.int(0, result.length - 1);
    random.weighted([
      [6, () => void (result[at] = mutateStep(result[at]!, random))],
      // The wrong one, and the right one behind it.
      [4, () => void result.splice(at, 0, mutateStep(result[at]!, random))],
      [1, () => void result.splice(random.int(at, result.length), 0, result[at]!)],
      [1, () => void result.splice(random.int(0, result.length - 1), 0, ...result.splice(at, 1))],
      [1, () => void result.splice(at, result.length > 1 ? 1 : 0)],
    ] as const)();
  }
  return result;
}
