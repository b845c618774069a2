/**
 * A set of very many addresses as blocks of words: whether an address is in it costs two cache misses, however many there are.
 *
 * The addresses that share their high half are a chunk, 65,536 of them, and each chunk is written in the shortest way. So a million
 * single addresses are 2.3 MB, of which a search touches one line of the table of chunks (256 KiB, mostly cached) and one or two
 * of the chunk itself. Chunks are searched without branches that depend on the addresses: half of those would be predicted wrongly.
 *
 * Layout, from the start of the set:
 *
 *     table     for each chunk where it begins (words from the start of the set) << 2 | ChunkKind; one more, where the last one ends
 *     singles   single addresses: their low halves, ascending, two in a word, the first one high; the last one twice if they are odd
 *     ranges    the low halves of first and last address in a word, ascending
 *     blocks    256 bits: which blocks of 256 addresses are in the set
 */

export const ChunkKind = { singles: 0, ranges: 1, blocks: 2 } as const;

export const chunkCount = 0x10000;

/** Words of a chunk of {@link ChunkKind.blocks}. */
export const blocksLength = 8;

/** A chunk is halved until it has no more words than this; they are compared one after the other. */
const scanned = 16;

/** @param set its offset in the words, @param address signed or not */
export function isInChunks(words: Int32Array, set: number, address: number): boolean {
  const at = set + (address >>> 16);
  const entry = words[at]!;
  const low = address & 0xffff;
  let from = set + (entry >>> 2);
  let count = (words[at + 1]! >>> 2) - (entry >>> 2);
  const kind = entry & 3;
  if (kind === ChunkKind.blocks) {
    return ((words[from + (low >>> 13)]! >>> ((low >>> 8) & 31)) & 1) !== 0;
  }
  while (count > scanned) {
    const half = count >>> 1;
    // All ones if what begins there begins at the address or before.
    from += half & (((words[from + half]! >>> 16) - low - 1) >> 31);
    count -= half;
  }
  return kind === ChunkKind.singles
    ? isInSingles(words, from, from + count, low)
    : isInRanges(words, from, from + count, low);
}

function isInSingles(words: Int32Array, from: number, to: number, low: number): boolean {
  const both = low | (low << 16);
  let found = 0;
  for (let at = from; at < to; at++) {
    const difference = words[at]! ^ both;
    // Sets the top bit of a half that is 0, and of none if none is.
    found |= (difference - 0x10001) & ~difference;
  }
  return (found & 0x80008000) !== 0;
}

function isInRanges(words: Int32Array, from: number, to: number, low: number): boolean {
  let found = 0;
  for (let at = from; at < to; at++) {
    const range = words[at]!;
    // Negative if neither difference is.
    found |= ~((low - (range >>> 16)) | ((range & 0xffff) - low));
  }
  return found < 0;
}
