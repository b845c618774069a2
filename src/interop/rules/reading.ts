/**
 * What was read from another firewall, in one form for all of them, and the one place that subtracts.
 *
 * A {@link Reading} says of some packets that they are allowed, denied, or of unknown fate. Its pieces are boxes; a piece
 * may depend on *conditions* that templates do not have (an interface, a rate limit). Then it means some packets of its box,
 * or none. Readings are settled in order: what is denied is taken from every allow behind it. What is not known is a deny
 * that may happen: its condition is one more unknown. So nothing is allowed that the source may have denied.
 *
 * A condition and its opposite cancel: what is allowed under both is allowed. Only what then depends on no condition is
 * imported.
 */
import { boxesMeet, canCome, cutBox, intersectBox, joinBoxes, keyOf, sides } from './box.ts';
import type { Box, BoxProtocol, Side } from './box.ts';
import { insertRange } from './range-lists.ts';
import type { Range } from './range-lists.ts';

/** Something that is true or false of a packet, and that templates cannot say. */
export interface Condition {
  /** The same key, the same truth. */
  readonly key: string;
  readonly negated: boolean;
  /** For messages. */
  readonly words: string;
}

export interface Piece {
  readonly box: Box;
  /** All of them have to hold. */
  readonly when: readonly Condition[];
}

export interface Reading {
  readonly action: 'allow' | 'deny' | 'unknown';
  readonly pieces: readonly Piece[];
  /** `line 12`, or a path. */
  readonly place: string;
  /** For messages: `DROP`, `deny`. */
  readonly name: string;
}

/** An allow after everything was taken from it. */
export interface Settled<R extends Reading> {
  readonly reading: R;
  /** What is allowed for sure. */
  readonly boxes: readonly Box[];
  /** Why a part of it is not; empty if all of it is allowed, here or by another. */
  readonly lost: readonly string[];
  /** What takes all of it. */
  readonly takenBy?: string;
}

/** More pieces than this are reported as lost instead. */
const maxPieces = 512;

export const tooManyPieces = `what is left of it would take more than ${maxPieces} rules`;

/** The conditions of both; undefined if they exclude each other. */
export function joinConditions(
  a: readonly Condition[],
  b: readonly Condition[],
): readonly Condition[] | undefined {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a;
  const added = b.filter((each) => !a.some((own) => isSame(own, each)));
  const excluded = added.some(({ key, negated }) =>
    a.some((own) => own.key === key && own.negated !== negated),
  );
  return excluded ? undefined : [...a, ...added];
}

function isSame(a: Condition, b: Condition): boolean {
  return a.key === b.key && a.negated === b.negated;
}

const keyOfConditions = (when: readonly Condition[]): string =>
  when
    .map(({ key, negated }) => (negated ? `!${key}` : key))
    .sort()
    .join('&');

/** Boxes that differ only in their sources, or only in their destinations. */
interface Group {
  readonly box: Box;
  /** Grows; the same array as in `box`. */
  readonly growing: Range[];
  readonly when: readonly Condition[];
  /** Of the first. */
  readonly by: { readonly place: string; readonly name: string };
}

/** Packets that were taken away. Long lists of addresses are kept as one box. */
export class Taken {
  readonly #groups = new Map<string, Group>();
  readonly #byProtocol = new Map<BoxProtocol, Group[]>();

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  add({ box, when }: Piece, by: Group['by']): void {
    const side: Side =
      box.sources[0]!.from === 0 && box.sources[0]!.to === 0xffffffff ? 'destinations' : 'sources';
    const key = [
      box.protocol,
      side,
      keyOfConditions(when),
      ...sides.filter((each) => each !== side).map((each) => keyOf(box[each])),
    ].join('|');
    const group = this.#groups.get(key);
    if (group !== undefined) {
      for (const range of box[side]) insertRange(group.growing, range);
      return;
    }
    const growing = [...box[side]];
    const made: Group = { box: { ...box, [side]: growing }, growing, when, by };
    this.#groups.set(key, made);
    const others = this.#byProtocol.get(box.protocol);
    if (others === undefined) this.#byProtocol.set(box.protocol, [made]);
    else others.push(made);
  }

  /** What is left of the pieces; undefined if that is too much to say. */
  subtractFrom(pieces: readonly Piece[]): Piece[] | undefined {
    let left = [...pieces];
    for (const protocol of new Set(pieces.map(({ box }) => box.protocol))) {
      for (const group of this.#byProtocol.get(protocol) ?? []) {
        if (!left.some(({ box }) => boxesMeet(box, group.box))) continue;
        left = left.flatMap((piece) => without(piece, group));
        if (left.length > maxPieces) left = joinPieces(left);
        if (left.length > maxPieces) return undefined;
      }
    }
    return left;
  }

  /** What took some of the boxes first. */
  firstFrom(boxes: readonly Box[]): Group['by'] | undefined {
    for (const box of boxes) {
      const group = this.#byProtocol.get(box.protocol)?.find((each) => boxesMeet(box, each.box));
      if (group !== undefined) return group.by;
    }
    return undefined;
  }
}

