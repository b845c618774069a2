/**
 * How the flow records of a file lie in memory, and their way into this program's order.
 *
 * A file says which layout it has, and by name where each field is. So a program can read the records of the program before
 * it, and of one after it that has not changed what its fields mean: an upgrade keeps the flows, and so does the way back.
 *
 * A change of the words of flow-record.ts, or of what one of them means, takes the next number for {@link recordLayout}. If an
 * older program would misread the fields that it knows, the change sets {@link readableFrom} to the same number; and then
 * {@link arrange} has to bring records of the layout before into the new form. A new field is named in {@link addedFields}.
 */
import { Cold, Hot, coldWords, hotWords } from './flow-record.ts';

/** The number of this program's layout. With 2 the header says where the records begin; 3 has the rules. */
export const recordLayout = 3;

/** The oldest program, by its layout, that may read records of this one. */
export const readableFrom = 2;

/** Words of a record, and where in it each field starts. */
export interface Arrangement {
  readonly words: number;
  readonly fields: Readonly<Record<string, number>>;
}

/** Fields that this layout has and the one before has not: they are 0 in its records. */
const addedFields: readonly string[] = ['inboundRule', 'outboundRule'];

/** What a file says of its records. */
export interface RecordLayout {
  readonly id: number;
  readonly readableFrom: number;
  readonly hot: Arrangement;
  readonly cold: Arrangement;
}

export const ownLayout: RecordLayout = {
  id: recordLayout,
  readableFrom,
  hot: { words: hotWords, fields: Hot },
  cold: { words: coldWords, fields: Cold },
};

/** Fields of two words, one for each direction. */
const paired: readonly string[] = ['end', 'maxEnd', 'maxWindow', 'maxAck', 'packets', 'bytes'];

/** Links between records: each process makes its own. */
const links: readonly string[] = ['next', 'previous'];

/** Largest record that is read, in words. */
const maxWords = 64;

/** Whether this program can read such records: the layout before its own, its own, and a later one that says so. */
export function isReadable(layout: RecordLayout): boolean {
  const known =
    layout.id > recordLayout
      ? layout.readableFrom <= recordLayout
      : layout.id >= recordLayout - 1 && layout.id >= 1;
  // What tells that a record is in use is in its hot part.
  return known && Object.hasOwn(layout.hot.fields, 'state') && moves(layout) !== undefined;
}

/** A word of this program's record, and where the file has it. */
interface Move {
  readonly toHot: boolean;
  readonly to: number;
  readonly fromHot: boolean;
  readonly from: number;
}

/** Undefined: a field is missing, or lies outside of its record. */
function moves({ id, hot, cold }: RecordLayout): Move[] | undefined {
  const result: Move[] = [];
  for (const { words } of [hot, cold]) {
    if (!Number.isInteger(words) || words < 1 || words > maxWords) return undefined;
  }
  for (const [toHot, fields] of [[true, Hot] as const, [false, Cold] as const]) {
    for (const [name, to] of Object.entries(fields)) {
      if (links.includes(name)) continue;
      const width = paired.includes(name) ? 2 : 1;
      const fromHot = Object.hasOwn(hot.fields, name);
      const region = fromHot ? hot : cold;
      const isThere = Object.hasOwn(region.fields, name);
      if (!isThere && id < recordLayout && addedFields.includes(name)) continue;
      const from = isThere ? region.fields[name]! : -1;
      if (!Number.isInteger(from) || from < 0 || from + width > region.words) return undefined;
      for (let word = 0; word < width; word++) {
        result.push({ toHot, to: to + word, fromHot, from: from + word });
      }
    }
  }
  return result;
}

/** Records of one layout: the hot part of record i starts at i * hot words, the cold one at i * cold words. */
export interface Records {
  readonly hot: Int32Array;
  readonly cold: Int32Array;
}

/**
 * Records of a readable layout, in the order of this program. Links are not meant to be read.
 *
 * @returns the same arrays if they are in this order already; else those records of which both parts are there
 */
export function arrange(records: Records, layout: RecordLayout): Records {
  const list = moves(layout)!;
  const same =
    layout.id === recordLayout &&
    layout.hot.words === hotWords &&
    layout.cold.words === coldWords &&
    list.every(({ toHot, to, fromHot, from }) => toHot === fromHot && to === from);
  if (same) return records;
  const count = Math.min(
    Math.floor(records.hot.length / layout.hot.words),
    Math.floor(records.cold.length / layout.cold.words),
  );
  const hot = new Int32Array(count * hotWords);
  const cold = new Int32Array(count * coldWords);
  for (const { toHot, to, fromHot, from } of list) {
    const source = fromHot ? records.hot : records.cold;
    const sourceWords = fromHot ? layout.hot.words : layout.cold.words;
    const target = toHot ? hot : cold;
    const targetWords = toHot ? hotWords : coldWords;
    for (let i = 0; i < count; i++) target[i * targetWords + to] = source[i * sourceWords + from]!;
  }
  return { hot, cold };
}
