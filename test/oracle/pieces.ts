/** How a datagram is cut into fragments: properly, out of order, and in all the ways that are wrong. */
import type { Fields, Piece } from './conversation.ts';
import type { Random } from './random.ts';

/** Length of the IP payload, near enough to cut it: the end is where the pieces say it is. */
function payloadLength(fields: Fields): number {
  switch (fields.kind) {
    case 'tcp':
      return 20 + fields.options.length + fields.length;
    case 'error':
      return 8 + fields.keep;
    case 'other':
      return fields.length;
    default:
      return 8 + fields.length;
  }
}

/** Cut at multiples of eight, in order. */
function cut(length: number, random: Random): Piece[] {
  const size = random.weighted([
    [2, 8],
    [3, 24],
    [3, random.int(1, 20) * 8],
    [2, Math.max(8, (length >> 4) << 3)],
  ] as const);
  const pieces: Piece[] = [];
  for (let offset = 0; offset < length || offset === 0; offset += size) {
    const more = offset + size < length;
    pieces.push({ offset, length: more ? size : length - offset, more });
  }
  return pieces;
}

const faults: readonly (readonly [number, (pieces: Piece[], random: Random) => Piece[]])[] = [
  [4, (pieces) => pieces],
  [3, (pieces) => pieces.reverse()],
  [3, (pieces, random) => pieces.sort(() => (random.chance(0.5) ? 1 : -1))],
  // A piece twice, or a part of one again.
  [2, (pieces, random) => [...pieces, random.pick(pieces)]],
  [2, (pieces, random) => [random.pick(pieces), ...pieces]],
  [
    2,
    (pieces, random) =>
      withExtra(pieces, random, (p) => ({
        ...p,
        length: Math.max(8, (p.length >> 4) << 3),
        more: true,
      })),
  ],
  // Overlaps by eight bytes, before or behind.
  [
    2,
    (pieces, random) =>
      withExtra(pieces, random, (p) => ({
        offset: Math.max(0, p.offset - 8),
        length: 16,
        more: true,
      })),
  ],
  [
    2,
    (pieces, random) =>
      withExtra(pieces, random, (p) => ({ offset: p.offset, length: p.length + 8, more: true })),
  ],
  // Over the border of two pieces that are there already.
  [
    1,
    (pieces, random) =>
      withExtra(
        pieces,
        random,
        (p) => ({ offset: Math.max(0, p.offset - 8), length: 16, more: true }),
        2,
      ),
  ],
  // One is missing.
  [2, (pieces, random) => pieces.filter((_, at) => at !== random.int(0, pieces.length - 1))],
  // A second end, and bytes behind the end.
  [1, (pieces, random) => withExtra(pieces, random, (p) => ({ ...p, more: false }))],
  [
    1,
    (pieces) => [
      ...pieces.slice(-1),
      { offset: pieces.at(-1)!.offset + 64, length: 8, more: true },
      ...pieces,
    ],
  ],
  [1, (pieces) => [...pieces, { offset: 65_528, length: 7, more: false }]],
  [1, (pieces) => [...pieces, { offset: 65_528, length: 100, more: false }]],
  // Nothing in it, or not a multiple of eight.
  [1, (pieces, random) => withExtra(pieces, random, (p) => ({ ...p, length: 0 }))],
  [
    1,
    (pieces, random) =>
      pieces.map((p) => (p.more && random.chance(0.5) ? { ...p, length: p.length + 3 } : p)),
  ],
  [1, (pieces) => pieces.map((p) => ({ ...p, more: true }))],
];

function withExtra(
  pieces: Piece[],
  random: Random,
  change: (piece: Piece) => Piece,
  earliest = 0,
): Piece[] {
  const extra = change(random.pick(pieces));
  pieces.splice(random.int(Math.min(earliest, pieces.length), pieces.length), 0, extra);
  return pieces;
}

export function choosePiecesOf(fields: Fields, random: Random): Piece[] {
  const pieces = random.weighted(faults)(cut(payloadLength(fields), random), random);
  return pieces.length > 0 ? pieces : cut(payloadLength(fields), random);
}