function without(piece: Piece, group: Group): Piece[] {
  if (!boxesMeet(piece.box, group.box)) return [piece];
  if (joinConditions(piece.when, group.when) === undefined) return [piece];
  const { rest, common } = cutBox(piece.box, group.box);
  const { place, name } = group.by;
  const missing = group.when.filter((each) => !piece.when.some((own) => isSame(own, each)));
  return [
    ...rest.filter(canCome).map((box) => ({ box, when: piece.when })),
    ...missing.map(({ key, negated, words }) => {
      const text = `${place} (${name}) may take a part of it before: ${words}`;
      return { box: common, when: [...piece.when, { key, negated: !negated, words: text }] };
    }),
  ];
}

function joinPieces(pieces: readonly Piece[]): Piece[] {
  const byConditions = new Map<string, { when: readonly Condition[]; boxes: Box[] }>();
  for (const { box, when } of pieces) {
    const key = keyOfConditions(when);
    const same = byConditions.get(key);
    if (same === undefined) byConditions.set(key, { when, boxes: [box] });
    else same.boxes.push(box);
  }
  return [...byConditions.values()].flatMap(({ when, boxes }) =>
    joinBoxes(boxes).map((box) => ({ box, when })),
  );
}

interface InSettling<R extends Reading> {
  readonly reading: R;
  pieces: Piece[];
  lost: string[];
  takenBy?: string;
}

/**
 * Takes every deny from the allows behind it, in order.
 *
 * @param unsayable why templates cannot say a box; undefined if they can
 */
export function settle<R extends Reading>(
  readings: readonly R[],
  unsayable: (box: Box) => string | undefined,
): Settled<R>[] {
  const taken = new Taken();
  const allows: InSettling<R>[] = [];
  for (const [index, reading] of readings.entries()) {
    const { action, pieces } = reading;
    if (action === 'allow') {
      allows.push(allow(reading, taken));
    } else {
      const words = 'what it does is not known';
      const doubt = action === 'deny' ? [] : [{ key: `unknown ${index}`, negated: false, words }];
      for (const { box, when } of pieces) taken.add({ box, when: [...when, ...doubt] }, reading);
    }
  }
  cancel(allows);
  const isSure = ({ box, when }: Piece): boolean =>
    when.length === 0 && unsayable(box) === undefined;
  const allowed = new Taken();
  if (!allows.every(({ pieces }) => pieces.every(isSure))) {
    for (const { pieces, reading } of allows) {
      for (const piece of pieces.filter(isSure)) allowed.add(piece, reading);
    }
  }
  return allows.map(({ reading, pieces, lost, takenBy }) => {
    const sure = pieces.filter(isSure);
    const unsure = pieces.filter((piece) => !isSure(piece));
    const missing = allowed.subtractFrom(unsure) ?? unsure;
    const why = missing.flatMap(({ box, when }) => [
      ...when.map(({ words }) => words),
      ...(when.length === 0 ? [unsayable(box)!] : []),
    ]);
    return {
      reading,
      boxes: joinBoxes(sure.map(({ box }) => box)),
      lost: [...new Set([...lost, ...why])],
      ...(takenBy !== undefined && { takenBy }),
    };
  });
}

function allow<R extends Reading>(reading: R, taken: Taken): InSettling<R> {
  const left = taken.subtractFrom(reading.pieces);
  if (left === undefined) return { reading, pieces: [], lost: [tooManyPieces] };
  if (left.length > 0 || reading.pieces.length === 0) return { reading, pieces: left, lost: [] };
  const by = taken.firstFrom(reading.pieces.map(({ box }) => box))!;
  return { reading, pieces: [], lost: [], takenBy: `${by.place} (${by.name})` };
}

/** More pieces with conditions than this are not compared with each other. */
const maxCancelled = 1024;

/**
 * What is allowed if a condition holds and also if it does not, does not depend on it. What comes of two pieces counts as
 * the later reading's; it may meet others in turn.
 */
function cancel(allows: readonly InSettling<Reading>[]): void {
  interface Open extends Piece {
    readonly at: number;
  }
  const open: Open[] = allows.flatMap(({ pieces }, at) =>
    pieces.filter(({ when }) => when.length > 0).map((piece) => ({ ...piece, at })),
  );
  for (let next = 1; next < open.length && open.length <= maxCancelled; next++) {
    for (let before = 0; before < next && open.length <= maxCancelled; before++) {
      const [a, b] = [open[before]!, open[next]!];
      const piece = resolve(a, b);
      if (piece === undefined) continue;
      const at = Math.max(a.at, b.at);
      const isKnown = (each: Piece): boolean =>
        each.when.every((own) => piece.when.some((other) => isSame(own, other))) &&
        sides.every((side) => keyOf(each.box[side]) === keyOf(piece.box[side])) &&
        each.box.protocol === piece.box.protocol;
      if (allows[at]!.pieces.some(isKnown) || open.some(isKnown)) continue;
      allows[at]!.pieces.push(piece);
      if (piece.when.length > 0) open.push({ ...piece, at });
    }
  }
}

/** The packets of both, if the two differ in exactly one condition that one needs and the other excludes. */
function resolve(a: Piece, b: Piece): Piece | undefined {
  const opposed = a.when.filter(({ key, negated }) =>
    b.when.some((other) => other.key === key && other.negated !== negated),
  );
  if (opposed.length !== 1) return undefined;
  const [{ key }] = opposed as [Condition];
  const rest = (when: readonly Condition[]): Condition[] => when.filter((each) => each.key !== key);
  const when = joinConditions(rest(a.when), rest(b.when));
  const box = intersectBox(a.box, b.box);
  return when === undefined || box === undefined ? undefined : { box, when };
}
