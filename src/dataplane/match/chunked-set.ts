/**
 * A set of very many addresses as blocks of words: whether an address is in it costs two cache misses, however many there are.
 *
 * The addresses that share their high half are a chunk, 65,536 of them, and each chunk is written in the shortest way. So a million
 * single addresses are 3.5 MB, of which a search touches one line of the table of chunks (256 KiB, mostly cached) and one of the
 * chunk itself. A search does not branch on what a random address decides: half of those branches would be predicted wrongly. So a
 * chunk has its words in groups of eight, the last one repeated; a group is compared as a whole, and none crosses a cache line.
 *
 * Layout, from the start of the set:
 *
 *     table     for each chunk where it begins (groups from the start of the set) << 4 | ChunkSize << 2 | ChunkKind;
 *               one more, where the last one ends
 *     singles   single addresses: their low halves, ascending, two in a word, the first one high; the last one twice if they are odd
 *     ranges    the low halves of first and last address in a word, ascending
 *     blocks    256 bits: which blocks of 256 addresses are in the set
 */

export const ChunkKind = { singles: 0, ranges: 1, blocks: 2 } as const;

/** How many groups a chunk has; `more`: up to where the next one begins. */
export const ChunkSize = { none: 0, one: 1, two: 2, more: 3 } as const;

export const chunkCount = 0x10000;

/** Words that are compared together, and of a chunk of {@link ChunkKind.blocks}. */
export const groupLength = 8;

/** @param set its offset in the words, @param address signed or not */
export function isInChunks(words: Int32Array, set: number, address: number): boolean {
  const at = set + (address >>> 16);
  const entry = words[at]!;
  const size = (entry >>> 2) & 3;
  if (size === ChunkSize.none) return false;
  const low = address & 0xffff;
  const kind = entry & 3;
  let from = set + ((entry >>> 4) << 3);
  if (kind === ChunkKind.blocks) {
    return ((words[from + (low >>> 13)]! >>> ((low >>> 8) & 31)) & 1) !== 0;
  }
  if (size !== ChunkSize.one) {
    let count = ((words[at + 1]! >>> 4) - (entry >>> 4)) << 3;
    while (count > 2 * groupLength) {
      const half = (count >>> 1) & ~(groupLength - 1);
      from += half & beginsUpTo(words[from + half]!, low);
      count -= half;
    }
    // Of two groups the second one, if it begins at the address or before.
    from += groupLength & beginsUpTo(words[from + groupLength]!, low);
  }
  return kind === ChunkKind.singles ? isInSingles(words, from, low) : isInRanges(words, from, low);
}

/** All ones if a word begins at a low half or before, else 0. */
function beginsUpTo(word: number, low: number): number {
  return ((word >>> 16) - low - 1) >> 31;
}

function isInSingles(words: Int32Array, from: number, low: number): boolean {
  const both = low | (low << 16);
  let found = 0;
  for (let at = from; at < from + groupLength; at++) {
    const difference = words[at]! ^ both;
    // Sets the top bit of a half that is 0, and of none if none is.
    found |= (difference - 0x10001) & ~difference;
  }
  return (found & 0x80008000) !== 0;
}

function isInRanges(words: Int32Array, from: number, low: number): boolean {
  let found = 0;
  for (let at = from; at < from + groupLength; at++) {
    const range = words[at]!;
    // Negative if neither difference is.
    found |= ~((low - (range >>> 16)) | ((range & 0xffff) - low));
  }
  return found < 0;
}
